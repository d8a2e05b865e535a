"""Lyapunov exponents against maps whose exponents are known, and our own multipliers."""

import numpy as np
import pytest

from prefdyn import (
    MRSDPO,
    MRSIPO,
    InputError,
    InsufficientData,
    Momentum,
    games,
    lyapunov,
    stability,
)
from tests.known_maps import CircleMap, DelayedLogistic, Henon, Logistic

A = 0.4


def inside(x):
    """Start of a map of the line at the state x."""
    return np.array([1 / (1 + np.exp(-x)), 1 / (1 + np.exp(x))])


PLANE = np.exp([0.1, 0.1, 0]) / np.exp([0.1, 0.1, 0]).sum()


def test_the_logistic_map_at_4_has_ln_2():
    found = lyapunov(Logistic(4.0), inside(0.3), rounds=1500, settle=200)
    assert abs(found.maximal - np.log(2)) < 4 * found.errors[0]
    assert found.errors[0] < 0.01


def test_a_cycle_has_the_logarithm_of_its_multiplier():
    r = 3.2
    found = lyapunov(Logistic(r), inside(0.3), rounds=400, settle=400)
    assert found.maximal == pytest.approx(np.log(abs(4 + 2 * r - r**2)) / 2, abs=1e-8)
    assert found.errors[0] < 1e-10


def test_henon_and_its_exact_sum():
    found = lyapunov(Henon(), PLANE, rounds=2000, settle=200)
    assert abs(found.maximal - 0.419) < 4 * found.errors[0]
    assert found.exponents.sum() == pytest.approx(np.log(0.3), abs=1e-9)
    assert found.dimension == pytest.approx(1.26, abs=0.02)


def test_a_closed_curve_has_exponent_zero():
    start = np.exp([0.4, 0.5, 0]) / np.exp([0.4, 0.5, 0]).sum()
    found = lyapunov(DelayedLogistic(2.1), start, rounds=1500, settle=1500)
    assert abs(found.exponents[0]) < 4 * found.errors[0] < 0.02
    assert found.exponents[1] < -0.1
    assert found.dimension == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("rule", [MRSIPO, MRSDPO])
def test_at_a_fixed_point_they_are_the_logarithms_of_the_multipliers(rule):
    recipe = rule(games.random(4, 3, strength=0.4), 1.5, 0.4, 0.7)
    expected = np.log(np.abs(stability(recipe).multipliers))
    found = lyapunov(recipe, rounds=600, settle=100)
    # The frame turns with complex pairs: the average is off by (bounded term)/rounds.
    assert found.exponents == pytest.approx(expected, abs=3e-3)


def test_a_batch_has_the_exponents_of_its_rules():
    betas, alphas = np.array([0.2, 0.5]), np.array([0.0, 0.5, 0.8])
    game = games.rock_paper_scissors(A)
    both = lyapunov(MRSIPO(game, betas[:, None], alphas, 1.0), rounds=300, settle=500)
    assert both.exponents.shape == (2, 3, 2)
    one = lyapunov(MRSIPO(game, betas[1], alphas[2], 1.0), rounds=300, settle=500)
    assert both.exponents[1, 2] == pytest.approx(one.exponents, abs=1e-9)


def test_fewer_exponents_are_the_first():
    rule = Momentum(MRSIPO(games.rock_paper_scissors(A), 0.6, 0.5, 1.0), 0.3)
    every = lyapunov(rule, rounds=300, settle=200).exponents
    assert len(every) == 4
    assert lyapunov(rule, rounds=300, settle=200, count=2).exponents == pytest.approx(every[:2])


def test_a_direction_that_is_forgotten_has_minus_infinity():
    found = lyapunov(CircleMap(0.0, 1.0), rounds=200, settle=500)  # x' = x - sin(2 pi x)/2 pi
    assert found.maximal < -10


def test_what_cannot_be_known_is_refused():
    rule = MRSIPO(games.rock_paper_scissors(A), 0.5, 0.5, 1.0)
    with pytest.raises(InsufficientData, match="at least 200"):
        lyapunov(rule, rounds=100)
    with pytest.raises(InputError, match="only 2 directions"):
        lyapunov(rule, count=3)
    with pytest.raises(InsufficientData, match="left every bound"):
        lyapunov(Logistic(3.2), inside(-0.3), rounds=300)
    # A slow drift from one multiplier to another: the halves disagree.
    threshold = A / np.sqrt(3 * 0.75)
    start = 1 / 3 + np.array([1e-6, 0, -1e-6])
    with pytest.raises(InsufficientData, match="has not settled"):
        lyapunov(rule.replace(beta=threshold / 1.02), start, 1500, settle=0)


def test_a_run_that_leaves_every_bound_costs_its_batch_nothing():
    found = lyapunov(Logistic(np.array([[3.2], [6.0]])), inside(0.3), rounds=300, settle=100)
    alone = lyapunov(Logistic(3.2), inside(0.3), rounds=300, settle=100)
    assert found.exponents[0] == pytest.approx(alone.exponents)
    assert np.isnan(found.exponents[1]).all()
    assert np.isnan(found.errors[1]).all()
