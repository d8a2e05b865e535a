"""Small models and a tokenizer, made on the spot."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SIGNS = "abcdefghijklmnopqrstuvwxyz .,?!"


@pytest.fixture(scope="session")
def tokenizer():
    """One token per character, an unknown, a padding and an end-of-sequence token."""
    words = ["<unk>", "<pad>", "</s>", *SIGNS]
    vocabulary = {word: number for number, word in enumerate(words)}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, unk_token="<unk>", pad_token="<pad>", eos_token="</s>"
    )


def tiny_llama(**changes) -> LlamaForCausalLM:
    """A random Llama of two layers; large weights, so that it has opinions."""
    settings = {
        "vocab_size": 34,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 64,
        "initializer_range": 0.3,
        "bos_token_id": None,
        "eos_token_id": 2,
        "pad_token_id": 1,
    }
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**settings | changes)).eval()


@pytest.fixture(scope="session")
def llama():
    """A random Llama that nobody may train; take `copy.deepcopy` of it."""
    return tiny_llama()
