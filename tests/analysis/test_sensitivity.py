"""The checks can fail: a small error in the package makes the claims about it fail."""

import numpy as np
import pytest

from analysis._harness import examine
from prefdyn import DPO, IPO, MRSDPO, MRSIPO
from prefdyn.rules import DrivenRule, Jacobian


def fails(id):
    return examine(id, scale=0.1)["verdict"] == "fails"


def scaled(method, factor):
    """The method with its result off by a factor."""
    return lambda self, *args: method(self, *args) * factor


def loss_at_another_beta(kind):
    """The loss with 1 % more beta; symbols pass unharmed, or cached derivations would suffer."""
    right = kind.loss

    def wrong(self, pair, xp=None, stats=None):
        symbolic = type(pair.chosen).__module__.startswith("sympy")
        return right(self if symbolic else kind(1.01 * self.beta), pair)

    return wrong


@pytest.mark.parametrize("id", ["IPO-1", "IPO-2", "IPO-9"])
def test_a_wrong_ipo_loss_is_caught(id, monkeypatch):
    monkeypatch.setattr(IPO, "loss", loss_at_another_beta(IPO))
    assert fails(id)


@pytest.mark.parametrize("id", ["IPO-1", "IPO-3", "IPO-5", "IPO-7", "IPO-8", "IPO-9"])
def test_a_wrong_ipo_rule_is_caught(id, monkeypatch):
    drive = MRSIPO.drive

    def wrong(self, mu):
        return drive(self, np.roll(np.asarray(mu), 1, axis=-1)) * 1.001

    monkeypatch.setattr(MRSIPO, "drive", wrong)
    assert fails(id)


@pytest.mark.parametrize("id", ["IPO-4", "IPO-6", "DPO-3"])
def test_a_reversed_ranking_is_caught(id, monkeypatch):
    monkeypatch.setattr(MRSIPO, "drive", scaled(MRSIPO.drive, -1))
    assert fails(id)


@pytest.mark.parametrize("id", ["DPO-1", "DPO-9", "DPO-10"])
def test_a_wrong_dpo_loss_is_caught(id, monkeypatch):
    monkeypatch.setattr(DPO, "loss", loss_at_another_beta(DPO))
    assert fails(id)


@pytest.mark.parametrize("id", ["DPO-1", "DPO-2", "DPO-4", "DPO-5", "DPO-6"])
def test_wrong_dpo_scores_are_caught(id, monkeypatch):
    monkeypatch.setattr(MRSDPO, "drive", scaled(MRSDPO.drive, 0.99))
    assert fails(id)


@pytest.mark.parametrize("id", ["DPO-5", "DPO-6", "DPO-8"])
def test_a_wrong_dpo_derivative_is_caught(id, monkeypatch):
    monkeypatch.setattr(MRSDPO, "drive_along", scaled(MRSDPO.drive_along, 1.001))
    assert fails(id)


def test_a_wrong_spectrum_is_caught(monkeypatch):
    jacobian = DrivenRule.jacobian

    def wrong(self, state):
        matrix, by = jacobian(self, state)
        return Jacobian(1.001 * matrix, by)

    monkeypatch.setattr(DrivenRule, "jacobian", wrong)
    assert fails("DPO-7")
