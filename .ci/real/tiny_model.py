"""Makes a Qwen3 with random weights out of nothing but its configuration and a tokenizer. Usage: tiny_model.py FOLDER

It has 32,000 tokens: each byte by itself, invented words, and three for chat. Every fourth word ends with the first half of a
two-byte character, so that a server has tokens to send that are no text yet.
"""

import json
import os
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

VOCABULARY, CONTEXT = 32_000, 4096
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
HALF = "\u00c3"  # how the alphabet of bytes writes the byte C3
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer():
    words = sorted(pre_tokenizers.ByteLevel.alphabet())
    for number in range(len(words), VOCABULARY - len(SPECIAL)):
        words.append(f"w{number}" + (HALF if number % 4 == 0 else ""))
    made = Tokenizer(models.BPE(vocab={word: number for number, word in enumerate(words)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(SPECIAL)
    return made


def write(folder, name, content):
    with open(os.path.join(folder, name), "w") as file:
        json.dump(content, file, indent=1)


def main():
    (folder,) = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    made = tokenizer()
    made.save(os.path.join(folder, "tokenizer.json"))
    end, begin, close = (made.token_to_id(name) for name in SPECIAL)
    write(folder, "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": CONTEXT, "clean_up_tokenization_spaces": False,
        "pad_token": SPECIAL[0], "eos_token": SPECIAL[2], "chat_template": TEMPLATE,
    })
    write(folder, "generation_config.json", {"bos_token_id": begin, "eos_token_id": close, "pad_token_id": end})
    write(folder, "config.json", {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "torch_dtype": "bfloat16",
        "vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT, "bos_token_id": begin, "eos_token_id": close,
        "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4, "max_window_layers": 4, "head_dim": 64,
        "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_act": "silu", "rms_norm_eps": 1e-6,
        "rope_theta": 1e6, "rope_scaling": None, "sliding_window": None, "use_sliding_window": False,
        "attention_bias": False, "attention_dropout": 0.0, "initializer_range": 0.02, "tie_word_embeddings": True,
        "use_cache": True,
    })


main()
