"""Killed at any moment, a command loses nothing that was finished and goes on to the same bits."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.reliability.conftest import COMMANDS, furnish, result
from tests.reliability.processes import run

pytestmark = pytest.mark.slow

SEED = 20
"""Of the moments."""
KILLS = 8
"""Of each command, at random moments, and as many aimed at the moves of files."""
WRITTEN = {
    "sweep": ("sweep/*.json", 1),
    "predict": ("pieces/0*.jsonl", 1),
    "train": ("checkpoint.pt", 6),
    "iterate": ("rounds.safetensors", 5),
}
"""The files that hold finished work, and how often a run writes each."""


def goes_on(name: str, room: Path, expected: dict[str, bytes], moments) -> int:
    """Start a command again and again, killing it, until it ends; how often it was killed."""
    moved: Counter[str] = Counter()
    ended, kills = None, -1
    for moment in moments:
        ended = run(COMMANDS[name].split(), room, **moment)
        moved.update(ended.moved)
        kills += 1
        if ended.code == 0:
            break
        assert (ended.code, ended.err) == (-9, "")
    assert ended is not None
    assert ended.code == 0
    pattern, times = WRITTEN[name]
    finished = {path: n for path, n in moved.items() if Path(path).match(pattern)}
    assert finished
    assert max(finished.values()) <= times  # what was finished was not done again
    found = result(room / "out")
    assert found.keys() == expected.keys()
    assert [path for path in found if found[path] != expected[path]] == []
    return kills


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("kind", ["after", "at"])
def test_killed_it_goes_on_to_the_same_bits(kind, name, whole, tmp_path, model):
    """At random moments; just before and just after files are put in place."""
    reference, expected = whole(name)
    rng = np.random.default_rng([SEED, *kind.encode(), *name.encode()])
    kills = 0
    room = furnish(tmp_path / "room", model)
    while kills < KILLS:
        number = KILLS - kills
        if kind == "after":
            moments = rng.uniform(0, reference.seconds, size=number)
        else:
            moments = rng.integers(2, 2 * len(reference.moved) + 2, size=number) / 2
        kills += goes_on(name, room, expected, [*({kind: float(t)} for t in moments), {}])
        shutil.rmtree(room / "out")
