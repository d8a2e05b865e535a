"""Folders of models that are broken or hostile: one sentence, and nothing of theirs is run."""

import shutil
from pathlib import Path

import pytest

from prefdyn import InputError, llm
from prefdyn.cli import main
from tests.reliability.conftest import COMMANDS, furnish
from tests.reliability.damage import DAMAGE, TRAP

pytestmark = pytest.mark.slow

WORST = (
    "weights cut in half",
    "tensor of 2^44 entries",
    "tensor of another shape",
    "weights that are not numbers",
    "pickled weights",
    "pickled weights called safetensors",
    "index that is no JSON",
    "no config",
    "hidden size of 2^40",
    "code of its own for the model",
    "tokenizer with code of its own",
    "no tokenizer",
)
"""What the commands are tried on."""
LINES = {name: COMMANDS[name] for name in ("predict", "train", "iterate")} | {
    "validate": "validate --model model --size quick --only squeezing --workers 1 --out out"
}


@pytest.fixture
def damaged(model, tmp_path, monkeypatch):
    """A copy of the model, damaged by name, where this process stands."""

    def made(damage: str) -> Path:
        folder = shutil.copytree(model, tmp_path / "model")
        DAMAGE[damage](folder)
        monkeypatch.chdir(tmp_path)
        return folder

    return made


@pytest.mark.parametrize("damage", DAMAGE)
def test_each_damage_is_one_sentence_and_runs_nothing(damaged, tmp_path, damage):
    folder = damaged(damage)
    with pytest.raises(InputError) as refusal:
        llm.load(folder)
    sentence = str(refusal.value)
    assert folder.name in sentence or "weight " in sentence
    assert "\n" not in sentence
    assert not (tmp_path / TRAP).exists()


@pytest.mark.parametrize("name", LINES)
def test_commands_refuse_before_they_write(damaged, tmp_path, capsys, monkeypatch, name):
    for number, damage in enumerate(WORST):
        room = tmp_path / str(number)
        room.mkdir()
        furnish(room, damaged(damage))
        monkeypatch.chdir(room)
        assert main(LINES[name].split()) == 2, damage
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("prefdyn: ")
        assert printed.err.count("\n") == 1, damage
        assert not [path for path in (room / "out").rglob("*") if path.is_file()]
        assert not list(room.glob(TRAP))
        shutil.rmtree(tmp_path / "model")
