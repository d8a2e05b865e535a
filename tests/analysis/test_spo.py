"""The checks of SPO-* can fail: a small error in the package makes the claims about it fail."""

import numpy as np
import pytest

from analysis._check import judge
from analysis._harness import examine
from analysis.stable_preference_optimisation import bounds, one_pair, penalty, population
from prefdyn import DPO
from prefdyn.objectives import SPO
from prefdyn.policies import LogLinear, Tabular


def fails(id):
    return examine(id, scale=0.03)["verdict"] == "fails"


def loss_at_another_beta(kind):
    """The loss with 1 % more beta; symbols pass unharmed, or cached derivations would suffer."""
    right = kind.loss

    def wrong(self, pair, xp=None, stats=None):
        symbolic = type(pair.chosen).__module__.startswith("sympy")
        return right(self if symbolic else kind(1.01 * self.beta), pair)

    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("id", ["SPO-1", "SPO-4", "SPO-5", "SPO-6", "SPO-7"])
def test_a_wrong_loss_is_caught(id, monkeypatch):
    monkeypatch.setattr(DPO, "loss", loss_at_another_beta(DPO))
    assert fails(id)


def test_a_wrong_loss_bends_the_trajectory(monkeypatch):
    monkeypatch.setattr(DPO, "loss", loss_at_another_beta(DPO))
    assert judge(one_pair.Trajectory(), scale=0.1)["verdict"] == "fails"


def test_a_table_that_pushes_without_normalising_is_caught(monkeypatch):
    def wrong(self, params, pushes):
        return pushes[..., 0] * (1 + 0.01 * np.arange(self.K))

    monkeypatch.setattr(Tabular, "direction", wrong)
    for id in ("SPO-1", "SPO-2", "SPO-5", "SPO-7"):
        assert fails(id), id


def test_features_that_are_not_centred_are_caught(monkeypatch):
    def wrong(self, params, pushes):
        return self.back(params, self.by_prompt(pushes[..., 0]))

    monkeypatch.setattr(LogLinear, "direction", wrong)
    assert fails("SPO-6")
    assert judge(bounds.ChosenRises(), scale=0.05)["verdict"] == "fails"


def test_a_weaker_penalty_is_caught(monkeypatch):
    right = SPO.loss

    def wrong(self, pair, xp=None, stats=None):
        return 0.99 * right(self, pair, xp, stats)

    monkeypatch.setattr(SPO, "loss", wrong)
    assert fails("SPO-6")


@pytest.mark.slow
def test_without_its_likelihood_the_population_is_not_repaired(monkeypatch):
    methods = {name: (loss, 0.0, n) for name, (loss, _, n) in population.METHODS.items()}
    monkeypatch.setattr(population, "METHODS", methods)
    monkeypatch.setattr(population, "STEPS", 300)
    population.trained.cache_clear()
    try:
        assert fails("SPO-9")
    finally:
        population.trained.cache_clear()


@pytest.mark.parametrize("beta", [0.05, 0.5])
def test_the_push_solves_its_equation(beta):
    t = np.geomspace(1e-6, 1e6, 30)
    x = one_pair.push_at(t, beta)
    np.testing.assert_allclose(
        2 * beta * x + np.expm1(2 * beta * x), 2 * beta**2 * t, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("nu", [1e-3, 0.1, 10.0])
def test_the_gain_solves_its_equation(nu):
    m, left = penalty.gained(0.1, 0.3, 0.2, nu)
    assert 0 < m <= 0.3
    ratio = np.log((0.1 + m) / 0.1) - left
    assert m == pytest.approx(0.2 / nu / (1 + np.exp(0.2 * ratio)), rel=1e-9)
