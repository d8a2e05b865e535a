"""Folders that cannot be written to, full disks, and names that nobody expects."""

import shlex
from pathlib import Path

import pytest

from tests.reliability.conftest import COMMANDS, furnish, result
from tests.reliability.processes import Ended, run, tree

pytestmark = pytest.mark.slow

ODD = "- a 'b' \"c\"; $HOME & *?[x] 50% \\ new\nline übung 日本語 🙂"
LINES = {
    "csv": "orbit rps:0.4 --beta 0.3 --alpha 0.5 --lam 1 --rounds 200 --csv out/x.csv",
    "plot": "orbit rps:0.4 --beta 0.3 --alpha 0.5 --lam 1 --rounds 20 --plot out/x.png",
    "explore": "explore --out out/x.html",
}
"""Commands that write one file."""
EVERY = LINES | COMMANDS


def refused(ended: Ended, reason: str) -> None:
    """One sentence that names the place and the reason."""
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert "out" in ended.err
    assert reason in ended.err


def nothing_half(folder: Path) -> None:
    names = [path.name for path in folder.rglob("*")]
    assert [n for n in names if "writing-" in n or n.endswith((".partial", ".lock"))] == []


@pytest.mark.parametrize("name", EVERY)
def test_a_folder_that_cannot_be_written_to(name, room):
    out = room / "out"
    out.mkdir()
    out.chmod(0o555)
    refused(run(EVERY[name].split(), room), "Permission denied")
    assert tree(out) == {}


@pytest.mark.parametrize("name", LINES)
def test_one_file_on_a_full_disk(name, room):
    (room / "out").mkdir()
    assert run(LINES[name].split(), room).code == 0
    whole = tree(room / "out")
    refused(run(LINES[name].split(), room, largest=1000), "cannot be written (File too large)")
    assert tree(room / "out") == whole  # what was there before
    for path in (room / "out").iterdir():
        path.unlink()
    refused(run(LINES[name].split(), room, largest=1000), "cannot be written (File too large)")
    assert tree(room / "out") == {}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_keeps_what_was_finished(name, whole, room):
    """The disk fills at files of several sizes in turn, and has room in the end."""
    _, expected = whole(name)
    # What is kept of a checkpoint is not its file.
    files = (data for name, data in expected.items() if name != "checkpoint.pt")
    sizes = sorted({len(data) for data in files if len(data) > 1000})
    assert sizes
    for size in sizes[:: max(1, len(sizes) // 3)]:
        ended = run(COMMANDS[name].split(), room, largest=size - 1)
        refused(ended, "File too large")
        nothing_half(room)
    assert run(COMMANDS[name].split(), room).code == 0
    assert result(room / "out") == expected


@pytest.mark.parametrize("name", EVERY)
def test_odd_names(name, tmp_path, model):
    """Everything in a folder of an odd name, and the output in another."""
    room = furnish(tmp_path / ODD, model)
    (room / ODD).mkdir()
    words = [
        word.replace("out", f"./{ODD}") if "out" in word and "--" not in word else word
        for word in shlex.split(EVERY[name])
    ]
    ended = run(words, room)
    assert (ended.code, ended.err) == (0, "")
    assert [path for path in (room / ODD).rglob("*") if path.is_file()]
    nothing_half(room)


@pytest.mark.parametrize("name", EVERY)
def test_names_that_are_too_long(name, room):
    (room / "out").mkdir()
    words = [
        word.replace("out", "out/" + 300 * "n", 1) if "out" in word and "--" not in word else word
        for word in EVERY[name].split()
    ]
    refused(run(words, room), "File name too long")
    assert tree(room / "out") == {}
