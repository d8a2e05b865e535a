"""Best responses, gaps, win rates, distances, averages, Nash equilibria."""

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from prefdyn import InputError, InsufficientData, fixed_point, online_mirror_descent, orbit, sppo
from prefdyn.games import (
    PreferenceMatrix,
    best_response,
    duality_gap,
    kl_to,
    nash_conv,
    nash_equilibrium,
    random,
    rock_paper_scissors,
    time_average,
    win_rate,
)
from prefdyn.policies import log_softmax, softmax
from prefdyn.testing import games, policies

quick = settings(max_examples=10)
RPS = rock_paper_scissors(0.4)
TWO = rock_paper_scissors([0.3, 0.4])
THREE = np.full((3, 3), 1 / 3)


def value(game, p, q, tau, ref):
    return p @ game.P @ q - tau * p @ np.log(p / ref) + tau * q @ np.log(q / ref)


@quick
@given(game=games(2, 4), data=st.data(), tau=st.floats(0.05, 2.0))
def test_no_response_does_better_than_the_best(game, data, tau):
    pi, ref = (data.draw(policies(game.K, spread=2.0)) for _ in range(2))
    response = best_response(game, pi, tau, ref)
    found = minimize(lambda x: -value(game, softmax(x), pi, tau, ref), np.zeros(game.K), tol=1e-12)
    assert value(game, response, pi, tau, ref) >= -found.fun - 1e-12
    np.testing.assert_allclose(softmax(found.x), response, atol=1e-4)


@quick
@given(game=games(2, 5), data=st.data(), tau=st.floats(0.05, 2.0))
def test_the_gap_is_what_both_could_gain(game, data, tau):
    """The game is symmetric: the second player's best response is the first one's."""
    pi, ref = (data.draw(policies(game.K, spread=2.0)) for _ in range(2))
    response = best_response(game, pi, tau, ref)
    gained = value(game, response, pi, tau, ref) - value(game, pi, response, tau, ref)
    np.testing.assert_allclose(duality_gap(game, pi, tau, ref), gained, atol=1e-12)


@quick
@given(game=games(2, 5), tau=st.floats(0.1, 2.0), data=st.data())
def test_the_equilibrium_has_no_gap(game, tau, data):
    ref = data.draw(policies(game.K, spread=2.0))
    policy = fixed_point(online_mirror_descent(game, 0.5 / tau, tau, ref)).policy
    assert duality_gap(game, policy, tau, ref) < 1e-12
    assert duality_gap(game, ref, tau, ref) >= 0


@quick
@given(game=games(2, 6))
def test_a_nash_equilibrium_leaves_nothing_to_gain(game):
    policy = nash_equilibrium(game)
    assert np.all(policy >= 0)
    assert policy.sum() == pytest.approx(1, abs=1e-12)
    assert nash_conv(game, policy) <= 2e-9 * np.abs(game.skew).max()


@pytest.mark.parametrize("weakest", [1e-6, 1e-8, 1e-9])
def test_weak_preferences_have_a_nash_equilibrium_too(weakest):
    weak = np.array([[0, 3, -10], [-3, 0, 20], [10, -20, 0]]) * weakest
    np.testing.assert_allclose(
        nash_equilibrium(PreferenceMatrix(0.5 + weak)), np.array([20, 10, 3]) / 33, atol=1e-6
    )
    mixed = np.array([[0, 0.5, -1e-5], [-0.5, 0, weakest], [1e-5, -weakest, 0]])
    mixed = PreferenceMatrix(0.5 + mixed)
    assert nash_conv(mixed, nash_equilibrium(mixed)) < 1e-9


def test_the_nash_equilibrium_of_known_games():
    np.testing.assert_allclose(nash_equilibrium(RPS), 1 / 3, atol=1e-12)
    batch = nash_equilibrium(random(4, 0, size=(2, 3)))
    assert batch.shape == (2, 3, 4)
    np.testing.assert_allclose(batch[1, 2], nash_equilibrium(random(4, 0, size=(2, 3))[1, 2]))


@quick
@given(game=games(2, 5), data=st.data())
def test_the_gap_at_small_tau_tends_to_nash_conv(game, data):
    pi = data.draw(policies(game.K, spread=2.0))
    best = max(game.P[i] @ pi for i in range(game.K)) - 0.5
    assert nash_conv(game, pi) == pytest.approx(2 * best, abs=1e-12)
    assert duality_gap(game, pi, 0.0) == nash_conv(game, pi)
    gap = duality_gap(game, pi, 1e-5)
    assert gap == pytest.approx(2 * best, abs=2e-5 * (np.log(game.K) + abs(np.log(pi)).max()))


