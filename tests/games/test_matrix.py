"""PreferenceMatrix: what it refuses, what it keeps, and the uncertainty of its votes."""

import copy
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from prefdyn._errors import InputError
from prefdyn.games import PreferenceMatrix
from prefdyn.testing import games

VOTES = np.array([[0, 30, 12.5], [10, 0, 21], [7.5, 19, 0]])
NAMES = ("a", "b", "c")


@pytest.mark.parametrize(
    ("P", "message"),
    [
        ([[0.5, 0.6], [0.5, 0.5]], r"P\[0, 1\] \+ P\[1, 0\] = 1.1"),
        ([[0.5, 1.2], [-0.2, 0.5]], r"P\[0, 1\] = 1.2 is not a probability"),
        ([[0.4, 0.5], [0.5, 0.5]], r"P\[0, 0\] = 0.4, but a diagonal entry must be 0.5"),
        ([[0.5, np.nan], [0.5, 0.5]], r"P\[0, 1\] is NaN"),
        ([[0.5, np.inf], [0.5, 0.5]], r"P\[0, 1\] = inf is not a probability"),
        ([[0.5, 0.5]], r"shape \(1, 2\)"),
        ([0.5, 0.5], r"shape \(2,\)"),
        ([[0.5]], "K = 1"),
        ([[0.5, 0.5], [0.5]], "rows of equal length"),
        ([["x", "y"], ["z", "w"]], "numbers"),
    ],
)
def test_a_bad_matrix_is_refused_with_the_entry(P, message):
    with pytest.raises(InputError, match=message) as caught:
        PreferenceMatrix(P)
    assert "\n" not in str(caught.value)


def test_an_error_in_a_batch_names_the_game():
    P = np.full((4, 2, 2), 0.5)
    P[2, 1, 0] = 0.7
    with pytest.raises(InputError, match=r"P\[2, 0, 1\] \+ P\[2, 1, 0\]"):
        PreferenceMatrix(P)


@pytest.mark.parametrize("error", [0.9e-9, 1.1e-9])
def test_the_sum_of_a_pair_may_be_off_by_1e_9_and_is_never_repaired(error):
    P = np.array([[0.5, 0.7], [0.3 + error, 0.5]])
    if error > 1e-9:
        with pytest.raises(InputError):
            PreferenceMatrix(P)
    else:
        np.testing.assert_array_equal(PreferenceMatrix(P).P, P)


@pytest.mark.parametrize(
    ("names", "message"),
    [(["a"], "1 names for 2"), (["a", "a"], "twice"), ("ab", "list"), ([1, 2], "list")],
)
def test_bad_names_are_refused(names, message):
    with pytest.raises(InputError, match=message):
        PreferenceMatrix(np.full((2, 2), 0.5), names)


@given(games())
def test_the_skew_part_is_skew_and_relabelling_permutes_it(game):
    np.testing.assert_allclose(game.skew, -game.skew.T, rtol=0, atol=1e-15)
    order = np.arange(game.K)[::-1]
    np.testing.assert_array_equal(game.restrict(order).P, game.P[np.ix_(order, order)])


def test_a_game_cannot_be_changed():
    given_P = np.array([[0.5, 0.7], [0.3, 0.5]])
    game = PreferenceMatrix(given_P)
    given_P[0, 1] = 0.1
    assert game.P[0, 1] == 0.7
    for change in (
        lambda: setattr(game, "P", given_P),
        lambda: game.P.__setitem__((0, 1), 0.1),
        lambda: game.skew.__setitem__((0, 1), 0.1),
        lambda: pickle.loads(pickle.dumps(game)).P.__setitem__((0, 1), 0.1),
        lambda: copy.deepcopy(game).P.__setitem__((0, 1), 0.1),
    ):
        with pytest.raises((FrozenInstanceError, ValueError)):
            change()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(game)).P, game.P)


def test_indexing_takes_batch_axes_only():
    batch = PreferenceMatrix.from_wins(VOTES, names=NAMES, source="here").bootstrap(6, 0)
    np.testing.assert_array_equal(batch[2].P, batch.P[2])
    assert batch.counts is not None
    np.testing.assert_array_equal(batch[1:4].counts, batch.counts[1:4])
    picked = batch[np.array([True, False, True, False, False, False])]
    np.testing.assert_array_equal(picked.P, batch.P[[0, 2]])
    assert [one.K for one in batch] == [3] * 6
    assert batch[0].names == NAMES
    assert batch[0].source == "here"
    assert batch[0].prior == 0.5
    assert batch[:0].batch_shape == (0,)
    with pytest.raises(IndexError):
        batch[0, 1]
    with pytest.raises(IndexError):
        batch[6]
    with pytest.raises(TypeError, match="one game"):
        iter(batch[0])


def test_restrict_keeps_names_and_votes_and_refuses_repeats():
    game = PreferenceMatrix.from_wins(VOTES, names=NAMES).restrict([2, 0])
    assert game.names == ("c", "a")
    np.testing.assert_array_equal(game.counts, [[0, 7.5], [12.5, 0]])
    with pytest.raises(InputError, match="distinct"):
        game.restrict([0, 0])


def test_wins_give_the_posterior_mean():
    game = PreferenceMatrix.from_wins([[0, 3], [1, 0]], prior=0.5)
    assert game.P[0, 1] == pytest.approx(stats.beta(3.5, 1.5).mean(), abs=1e-15)
    frequency = PreferenceMatrix.from_wins([[0, 3], [1, 0]], prior=0)
    assert frequency.P[0, 1] == 0.75
    assert frequency.P[0, 0] == 0.5


