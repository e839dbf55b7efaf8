"""Writes the golden checkpoints beside this file: two tiny random models and what Hugging Face transformers computes with them.

Each folder holds a checkpoint as transformers saves it (bfloat16 weights, which single precision holds exactly), a
word-level tokenizer, and `golden.safetensors`: a prompt, the logits after each of its tokens in single precision, and the
tokens that greedy decoding appends. Needs torch, transformers and tokenizers:

    python make_golden.py
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

HERE = Path(__file__).parent
VOCAB = 96
SHAPE = dict(
    vocab_size=VOCAB,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=32,
    max_position_embeddings=256,
    rms_norm_eps=1e-6,
    bos_token_id=0,
    eos_token_id=1,
    # Far above the default: logits of the size that a trained model has.
    initializer_range=0.3,
)
LLAMA3 = dict(
    rope_type="llama3",
    rope_theta=10000.0,
    factor=4.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=32,
)


def write(name, model, seed):
    folder = HERE / name
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "norm" in parameter_name:
                # A norm of ones would hide a norm that is never applied.
                parameter.copy_(0.5 + torch.rand(parameter.shape, generator=generator))
    model.to(torch.bfloat16).save_pretrained(folder)
    words = {f"w{i}": i for i in range(VOCAB)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)

    # Loaded anew: the conversion above rounded the rotary frequencies as well, which are no weights.
    model = type(model).from_pretrained(folder, dtype=torch.float32).eval()
    prompt = torch.randint(2, VOCAB, (1, 70), generator=generator)
    with torch.no_grad():
        logits = model(prompt).logits[0]
        tokens = prompt
        for _ in range(24):
            following = model(tokens).logits[0, -1].argmax().view(1, 1)
            tokens = torch.cat([tokens, following], dim=1)
    answer = tokens[0, prompt.shape[1] :]
    golden = dict(prompt=prompt[0].to(torch.int64), logits=logits.contiguous(), answer=answer.to(torch.int64).contiguous())
    save_file(golden, folder / "golden.safetensors")
    print(name, sum(p.numel() for p in model.parameters()), "weights, largest logit", logits.abs().max().item(), answer.tolist())


torch.manual_seed(1)
write("tiny-qwen3", Qwen3ForCausalLM(Qwen3Config(**SHAPE, rope_parameters=dict(rope_type="default", rope_theta=10000.0), tie_word_embeddings=False)), 3)
torch.manual_seed(2)
write("tiny-llama", LlamaForCausalLM(LlamaConfig(**SHAPE, rope_parameters=LLAMA3, tie_word_embeddings=True)), 4)