def test_everything_broadcasts_as_a_loop_would():
    batch, pi = random(3, 0, size=(4, 1)), softmax(np.random.default_rng(1).normal(size=(5, 3)))
    tau = np.array([0.0, 0.1, 0.5, 1.0, 2.0])
    found = duality_gap(batch, pi, tau)
    rates = win_rate(batch, pi, pi[::-1])
    responses = best_response(batch, pi, np.maximum(tau, 0.1))
    assert found.shape == rates.shape == (4, 5)
    assert responses.shape == (4, 5, 3)
    for i, j in np.ndindex(4, 5):
        assert found[i, j] == pytest.approx(duality_gap(batch[i, 0], pi[j], tau[j]), abs=1e-15)
        assert rates[i, j] == pytest.approx(pi[j] @ batch.P[i, 0] @ pi[4 - j], abs=1e-15)
        alone = best_response(batch[i, 0], pi[j], max(tau[j], 0.1))
        np.testing.assert_allclose(responses[i, j], alone, atol=1e-15)


def test_log_probabilities_lose_nothing():
    far = log_softmax(np.array([0.0, -800.0, -900.0]))
    assert kl_to(far, far, log=True) == 0
    assert kl_to(np.full(3, -np.log(3)), far, log=True) == pytest.approx(1700 / 3 - np.log(3))
    # BR(far) has the logits A far / tau = (0, -.4, .4)/tau, and the policy is all rock.
    assert duality_gap(RPS, far, 1.0, log=True) == pytest.approx(
        2 * np.log(1 + np.exp(-0.4) + np.exp(0.4)), abs=1e-12
    )


def test_distances_at_the_boundary():
    corner, uniform = np.array([1.0, 0.0, 0.0]), np.full(3, 1 / 3)
    assert kl_to(corner, uniform) == pytest.approx(np.log(3))
    assert kl_to(uniform, corner) == np.inf
    assert kl_to(corner, corner) == 0


def test_the_running_average_settles_where_the_last_iterate_does_not():
    run = orbit(sppo(rock_paper_scissors(0.5), 0.3), [0.5, 0.3, 0.2], rounds=1000)
    average = time_average(run.policies)
    np.testing.assert_allclose(average[-1], run.policies.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(average[3], run.policies[:4].mean(axis=0), atol=1e-15)
    assert np.abs(average[-1] - 1 / 3).max() < 0.05 < np.abs(run.policies[-1] - 1 / 3).max()
    late = time_average(run.policies, burn_in=0.5)
    np.testing.assert_array_equal(late[:500], run.policies[:500])
    np.testing.assert_allclose(late[-1], run.policies[500:].mean(axis=0), atol=1e-12)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: best_response(RPS, [0.5, 0.5], 1.0), "policy has shape"),
        (lambda: best_response(RPS, [0.5, 0.3, 0.2], 0.0), "tau is 0"),
        (lambda: duality_gap(RPS, [0.5, 0.3, 0.2], -1.0), "tau is -1"),
        (lambda: nash_conv(RPS, [0.5, 0.3, 0.3]), "policy sums to 1.1"),
        (lambda: time_average(np.ones(3)), r"policies has shape \(3,\)"),
        (lambda: best_response(RPS, [1, 0, 0], 1.0, [1, 0, 0]), "exactly 0, where log-prob"),
        (lambda: best_response(TWO, THREE, 1.0), r"games \(2,\), policy \(3,\)"),
        (lambda: duality_gap(RPS, THREE, [1.0, 2.0]), r"policy \(3,\), tau \(2,\)"),
        (lambda: nash_conv(TWO, THREE), r"games \(2,\), policy \(3,\)"),
        (lambda: win_rate(RPS, THREE, THREE[:2]), r"policy \(3,\), opponent \(2,\)"),
        (lambda: kl_to(THREE, THREE[:2]), r"policy \(3,\), target \(2,\)"),
        (lambda: nash_equilibrium(cast(Any, RPS.P)), "game is a ndarray, not a PreferenceMatrix"),
        (lambda: time_average(np.full((2, 3), np.nan)), "policies contains NaN"),
        (lambda: time_average(THREE, cast(Any, [0.1])), r"burn_in has shape \(1,\)"),
    ],
)
def test_bad_inputs_are_refused_in_one_sentence(build, message):
    with pytest.raises(InputError, match=message) as error:
        build()
    assert str(error.value).endswith(".")


def test_an_average_over_no_rounds_is_refused():
    with pytest.raises(InsufficientData, match="leaves none of 2 rounds"):
        time_average(np.full((2, 2), 0.5), burn_in=1.0)
