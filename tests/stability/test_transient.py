"""Transient growth of Jacobians that are not normal."""

import numpy as np
import pytest

from prefdyn import (
    MRSIPO,
    InputError,
    InsufficientData,
    Momentum,
    games,
    stability,
    transient_growth,
)
from tests.known_maps import KnownMap


class Linear(KnownMap):
    """state' = M state."""

    size = 2

    def __init__(self, M):
        self.M = np.array(M, dtype=float)

    def step(self, state, t, rng):
        return state @ self.M.T


def test_a_jordan_like_block():
    """M^t = [[r^t, t c r^(t-1)], [0, r^t]] peaks near t = -1/log r."""
    r, c = 0.9, 1.0
    found = transient_growth(Linear([[r, c], [0, r]]), [1 / 3] * 3)
    t = np.arange(201)
    exact = [np.linalg.norm([[r**s, s * c * r ** (s - 1) if s else 0], [0, r**s]], 2) for s in t]
    np.testing.assert_allclose(found.growth, exact, rtol=1e-6)
    assert found.peak_round == np.argmax(exact)
    assert found.reactivity == pytest.approx(np.log(exact[1]))
    assert found.peak / (2 * np.e) <= found.kreiss <= found.peak  # Kreiss, m = 2
    M = np.array([[r, c], [0, r]])
    grown = np.linalg.matrix_power(M, found.peak_round) @ found.perturbation
    assert np.linalg.norm(grown) == pytest.approx(found.peak, rel=1e-6)


def test_normal_matrices_never_grow():
    found = transient_growth(Linear([[0.5, -0.6], [0.6, 0.5]]), [1 / 3] * 3)
    assert (found.peak, found.peak_round) == (1, 0)
    assert found.reactivity == pytest.approx(np.log(found.spectral_radius))


def test_ipo_rounds_never_move_away_in_the_metric_of_kl():
    """There its Jacobian is alpha plus a skew matrix, so ||M^t|| is the radius to the t."""
    rule = MRSIPO(games.rock_paper_scissors(0.4), 0.25, 0.5, 1.0, [0.9, 0.09, 0.01])
    radius = stability(rule).spectral_radius
    assert radius < 1
    in_kl = transient_growth(rule, norm="kl", rounds=50)
    np.testing.assert_allclose(in_kl.growth, radius ** np.arange(51), rtol=1e-6)
    assert transient_growth(rule).peak > 1  # in logits they do


def test_a_memory_lets_perturbations_grow():
    rule = Momentum(MRSIPO(games.rock_paper_scissors(0.4), 1.0, 0.5, 1.0), 0.5)
    found = transient_growth(rule)
    assert found.peak > 1.4
    start = stability(rule).point.state
    moved = rule.step(start + 1e-6 * found.perturbation, 0, None) - start
    assert np.linalg.norm(moved) == pytest.approx(1e-6 * found.growth[1], rel=1e-5)
    with pytest.raises(InputError, match="leave the policy where it is"):
        transient_growth(rule, norm="kl")


def test_what_has_no_transient_is_refused():
    with pytest.raises(InputError, match=r"not stable \(spectral radius 1\.1"):
        transient_growth(Linear([[1.1, 0], [0, 0.5]]), [1 / 3] * 3)
    with pytest.raises(InsufficientData, match="after 5 rounds"):
        transient_growth(Linear([[0.9, 1], [0, 0.9]]), [1 / 3] * 3, rounds=5)
