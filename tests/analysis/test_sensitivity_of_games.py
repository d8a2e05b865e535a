"""The checks of game solvers can fail: a small error in the package is caught."""

import pytest

from analysis._harness import examine
from prefdyn import EGPO, MRSIPO, NashMD, SampledDPO
from prefdyn.rules import PairGradient


def fails(id):
    return examine(id, scale=0.1)["verdict"] == "fails"


@pytest.mark.parametrize(
    ("id", "factor"), [("GAME-1", 0.99), ("GAME-2", 0.99), ("GAME-3", 0.99), ("GAME-7", -1.0)]
)
def test_a_wrong_drive_is_caught(id, factor, monkeypatch):
    drive = MRSIPO.drive
    monkeypatch.setattr(MRSIPO, "drive", lambda self, mu: factor * drive(self, mu))
    assert fails(id)


@pytest.mark.parametrize(("id", "rule"), [("GAME-4", EGPO), ("GAME-5", NashMD)])
def test_a_wrong_step_is_caught(id, rule, monkeypatch):
    step = rule._step

    def wrong(self, theta, *others):
        return step(self, 1.01 * theta, *others)

    monkeypatch.setattr(rule, "_step", wrong)
    assert fails(id)


def test_a_wrong_gradient_is_caught(monkeypatch):
    moved = PairGradient._moved

    def wrong(self, theta, votes):
        return theta + 1.01 * (moved(self, theta, votes) - theta)

    monkeypatch.setattr(PairGradient, "_moved", wrong)
    assert fails("GAME-6")
    assert fails("GAME-9")


@pytest.mark.parametrize("id", ["GAME-8", "GAME-9", "GAME-10"])
def test_a_wrong_sampler_is_caught(id, monkeypatch):
    weights = SampledDPO.log_weights
    monkeypatch.setattr(
        SampledDPO,
        "log_weights",
        lambda self, theta: 0.9 * weights(self, theta) + 0.1 * theta[..., None],
    )
    assert fails(id)
