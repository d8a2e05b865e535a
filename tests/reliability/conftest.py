"""A small model, pairs, and command lines that run in a second."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from prefdyn.llm._hub import quiet
from tests.llm.conftest import llama, tokenizer  # noqa: F401  # pyright: ignore
from tests.llm.tiny import PAIRS as SOME_PAIRS
from tests.reliability.processes import Ended, run, tree

PAIRS = [
    *SOME_PAIRS[:-1],
    ("say it ", "no no", "no no no no."),
    ("a b ", "c", "d"),
    ("one ", "two", "three"),
]
SWEEP = """
rounds = 300
work = 1000
seed = 3
reducers = ["entropy", "last_policy"]
[rule]
id = "finite_sample"
votes = 20
[rule.rule]
id = "mrs_ipo"
game = "rps:0.4"
alpha = 0.5
beta = 0.5
lam = 1.0
[axes]
"rule.beta" = { from = 0.05, to = 1.0, number = 5, spacing = "log" }
repeat = 2
"""
COMMANDS = {
    "sweep": "sweep config.toml --out out/map.zarr --resume",
    "predict": "predict --model model --data pairs.jsonl --out out --batch 1 --gains 2 --keep 0.5",
    "train": "train --model model --data pairs.jsonl --rate 1e-3 --batch 2 --steps 12 "
    "--log-every 1 --save-every 2 --probes 2 --out out",
    "iterate": "iterate rps:0.4 --model model --prompt ab --responses responses.txt --rounds 5 "
    "--optimiser adam --rate 1e-3 --steps 6 --alpha 0.5 --lam 1 --beta 0.3 --votes 20 --out out",
}
"""Commands that write to a folder, by name; they go on when they are given again."""


@pytest.fixture(scope="session")
def model(tmp_path_factory, llama, tokenizer) -> Path:  # noqa: F811
    """The folder of a random model."""
    folder = tmp_path_factory.mktemp("models") / "model"
    with quiet():
        llama.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def furnish(folder: Path, model: Path) -> Path:
    """What the commands read, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model").symlink_to(model)
    names = ("prompt", "chosen", "rejected")
    lines = [json.dumps(dict(zip(names, pair, strict=True))) for pair in PAIRS]
    (folder / "pairs.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "responses.txt").write_text("cat\ndog\nsun up\n")
    (folder / "config.toml").write_text(SWEEP)
    return folder


@pytest.fixture
def room(tmp_path, model) -> Path:
    """A folder with everything that the commands read."""
    return furnish(tmp_path / "room", model)


@pytest.fixture(scope="session")
def whole(tmp_path_factory, model) -> Any:
    """Runs of the commands that nobody interrupts: a function of the name."""
    known: dict[str, tuple[Ended, dict[str, bytes]]] = {}

    def found(name: str) -> tuple[Ended, dict[str, bytes]]:
        if name not in known:
            room = furnish(tmp_path_factory.mktemp(name) / "room", model)
            ended = run(COMMANDS[name].split(), room)
            assert (ended.code, ended.err) == (0, "")
            known[name] = ended, result(room / "out")
        return known[name]

    return found


def result(out: Path) -> dict[str, bytes]:
    """What a run has written, without when it began and how long its blocks took.

    Of a checkpoint the values count: its bytes also tell which equal numbers are one object.
    """
    found = tree(out)
    for name, data in found.items():
        if name.endswith("map.zarr/zarr.json"):
            found[name] = _without(data, "created")
        elif "/sweep/" in name and name.endswith(".json"):
            found[name] = _without(data, "seconds")
        elif name == "checkpoint.pt":
            found[name] = repr(_values(torch.load(io.BytesIO(data), weights_only=True))).encode()
    return found


def _values(value: Any) -> Any:
    """Nested values with tensors as bytes."""
    if isinstance(value, dict):
        return {name: _values(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_values(part) for part in value]
    if isinstance(value, torch.Tensor):
        return value.dtype, value.shape, value.numpy().tobytes()
    return value


def _without(data: bytes, name: str) -> bytes:
    described = json.loads(data)
    described.get("attributes", described).pop(name, None)
    return json.dumps(described).encode()
