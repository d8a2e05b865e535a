"""The checks of iterated rounds can fail: a small error in the package is caught."""

import numpy as np
import pytest

from analysis._harness import examine
from prefdyn import MRSIPO, Inexact
from prefdyn.rules import DrivenRule, Jacobian


def fails(id):
    return examine(id, scale=0.1)["verdict"] == "fails"


@pytest.mark.parametrize("id", ["MRS-1", "MRS-3", "MRS-11", "MRS-12", "RND-4"])
def test_a_wrong_drive_is_caught(id, monkeypatch):
    drive = MRSIPO.drive
    monkeypatch.setattr(MRSIPO, "drive", lambda self, mu: 0.99 * drive(self, mu))
    assert fails(id)


def test_a_drive_beyond_the_mirror_descent_bound_is_caught(monkeypatch):
    drive = MRSIPO.drive
    monkeypatch.setattr(MRSIPO, "drive", lambda self, mu: 4 * drive(self, mu))
    assert fails("MRS-9")


@pytest.mark.parametrize("id", ["MRS-1", "MRS-2"])
def test_a_wrong_mixture_of_references_is_caught(id, monkeypatch):
    mixed = MRSIPO.mixed_reference
    monkeypatch.setattr(MRSIPO, "mixed_reference", lambda self, theta: 1.05 * mixed(self, theta))
    assert fails(id)


@pytest.mark.parametrize(
    "id", ["MRS-4", "MRS-6", "MRS-7", "MRS-10", "MRS-14", "RND-2", "NS-2", "NS-3", "NS-6"]
)
def test_a_wrong_jacobian_is_caught(id, monkeypatch):
    jacobian = DrivenRule.jacobian

    def wrong(self, state):
        matrix, by = jacobian(self, state)
        return Jacobian(1.002 * matrix, by)

    monkeypatch.setattr(DrivenRule, "jacobian", wrong)
    assert fails(id)


@pytest.mark.parametrize("id", ["RND-1", "RND-2", "RND-4"])
def test_a_wrong_fraction_of_a_round_is_caught(id, monkeypatch):
    def wrong(self, state, t, rng):
        kappa = np.asarray(self.kappa)[..., None] ** 1.05
        return state + kappa * (self.rule.step(state, t, rng) - state)

    monkeypatch.setattr(Inexact, "step", wrong)
    assert fails(id)
