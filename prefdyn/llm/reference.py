"""What a reference model said once, kept and found again."""

import hashlib
import json
from typing import Any

import torch
from torch import Tensor

# Where a model came from, and how it is run: none of it changes what the model computes.
_INCIDENTAL = (
    "_name_or_path",
    "_attn_implementation",
    "architectures",
    "dtype",
    "torch_dtype",
    "transformers_version",
    "use_cache",
)


def fingerprint(model: Any, tokenizer: Any = None) -> str:
    """SHA-256 of a model's weights and settings, and of its tokenizer: the same in every process.

    Hashed are names, dtypes, shapes and bytes of all parameters and persistent buffers (those of
    an adapter too, and whether it is on), the configuration without what says where the model
    came from, and of the tokenizer the vocabulary, the rules that split a text, the special tokens
    and the chat template.  Truncation and padding are left out: they are settings of the last call.

    Parameters
    ----------
    model
        A Hugging Face causal language model, in peft or not.
    tokenizer
        Its tokenizer; None hashes the model alone.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(_bytes(tensor))
    digest.update(_text(_settings(model)))
    if tokenizer is not None:
        digest.update(_text(_vocabulary(tokenizer)))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> Any:
    """The bytes of a tensor of any dtype, on the CPU."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data


def _text(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, default=str).encode()


def _settings(model: Any) -> dict[str, Any]:
    config = getattr(model, "config", None)
    layers = model.modules() if hasattr(model, "get_base_model") else ()
    return {
        "config": {} if config is None else _without_incidental(config.to_dict()),
        "adapters": list(getattr(model, "active_adapters", ())) if layers else [],
        "adapters off": any(getattr(layer, "disable_adapters", False) is True for layer in layers),
    }


def _without_incidental(settings: Any) -> Any:
    if not isinstance(settings, dict):
        return settings
    return {k: _without_incidental(v) for k, v in settings.items() if k not in _INCIDENTAL}


def _vocabulary(tokenizer: Any) -> dict[str, Any]:
    rules: dict[str, Any] = {}
    if (backend := getattr(tokenizer, "backend_tokenizer", None)) is not None:
        rules = json.loads(backend.to_str()) | {"padding": None, "truncation": None}
    return {
        "vocabulary": tokenizer.get_vocab(),
        "rules": rules,
        "special": {k: str(v) for k, v in tokenizer.special_tokens_map.items()},
        "template": getattr(tokenizer, "chat_template", None),
    }
