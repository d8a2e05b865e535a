"""Ways in which the folder of a model can be broken, or hostile."""

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

TRAP = "trap.txt"
"""Written, where the process stands, by code that must never run."""
_CODE = f"open({TRAP!r}, 'w').write('ran')\n"


class _Trap:
    """An object that writes a file when it is unpickled."""

    def __reduce__(self):
        return eval, (f"open({TRAP!r}, 'w')",)


def _config(**changes: Any) -> Callable[[Path], Any]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def _text(name: str, text: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_text(text)


def _cut(name: str, share: float) -> Callable[[Path], Any]:
    def cut(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(share * len(data))])

    return cut


def _missing(*names: str) -> Callable[[Path], Any]:
    return lambda folder: [(folder / name).unlink() for name in names]


def _weight(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], Any]:
    def spoil(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        weights[name] = change(weights[name]).contiguous()
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    return spoil


def _header(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], Any]:
    def forge(folder: Path) -> None:
        path = folder / "model.safetensors"
        data = path.read_bytes()
        (size,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + size])
        change(header)
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])

    return forge


def _huge_tensor(header: dict[str, Any]) -> None:
    header["lm_head.weight"]["shape"] = [2**40, 16]


def _overlapping(header: dict[str, Any]) -> None:
    header["lm_head.weight"]["data_offsets"] = header["model.norm.weight"]["data_offsets"]


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Trap()))


def _pickled_under_another_name(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps(_Trap()))


def _own_code(**config: Any) -> Callable[[Path], Any]:
    def bring(folder: Path) -> None:
        (folder / "own.py").write_text(_CODE)
        _config(**config)(folder)

    return bring


def _own_tokenizer(folder: Path) -> None:
    (folder / "own.py").write_text(_CODE)
    path = folder / "tokenizer_config.json"
    own = {"auto_map": {"AutoTokenizer": ["own.Tokenizer", None]}, "tokenizer_class": "Tokenizer"}
    path.write_text(json.dumps(json.loads(path.read_text()) | own))


def _index(text: str) -> Callable[[Path], Any]:
    def point(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
        (folder / "model.safetensors.index.json").write_text(text)

    return point


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "weights cut to nothing": _cut("model.safetensors", 0),
    "weights cut in the header": _cut("model.safetensors", 0.01),
    "weights cut in half": _cut("model.safetensors", 0.5),
    "weights that are text": _text("model.safetensors", "version https://git-lfs.github.com"),
    "header that claims 2^60 bytes": lambda f: (f / "model.safetensors").write_bytes(
        struct.pack("<Q", 2**60) + b"{}"
    ),
    "tensor of 2^44 entries": _header(_huge_tensor),
    "tensors that overlap": _header(_overlapping),
    "tensor of another kind": _header(lambda h: h["lm_head.weight"].update(dtype="F99")),
    "tensor of another shape": _weight("model.norm.weight", lambda x: x[:5]),
    "weights that are not numbers": _weight("model.norm.weight", lambda x: x * float("nan")),
    "pickled weights": _pickled,
    "pickled weights called safetensors": _pickled_under_another_name,
    "index that is no JSON": _index("{"),
    "index that is a list": _index("[]"),
    "index without a map": _index("{}"),
    "index of files that are not there": _index(
        json.dumps({"metadata": {}, "weight_map": {"lm_head.weight": "gone.safetensors"}})
    ),
    "no config": _missing("config.json"),
    "config of nothing": _text("config.json", ""),
    "config that is a list": _text("config.json", "[1]"),
    "config that is null": _text("config.json", "null"),
    "config nested too deep": _text("config.json", 100_000 * "["),
    "config without a kind": _text("config.json", "{}"),
    "kind that is a number": _config(model_type=7),
    "sizes that are words": _config(hidden_size="large"),
    "size below zero": _config(hidden_size=-16),
    "no heads": _config(num_attention_heads=0),
    "hidden size of 2^40": _config(hidden_size=2**40),
    "vocabulary of 2^40": _config(vocab_size=2**40),
    "a million million layers": _config(num_hidden_layers=10**12),
    "unknown activation": _config(hidden_act="wonder"),
    "code of its own": _own_code(model_type="wonder", auto_map={"AutoConfig": "own.Config"}),
    "code of its own for the model": _own_code(
        model_type="wonder",
        auto_map={"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"},
    ),
    "tokenizer with code of its own": _own_tokenizer,
    "no tokenizer": _missing("tokenizer.json", "tokenizer_config.json"),
    "tokenizer cut in half": _cut("tokenizer.json", 0.5),
    "tokenizer of nothing": _text("tokenizer.json", ""),
    "tokenizer that is a list": _text("tokenizer.json", "[]"),
    "settings of the tokenizer that are a list": _text("tokenizer_config.json", "[]"),
    "settings of the tokenizer cut": _cut("tokenizer_config.json", 0.5),
}
"""By name: what to do to the folder of a sound model."""
