"""Writes the tokenizer of the built-in model as a Hugging Face folder. Usage: byte_tokenizer.py FOLDER

A byte of UTF-8 is the id of the same number, so that a client counts the tokens that the server counts.
"""

import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

# How byte-level tokenizers write bytes: printable ones as themselves, the others in order from U+0100 on.
printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
others = [byte for byte in range(256) if byte not in printable]
vocabulary = {chr(byte if byte in printable else 0x100 + others.index(byte)): byte for byte in range(256)}

tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
tokenizer.decoder = decoders.ByteLevel()
assert tokenizer.encode("Grüße").ids == list("Grüße".encode())
PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>").save_pretrained(sys.argv[1])