def test_an_uncompared_pair_gets_a_half_from_the_prior_only():
    wins = [[0, 3, 0], [1, 0, 2], [0, 2, 0]]
    assert PreferenceMatrix.from_wins(wins, prior=0.5).P[0, 2] == 0.5
    with pytest.raises(InputError, match=r"a and c were never compared .* P\[0, 2\]"):
        PreferenceMatrix.from_wins(wins, prior=0, names=NAMES)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([[0, -1], [2, 0]], r"counts\[0, 1\] = -1"),
        ([[0, np.nan], [2, 0]], r"counts\[0, 1\] = nan"),
        ([[0, np.inf], [2, 0]], r"counts\[0, 1\] = inf"),
        ([[3, 1], [2, 0]], r"counts\[0, 0\] = 3 is a comparison of a response with itself"),
        ([[0, 1, 2]], r"shape \(1, 3\)"),
    ],
)
def test_bad_counts_are_refused_with_the_entry(counts, message):
    with pytest.raises(InputError, match=message):
        PreferenceMatrix.from_wins(counts)


@pytest.mark.parametrize("prior", [-0.1, np.nan, np.inf])
def test_a_bad_prior_is_refused(prior):
    with pytest.raises(InputError, match="prior"):
        PreferenceMatrix.from_wins(VOTES, prior)


def test_unlinked_responses_are_refused_by_group():
    wins = np.zeros((4, 4))
    wins[0, 1] = wins[3, 2] = 1
    with pytest.raises(InputError, match=r"\{a, b\} and \{c, d\}"):
        PreferenceMatrix.from_wins(wins, names=["a", "b", "c", "d"])
    batch = np.stack([np.ones((4, 4)) - np.eye(4), wins])
    with pytest.raises(InputError, match=r"\{response 0, response 1\} .* in game \[1\]"):
        PreferenceMatrix.from_wins(batch)


def test_draws_follow_the_posterior():
    game = PreferenceMatrix.from_wins(VOTES, prior=0.5)
    draws = game.draw(4000, 7)
    assert draws.batch_shape == (4000,)
    assert draws.counts is None
    for i, j in ((0, 1), (2, 0)):
        posterior = stats.beta(VOTES[i, j] + 0.5, VOTES[j, i] + 0.5)
        assert stats.kstest(draws.P[:, i, j], posterior.cdf).pvalue > 1e-3
    # pairs are independent a posteriori
    assert abs(np.corrcoef(draws.P[:, 0, 1], draws.P[:, 0, 2])[0, 1]) < 5 / np.sqrt(4000)


def test_resamples_are_binomial_and_keep_the_number_of_votes():
    game = PreferenceMatrix.from_wins(VOTES, prior=0.25)
    again = game.bootstrap(4000, 7)
    assert again.prior == 0.25
    assert again.counts is not None
    totals = again.counts + again.counts.swapaxes(1, 2)
    np.testing.assert_array_equal(totals, np.broadcast_to(VOTES + VOTES.T, totals.shape))
    won, n, p = again.counts[:, 0, 1], 40, 0.75
    assert won.mean() == pytest.approx(n * p, abs=5 * np.sqrt(n * p * (1 - p) / 4000))
    assert won.var() == pytest.approx(n * p * (1 - p), rel=5 * np.sqrt(2 / 4000))


@pytest.mark.parametrize("method", ["draw", "bootstrap"])
def test_a_seed_repeats_and_batches_are_sampled_game_by_game(method):
    batch = PreferenceMatrix.from_wins(np.stack([VOTES, VOTES.T]))
    first, second = (getattr(batch, method)(3, 5) for _ in range(2))
    np.testing.assert_array_equal(first.P, second.P)
    assert first.batch_shape == (3, 2)
    generator = np.random.default_rng(5)
    np.testing.assert_array_equal(getattr(batch, method)(3, generator).P, first.P)
    assert not np.array_equal(getattr(batch, method)(3, generator).P, first.P)


@pytest.mark.parametrize("method", ["draw", "bootstrap"])
def test_uncertainty_needs_votes_and_a_positive_number(method):
    with pytest.raises(InputError, match=f"{method}.. needs votes"):
        getattr(PreferenceMatrix(np.full((2, 2), 0.5)), method)(3, 0)
    with pytest.raises(InputError, match="n is 0"):
        getattr(PreferenceMatrix.from_wins(VOTES), method)(0, 0)


def test_a_posterior_that_does_not_exist_is_refused():
    sure = PreferenceMatrix.from_wins([[0, 3], [0, 0]], prior=0)
    assert sure.P[0, 1] == 1
    with pytest.raises(InputError, match=r"counts\[0, 1\] or its opposite is 0"):
        sure.draw(2, 0)
    assert (sure.bootstrap(5, 0).P[:, 0, 1] == 1).all()


def test_weighted_votes_cannot_be_resampled():
    with pytest.raises(InputError, match=r"add up to 3.5"):
        PreferenceMatrix.from_wins([[0, 1.5], [2, 0]]).bootstrap(2, 0)


@given(st.integers(2, 200))
def test_large_games_are_made_as_easily(K):
    assert PreferenceMatrix(np.full((K, K), 0.5)).K == K
