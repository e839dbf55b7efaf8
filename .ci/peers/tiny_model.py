"""Makes a model folder that a frontend can serve without weights: a small tokenizer, trained on the sources of Python, and configs.

Usage: tiny_model.py FOLDER
"""

import json
import pathlib
import sys
import sysconfig

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

TRAINED = 4096
# Ids up to 30,000 are asked with where a server does not say how many it has, and Dynamo refuses those that are not there.
VOCABULARY = 32000
END, START = "<|im_end|>", "<|im_start|>"

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
sources = sorted(pathlib.Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:80]
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
trainer = trainers.BpeTrainer(
    vocab_size=TRAINED, special_tokens=[START, END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
)
tokenizer.train([str(path) for path in sources], trainer)
tokenizer.add_tokens([f"<extra {number}>" for number in range(VOCABULARY - tokenizer.get_vocab_size())])
assert tokenizer.get_vocab_size() == VOCABULARY, tokenizer.get_vocab_size()
tokenizer.save(str(folder / "tokenizer.json"))


def write(name, content):
    (folder / name).write_text(json.dumps(content))


end = tokenizer.token_to_id(END)
write("generation_config.json", {"eos_token_id": end})
write("tokenizer_config.json", {
    "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "model_max_length": 32768,
    "chat_template": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n",
})
write("config.json", {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": VOCABULARY, "eos_token_id": end,
    "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8,
    "head_dim": 128, "hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 1000000, "tie_word_embeddings": True,
    "max_position_embeddings": 32768, "torch_dtype": "bfloat16",
})
