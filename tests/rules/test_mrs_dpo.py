"""MRS-DPO: the implicit optimum against mpmath and a general minimiser, and when there is none."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from prefdyn import MRSDPO, NoOptimum, PreferenceMatrix, games
from prefdyn.policies import log_softmax
from prefdyn.rules import bradley_terry_scores
from prefdyn.testing import games as any_game
from prefdyn.testing import policies


def exact_scores(P, mu, guess, digits=60):
    """Root of sum_j mu_j (sigmoid(r_i - r_j) - P_ij) = 0 with r_0 = 0, to `digits` digits."""
    K = len(mu)
    with mpmath.workdps(digits):
        weight = [mpmath.mpf(float(m)) for m in mu]
        win = [[mpmath.mpf(float(p)) for p in row] for row in P]

        def sigmoid(x):
            return 1 / (1 + mpmath.exp(-x))

        def equations(*free):
            r = (mpmath.mpf(0), *free)
            # Each is divided by its own weight already: no response is lost however rare.
            return [
                sum(weight[j] * (sigmoid(r[i] - r[j]) - win[i][j]) for j in range(K))
                for i in range(1, K)
            ]

        start = [float(g - guess[0]) for g in guess[1:]]
        root = mpmath.findroot(equations, start, tol=mpmath.mpf(10) ** (-2 * digits + 20))
        r = np.array([0.0, *(float(x) for x in root)])
    return r - r.mean()


def assert_scores(P, mu, tolerance):
    found = bradley_terry_scores(P, mu)
    exact = exact_scores(P, mu, found)
    assert np.abs(found - exact).max() <= tolerance * max(1.0, np.abs(exact).max())


@settings(max_examples=15)
@given(game=any_game(max_K=4, strength=0.499), data=st.data())
def test_scores_against_root_finding_at_60_digits(game, data):
    assert_scores(game.P, data.draw(policies(game.K)), 1e-10)


@pytest.mark.parametrize("rare", [1e-3, 1e-12, 1e-100, 1e-300])
def test_scores_where_a_response_is_almost_never_sampled(rare):
    P = games.random(3, 5, strength=0.45).P
    assert_scores(P, np.array([0.6, 0.4, rare]), 1e-12)
    assert_scores(P, np.array([1.0, rare, rare]), 1e-12)


def test_scores_between_two_responses_are_the_log_odds():
    """K = 2: the sampler does not matter, and r_1 - r_2 = log(p / (1 - p)) up to p = 1 - 1e-15."""
    for loss in (0.5, 0.1, 1e-3, 1e-9, 1e-15):
        P = np.array([[0.5, 1 - loss], [loss, 0.5]])
        r = bradley_terry_scores(P, np.array([0.9, 0.1]))
        # Entries 1 - loss carry rounding 1e-16 / loss, the size of the allowance.
        assert r[0] - r[1] == pytest.approx(np.log1p(-loss) - np.log(loss), abs=1e-9 + 2e-16 / loss)


@settings(max_examples=25)
@given(game=any_game(strength=0.45), data=st.data())
def test_a_round_minimises_the_population_loss(game, data):
    """A general-purpose minimiser of -sum mu_i mu_j P_ij log sigmoid(beta (u_i - u_j)) (DPO-1)."""
    mu, reference = data.draw(policies(game.K, spread=1.5)), data.draw(policies(game.K, spread=1.5))
    beta = data.draw(st.floats(0.2, 2.0))
    weights = mu[:, None] * mu * game.P

    def loss(u):
        return (weights * np.logaddexp(0, -beta * (u[:, None] - u))).sum()

    def gradient(u):
        pull = weights * beta / (1 + np.exp(beta * (u[:, None] - u)))
        return pull.sum(axis=0) - pull.sum(axis=1)

    best = minimize(loss, np.zeros(game.K), jac=gradient, method="BFGS", options={"gtol": 1e-12})
    rule = MRSDPO(game, beta, 0.0, 0.0, reference, mu)
    found = rule.log_policy(rule.update(np.zeros(game.K)))
    expected = log_softmax(np.log(reference) + best.x)
    np.testing.assert_allclose(found, expected, atol=1e-5)  # the minimiser's own accuracy
    assert loss(found - np.log(reference)) <= best.fun + 1e-14


@given(rewards=st.lists(st.floats(-4, 4), min_size=2, max_size=6), data=st.data())
def test_bradley_terry_games_give_their_rewards_back(rewards, data):
    mu = data.draw(policies(len(rewards)))
    found = bradley_terry_scores(games.bradley_terry(rewards).P, mu)
    np.testing.assert_allclose(found, np.array(rewards) - np.mean(rewards), atol=1e-10)


def test_certain_wins_on_a_cycle_have_an_optimum():
    """Rock, paper, scissors with certain wins: everyone can still be reached from everyone."""
    game = games.rock_paper_scissors(0.5)
    assert {0.0, 1.0} <= set(game.P.ravel())
    scores = bradley_terry_scores(game.P, np.array([0.5, 0.3, 0.2]))
    assert_scores(game.P, np.array([0.5, 0.3, 0.2]), 1e-12)
    assert np.ptp(scores) > 0.5
    MRSDPO(game, 0.5, 0.5, 1.0)


def test_without_a_way_back_there_is_no_optimum_and_the_groups_are_named():
    P = np.full((4, 4), 0.5)
    P[:2, 2:], P[2:, :2] = 1.0, 0.0
    with pytest.raises(NoOptimum) as error:
        MRSDPO(PreferenceMatrix(P, names=["a", "b", "c", "d"]), 0.5, 0.5, 1.0)
    assert "['a', 'b']" in str(error.value)
    assert "['c', 'd']" in str(error.value)
    assert "IPO" in str(error.value)


def test_the_game_of_a_batch_that_has_no_optimum_is_named():
    P = np.full((2, 2, 2), 0.5)
    P[1] = [[0.5, 1.0], [0.0, 0.5]]
    with pytest.raises(NoOptimum, match=r"no optimum in game \(1,\)"):
        MRSDPO(PreferenceMatrix(P), 0.5, 0.5, 1.0)


def test_a_response_that_is_never_sampled_has_no_score():
    game = games.rock_paper_scissors(0.3)
    with pytest.raises(NoOptimum, match="response 2 is never sampled"):
        MRSDPO(game, 0.5, 0.5, 0.0, offline=[0.5, 0.5, 0.0])
    MRSDPO(game, 0.5, 0.5, 0.1, offline=[0.5, 0.5, 0.0])  # sampled on-policy
