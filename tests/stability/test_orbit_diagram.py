"""Sweeps in both directions: known cascades, and hysteresis where there is some."""

from dataclasses import dataclass

import numpy as np
import pytest

from prefdyn import MRSDPO, MRSIPO, InputError, games, orbit_diagram
from tests.known_maps import KnownMap, Logistic

LINE = np.array([0.57, 0.43])


def dpo(a):
    """MRS-DPO on rock-paper-scissors, at alpha = 0 and lam = 1, and its critical beta (DPO-8)."""
    return MRSDPO(games.rock_paper_scissors(a), 1.0, 0.0, 1.0), 4 * a / np.sqrt(3)


def visited(diagram, name, index):
    return len(np.unique(np.round(diagram.policies[name][index, :, 0], 6)))


def test_the_logistic_cascade():
    values = np.array([2.8, 3.2, 3.5, 3.83])
    found = orbit_diagram(Logistic(3.0), "r", values, start=LINE, settle=400, keep=24)
    for name in found.directions:
        assert [visited(found, name, k) for k in range(4)] == [1, 2, 4, 3]
    x = np.log(found.policies["up"][0, -1, 0] / found.policies["up"][0, -1, 1])
    assert x == pytest.approx(1 - 1 / 2.8, abs=1e-9)
    assert not found.hysteresis.any()
    assert found.intervals == ()


@dataclass(eq=False)
class Cubic(KnownMap):
    """x' = x + (mu + x - x^3)/10: two branches between its folds at mu = +-2/(3 sqrt 3)."""

    mu: float

    def step(self, state, t, rng):
        return state + (self.mu + state - state**3) / 10


def test_two_branches_between_folds_make_a_loop():
    fold = 2 / (3 * np.sqrt(3))
    values = fold * np.array([-1.2, -1.01, -0.99, -0.5, 0.0, 0.5, 0.99, 1.01, 1.2])
    found = orbit_diagram(Cubic(0.0), "mu", values, settle=600, keep=10)
    assert list(found.hysteresis) == [abs(mu) < fold for mu in values]
    assert found.intervals == ((values[2], values[6]),)
    up, down = (found.policies[name][4, -1] for name in found.directions)
    assert np.log(up[0] / up[1]) == pytest.approx(-1, abs=1e-9)
    assert np.log(down[0] / down[1]) == pytest.approx(1, abs=1e-9)


@pytest.mark.slow
def test_strong_preferences_have_a_hysteresis_loop_under_dpo():
    """NS-4: at a = .48 a cycle lives beside the fixed point up to 1.025 beta_c."""
    rule, critical = dpo(0.48)
    ratios = np.array([0.98, 1.01, 1.018, 1.04])
    found = orbit_diagram(rule, "beta", ratios * critical, settle=1200, keep=50)
    assert list(found.hysteresis) == [False, True, True, False]
    assert found.intervals == ((1.01 * critical, 1.018 * critical),)
    # Up (from small beta) the cycle is kept, down the fixed point.
    assert np.abs(found.policies["up"][1] - 1 / 3).max() > 0.3
    assert np.abs(found.policies["down"][1] - 1 / 3).max() < 1e-3
    assert found.distance[1] > 0.1


@pytest.mark.slow
def test_ipo_on_rock_paper_scissors_has_none():
    """A slow return near the boundary is not taken for hysteresis, nor is a slow departure."""
    rule = MRSIPO(games.rock_paper_scissors(0.3), 1.0, 0.0, 1.0)
    ratios = np.array([0.98, 0.998, 1.002, 1.02])
    found = orbit_diagram(rule, "beta", ratios * 0.3 / np.sqrt(3), settle=500, keep=30)
    assert not found.hysteresis.any()


def test_a_single_direction_compares_nothing():
    found = orbit_diagram(
        Logistic(3.0), "r", [3.2, 3.3], start=LINE, settle=10, keep=8, direction="down"
    )
    assert set(found.policies) == {"down"}
    assert found.policies["down"].shape == (2, 8, 2)
    assert np.isnan(found.distance).all()
    assert found.intervals == ()


def test_what_cannot_be_swept_is_refused():
    with pytest.raises(InputError, match="no parameter"):
        orbit_diagram(Logistic(3.0), "q", [1.0, 2.0])
    with pytest.raises(InputError, match="ascending"):
        orbit_diagram(Logistic(3.0), "r", [3.0, 2.0])
    with pytest.raises(InputError, match="not an array of numbers"):
        orbit_diagram(Logistic(3.0), "r", "all")  # pyright: ignore
    with pytest.raises(InputError, match="direction 'sideways'"):
        orbit_diagram(Logistic(3.0), "r", [2.0, 3.0], direction="sideways")
    with pytest.raises(InputError, match="batch"):
        orbit_diagram(MRSIPO(games.rock_paper_scissors(0.3), np.ones(2), 0.5, 1.0), "lam", [0.5])
