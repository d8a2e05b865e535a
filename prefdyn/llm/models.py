"""Language models: the one that ships with the package, or any other."""

from typing import Any, NamedTuple

import torch


class LanguageModel(NamedTuple):
    """A model and the tokenizer that belongs to it."""

    model: Any
    tokenizer: Any


def load(name_or_path: str, *, device: str = "cpu", dtype: torch.dtype = torch.float32):
    """Load a causal language model and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(name_or_path, dtype=dtype).to(device).eval()
    return LanguageModel(model, AutoTokenizer.from_pretrained(name_or_path))
