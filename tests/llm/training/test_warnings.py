"""Sentences about a run: when they are said, and when they are not."""

import numpy as np
import pytest

from prefdyn.llm.training._warnings import oscillation, warnings_of

START = {
    "probe/logps_chosen": -20.0,
    "probe/logps_rejected": -30.0,
    "probe/logps_greedy": -5.0,
    "probe/entropy": 2.0,
}


@pytest.mark.parametrize(
    ("moved", "gain", "words"),
    [
        ({}, 0.0, []),
        ({"chosen": 3.0, "rejected": -3.0}, 0.5, []),
        ({"chosen": -3.0, "rejected": -9.0}, 0.5, ["displacement"]),
        ({"chosen": -3.0, "rejected": -9.0}, -0.5, []),  # the loss did not fall either
        ({"chosen": -0.05, "rejected": -9.0}, 0.5, []),
        (
            {"chosen": -3.0, "rejected": -9.0, "greedy": 2.0},
            0.5,
            ["displacement", "squeezing"],
        ),
        ({"chosen": 1.0, "rejected": -9.0, "greedy": 2.0}, 0.5, []),
    ],
)
def test_what_is_said(moved, gain, words):
    now = START | {
        f"probe/logps_{name}": START[f"probe/logps_{name}"] + x for name, x in moved.items()
    }
    found = warnings_of(START, now, gain)
    assert sorted(found) == words
    assert all(text.startswith(name) for name, text in found.items())


def test_entropy():
    assert "entropy" in warnings_of(START, START | {"probe/entropy": 0.9}, 0.0)
    assert not warnings_of(START, START | {"probe/entropy": 1.1}, 0.0)


@pytest.mark.parametrize("period", [2, 5, 9])
def test_rounds_that_go_in_circles(period):
    t = np.arange(2 * period + 2)[:, None]
    circle = np.cos(2 * np.pi * t / period + np.array([0, 2, 4]) * np.pi / 3) - 5
    text = oscillation(list(circle))
    assert text is not None
    assert f"over {len(t)} rounds" in text


@pytest.mark.parametrize(
    "path",
    [
        np.linspace(0, -9, 12),  # a drift
        -np.exp(-np.arange(12.0)),  # settles
        (-0.6) ** np.arange(12) * 3,  # oscillates, but dies out
        0.01 * (-1.0) ** np.arange(12),  # too little to speak of
        (-1.0) ** np.arange(3),  # too short
    ],
)
def test_rounds_that_do_not(path):
    assert oscillation([np.array([x, -x, 0.3 * x]) for x in path]) is None
