"""What a reference model said once, kept and found again."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prefdyn._errors import InputError
from prefdyn._files import write_atomically
from prefdyn._inputs import count
from prefdyn.llm._encoding import Responses
from prefdyn.llm._forward import check_fits, token_log_probs

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


def reference_log_probs(
    model: Any,
    tokenizer: Any,
    responses: Responses,
    *,
    cache: str | Path | None = None,
    batch: int = 8,
    piece: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Token log-probabilities of a reference model, computed once and kept on disk.

    They cost a pass through model and head, and never change: kept, a run starts without them, and
    the reference model need not be in memory.  What is kept is found by `fingerprint` and the
    token ids; it comes in pieces, each written whole or not at all, so that after a kill the
    finished ones are found again.

    Parameters
    ----------
    model, tokenizer
        The reference model and its tokenizer.
    responses
        R responses, the longest of T tokens.
    cache
        Folder of the cache, made if need be; None keeps nothing.
    batch
        Responses per pass.
    piece
        Responses per file.
    progress
        Called with the number of responses done and R after each piece.

    Returns
    -------
    torch.Tensor
        (R, T) in the precision of the model, single at least; 0 in the padding, without gradient;
        on the CPU.

    Raises
    ------
    InputError
        If a file of the cache cannot be read or the folder not be made, naming it; as of
        `token_log_probs`.
    """
    batch, piece = count(batch, "batch"), count(piece, "piece")
    check_fits(model, responses)  # before hours of work
    folder = None if cache is None else _folder(Path(cache), model, tokenizer, responses, piece)
    whole: list[Tensor] = []
    for first in range(0, len(responses), piece):
        part = responses[first : first + piece]
        path = None if folder is None else folder / f"{first:09d}.npz"
        if path is not None and path.exists():
            values = _read(path, part)
        else:
            values = _measured(model, part, batch)
            if path is not None:
                _write(path, values)
        whole.append(torch.as_tensor(values))
        if progress is not None:
            progress(first + len(part), len(responses))
    table = torch.zeros(responses.mask.shape, dtype=whole[0].dtype)
    table[torch.as_tensor(responses.mask > 0)] = torch.cat(whole)
    return table


def _measured(model: Any, responses: Responses, batch: int) -> np.ndarray:
    """Log-probabilities (N,) of the response tokens, response after response, without dropout."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        tokens = token_log_probs(model, responses, batch).cpu().numpy()
    finally:
        for module, mode in modes:
            module.training = mode
    return tokens[responses.mask > 0]


def _folder(cache: Path, model: Any, tokenizer: Any, responses: Responses, piece: int) -> Path:
    """Where the pieces of these responses under this model are kept."""
    digest = hashlib.sha256(fingerprint(model, tokenizer).encode())
    digest.update(_text([piece, responses.prompt_tokens, responses.tokens]))
    folder = cache / digest.hexdigest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"The cache folder {cache} cannot be made ({error.strerror}): give another cache=."
        ) from None
    return folder


def _write(path: Path, values: np.ndarray) -> None:
    digest = hashlib.sha256(values.tobytes()).hexdigest()
    write_atomically(path, lambda file: np.savez(file, values=values, digest=digest))


def _read(path: Path, responses: Responses) -> np.ndarray:
    """Values of a piece, whole and as they were written."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            values, digest = kept["values"], str(kept["digest"])
    except Exception as error:  # whatever a broken archive makes its reader raise
        raise InputError(_broken(path, type(error).__name__)) from None
    if hashlib.sha256(values.tobytes()).hexdigest() != digest:
        raise InputError(_broken(path, "its contents do not match their digest"))
    if values.shape != (int(responses.lengths.sum()),):
        raise InputError(_broken(path, f"it has {values.size} entries"))
    return values


def _broken(path: Path, why: str) -> str:
    return f"The cached log-probabilities in {path} cannot be read ({why}): delete it and rerun."


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
