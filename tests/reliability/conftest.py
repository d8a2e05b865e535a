"""A small model, pairs, and command lines that run in a second."""

import json
from pathlib import Path

import pytest

from prefdyn.llm._hub import quiet
from tests.llm.conftest import llama, tokenizer  # noqa: F401  # pyright: ignore

PAIRS = [
    ("is it red? ", "yes, it is.", "no"),
    ("is it red? ", "yes", "yes, it is red."),
    ("once upon a time ", "a cat sat.", "a cat ran!"),
    ("say no: ", "no.", "never, ever."),
    ("who ran? ", "a dog.", "the big old cat."),
    ("was it hot? ", "yes.", "no, never at all."),
    ("the sun ", "is up.", "is a dog."),
    ("i am ", "here", "there, i hope"),
    ("the end ", "is near.", "is here."),
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
