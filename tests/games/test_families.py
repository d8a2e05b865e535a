"""Families of games against their defining formulas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from prefdyn._errors import InputError
from prefdyn.games import (
    bradley_terry,
    condorcet_over_cycle,
    contains_cycle,
    cycle,
    cyclic_share,
    is_strongly_transitive,
    random,
    rock_paper_scissors,
    strongly_transitive,
)


def test_rock_paper_scissors_as_written():
    A = [[0, 0.4, -0.4], [-0.4, 0, 0.4], [0.4, -0.4, 0]]
    np.testing.assert_allclose(rock_paper_scissors(0.4).skew, A, atol=1e-16)
    batch = rock_paper_scissors([0.0, 0.25, 0.5])
    assert batch.batch_shape == (3,)
    np.testing.assert_array_equal(batch[2].P, rock_paper_scissors(0.5).P)
    assert batch[2].P.max() == 1


@given(st.integers(3, 12), st.floats(0.01, 0.5))
def test_a_cycle_beats_next_loses_to_previous_and_ties_the_rest(K, a):
    game = cycle(K, a)
    i = np.arange(K)
    np.testing.assert_allclose(game.P[i, (i + 1) % K], 0.5 + a, atol=1e-15)
    assert np.count_nonzero(game.skew) == 2 * K
    np.testing.assert_allclose(game.skew.sum(axis=1), 0, atol=1e-15)


def test_the_cycle_of_three_is_rock_paper_scissors():
    np.testing.assert_array_equal(cycle(3, 0.3).P, rock_paper_scissors(0.3).P)


def test_bradley_terry_is_the_sigmoid_of_the_reward_gap():
    rewards = np.array([[2.0, 1.0, 0.0, -1.0], [0.0, 50.0, -800.0, 3.0]])
    gap = rewards[..., :, None] - rewards[..., None, :]
    np.testing.assert_allclose(bradley_terry(rewards).P, expit(gap), rtol=1e-12, atol=1e-16)
    assert is_strongly_transitive(bradley_terry(rewards)).all()


@pytest.mark.parametrize("strict", [False, True])
def test_strongly_transitive_draws_follow_their_recipe(strict):
    games = strongly_transitive(5, 3, strict=strict, size=400)
    assert is_strongly_transitive(games, strict=True).all()
    assert (np.diff(games.P, axis=-2) < 0).all()  # response 0 is the best
    top = games.skew.max(axis=(-1, -2)) / 0.49
    assert 0.3 <= top.min() < 0.32
    assert 0.98 < top.max() <= 1


@pytest.mark.parametrize(("strict", "least"), [(False, 0.0), (True, 0.05)])
def test_strongly_transitive_is_the_recursion_it_says(strict, least):
    K, rng = 4, np.random.default_rng(3)
    W = rng.exponential(size=(K, K)) + least
    M = np.zeros((K, K))
    for i in reversed(range(K)):
        for j in range(i + 1, K):
            below = M[i + 1, j] if i + 1 < j else 0.0
            M[i, j] = max(M[i, j - 1], below) + W[i, j]
    M *= 0.49 * rng.uniform(0.3, 1) / M.max()
    game = strongly_transitive(K, 3, strict=strict)
    np.testing.assert_allclose(game.skew, M - M.T, atol=1e-15)


def test_condorcet_over_cycle_as_written():
    game = condorcet_over_cycle(0.02, 0.482)
    np.testing.assert_allclose(game.P[0], [0.5, 0.52, 0.52, 0.52], atol=1e-15)
    np.testing.assert_array_equal(game.P[1:, 1:], rock_paper_scissors(0.482).P)
    assert condorcet_over_cycle([[0.1], [0.2]], [0.3, 0.4, 0.5]).batch_shape == (2, 3)


def test_random_games_are_uniform_within_their_strength():
    games = random(4, 0, size=(500, 8), strength=0.48)
    assert games.batch_shape == (500, 8)
    entries = games.skew[..., *np.triu_indices(4, 1)].ravel()
    assert np.abs(entries).max() <= 0.48
    assert entries.var() == pytest.approx(0.48**2 / 3, rel=0.05)
    assert 0 < contains_cycle(games).mean() < 1
    np.testing.assert_array_equal(random(4, 9).P, random(4, 9).P)


def test_hodge_share_separates_reward_models_from_cycles():
    assert cyclic_share(rock_paper_scissors(0.4)) == pytest.approx(1)
    assert cyclic_share(bradley_terry([0.02, 0.01, 0.0])) < 1e-6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rock_paper_scissors(0.51), r"a = 0.51 must lie in \[0, 0.5\]"),
        (lambda: rock_paper_scissors([0.1, np.nan]), "a = nan"),
        (lambda: cycle(2, 0.1), "K is 2"),
        (lambda: condorcet_over_cycle(-0.1, 0.3), "margin = -0.1"),
        (lambda: bradley_terry([1.0]), "at least two"),
        (lambda: bradley_terry([1.0, np.inf]), "finite"),
        (lambda: random(1, 0), "K is 1"),
        (lambda: strongly_transitive(2.5, 0), "K is 2.5"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_bad_parameters_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
