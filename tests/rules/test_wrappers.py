"""Inexact rounds, rounds on votes, rounds with memory: each against what it is equivalent to."""

from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefdyn import (
    MRSDPO,
    MRSIPO,
    FiniteSample,
    Inexact,
    InputError,
    Momentum,
    games,
    orbit,
    stability,
)
from prefdyn.rules import get_parameter, set_parameter
from prefdyn.testing import check_rule, policies, rules

RPS = games.rock_paper_scissors(0.4)
START = [0.5, 0.3, 0.2]
quick = settings(max_examples=25)


@given(rule=rules(), kappa=st.floats(1e-3, 1.0), data=st.data())
def test_an_inexact_round_is_an_exact_round_of_another_recipe(rule, kappa, data):
    """RND-1: alpha_eff = 1 - kappa (1 - alpha), beta_eff = beta / kappa."""
    theta = rule.init(data.draw(policies(rule.K)))
    other = rule.replace(alpha=1 - kappa * (1 - rule.alpha), beta=rule.beta / kappa)
    expected = other.step(theta, 0, None)
    found = Inexact(rule, kappa).step(theta, 0, None)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


@quick
@given(rule=rules(max_K=4, min_beta=0.3), kappa=st.floats(0.05, 1.0))
def test_an_inexact_round_leaves_the_fixed_point_and_moves_the_multipliers(rule, kappa):
    exact, inexact = stability(rule), stability(Inexact(rule, kappa))
    np.testing.assert_allclose(inexact.point.log_policy, exact.point.log_policy, atol=1e-9)
    expected = 1 - kappa + kappa * exact.multipliers
    distances = np.abs(inexact.multipliers[:, None] - expected)
    # Each has its partner; a double multiplier is known to the root of the rounding only.
    assert max(distances.min(axis=0).max(), distances.min(axis=1).max()) < 1e-6


def test_an_exact_round_is_the_inexact_one_with_kappa_one():
    rule = MRSIPO(RPS, 0.3, 0.5, 1.0)
    theta = rule.init(START)
    found = Inexact(rule, 1.0).step(theta, 0, None)
    np.testing.assert_allclose(found, rule.step(theta, 0, None), atol=1e-15)


@quick
@given(rule=rules(max_K=4), momentum=st.floats(0.0, 0.9), seed=st.integers(0, 99))
def test_wrappers_keep_the_contract(rule, momentum, seed):
    for wrapped in (Inexact(rule, 0.4), Momentum(rule, momentum), Inexact(Inexact(rule, 0.5), 0.5)):
        check_rule(wrapped, seed=seed)


@quick
@given(rule=rules(kinds=[MRSIPO], strength=0.5), seed=st.integers(0, 99))
def test_rounds_on_votes_keep_the_contract(rule, seed):
    check_rule(FiniteSample(rule, 20), seed=seed)


@given(rule=rules(max_K=4, min_beta=0.2), momentum=st.floats(0.0, 0.95))
def test_momentum_turns_each_multiplier_into_two_roots(rule, momentum):
    """z^2 - (x + m) z + m = 0 for every multiplier x of the wrapped rule."""
    plain = stability(rule).multipliers
    found = stability(Momentum(rule, momentum)).multipliers
    assert found.shape == (2 * plain.size,)
    for x in plain:  # each root is among the multipliers, to the conditioning of a double root
        for root in np.roots([1.0, -(x + momentum), momentum]):
            assert np.abs(found - root).min() < 1e-6 * max(1.0, abs(root))
    sums = np.prod(found)
    np.testing.assert_allclose(sums, momentum**plain.size, atol=1e-8 * max(1.0, abs(sums)))


def test_momentum_starts_at_rest_and_then_remembers():
    rule = MRSIPO(RPS, 0.3, 0.5, 1.0)
    heavy = Momentum(rule, 0.5)
    run, plain = orbit(heavy, START, rounds=3), orbit(rule, START, rounds=1)
    np.testing.assert_allclose(run.policies[1], plain.policies[1], atol=1e-15)
    states = [rule.init(START)]
    states += [rule.step(states[0], 0, None)]
    states += [rule.step(states[1], 0, None) + 0.5 * (states[1] - states[0])]
    np.testing.assert_allclose(run.log_policies[2], rule.log_policy(states[2]), atol=1e-14)


def test_kappa_and_momentum_broadcast_as_a_loop_would():
    rule = MRSIPO(RPS, [0.2, 0.5], 0.5, 1.0)
    values = np.array([[0.1], [0.4], [0.8]])
    for wrapper in (Inexact, Momentum):
        together = wrapper(rule, values)
        run = orbit(together, START, rounds=10)
        assert run.policies.shape == (11, 3, 2, 3)
        radius = np.asarray(stability(together).spectral_radius)
        for i, j in np.ndindex(3, 2):
            alone = wrapper(MRSIPO(RPS, (0.2, 0.5)[j], 0.5, 1.0), values[i, 0])
            expected = orbit(alone, START, rounds=10).policies
            np.testing.assert_allclose(run.policies[:, i, j], expected, atol=1e-13)
            assert radius[i, j] == pytest.approx(stability(alone).spectral_radius, rel=1e-9)


def test_votes_are_seeded():
    rule = FiniteSample(MRSIPO(RPS, 0.3, 0.5, 1.0), votes=50)
    first, same, other = (orbit(rule, START, rounds=30, seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.log_policies, same.log_policies)
    assert np.abs(first.policies - other.policies).max() > 1e-3
    assert (first.seed, other.seed) == (7, 8)
    assert orbit(rule.rule, START, rounds=3, seed=7).seed is None  # no randomness, no seed


def test_orbits_of_a_batch_draw_their_own_votes():
    rule = FiniteSample(MRSIPO(RPS, 0.3, 0.5, 1.0), votes=50)
    run = orbit(rule, np.tile(START, (4, 1)), rounds=1)
    assert len(np.unique(run.policies[1, :, 0])) == 4


def test_the_mean_of_rounds_on_votes_is_the_exact_round():
    """IPO is linear in P, so the mean is exact; its error is bounded by Hoeffding's inequality."""
    beta, votes, n = 0.5, 30, 100_000
    rule = MRSIPO(RPS, beta, 0.5, 1.0)
    state = rule.init(np.tile(START, (n, 1)))
    noisy = FiniteSample(rule, votes).step(state, 0, np.random.default_rng(0))
    exact = rule.step(state[0], 0, None)
    # Each centred logit is a mean of n * votes votes, every pair (i, j) shifting it by at most
    # (mu_i + mu_j) / beta <= 1 / beta: three independent pairs.
    failure = 1e-9
    bound = np.sqrt(3 * np.log(2 * 3 / failure) / (2 * n * votes)) / beta
    assert np.abs(noisy.mean(axis=0) - exact).max() < bound
    assert bound < 0.05 * np.abs(exact).max()  # the test can fail
    assert noisy.std(axis=0).min() > 0.05


def test_many_votes_are_the_exact_round():
    rule = MRSDPO(RPS, 0.5, 0.5, 1.0)
    theta = rule.init(START)
    noisy = FiniteSample(rule, 10**9).step(theta, 0, np.random.default_rng(0))
    np.testing.assert_allclose(noisy, rule.step(theta, 0, None), atol=1e-2)
    assert np.abs(noisy - rule.step(theta, 0, None)).max() > 0


def test_stability_sees_through_votes_and_wrappers():
    rule = MRSIPO(RPS, 0.3, 0.5, 1.0)
    for noisy, exact in (
        (FiniteSample(rule, 30), rule),
        (Inexact(FiniteSample(rule, 30), 0.5), Inexact(rule, 0.5)),
        (FiniteSample(Inexact(rule, 0.5), 30), Inexact(rule, 0.5)),
        (Momentum(rule, 0.3), Momentum(rule, 0.3)),
    ):
        np.testing.assert_allclose(
            stability(noisy).multipliers, stability(exact).multipliers, atol=1e-12
        )


def test_parameters_are_found_through_wrappers():
    rule = Inexact(FiniteSample(MRSIPO(RPS, 0.3, 0.5, 1.0), 30), 0.5)
    assert get_parameter(rule, "beta") == 0.3
    changed = set_parameter(set_parameter(rule, "beta", 0.7), "kappa", 0.25)
    assert (get_parameter(changed, "beta"), get_parameter(changed, "kappa")) == (0.7, 0.25)
    assert get_parameter(changed, "votes") == 30
    assert (get_parameter(rule, "beta"), rule.kappa) == (0.3, 0.5)  # the original is untouched
    with pytest.raises(InputError, match="has no parameter 'gamma'"):
        set_parameter(rule, "gamma", 1.0)


def test_fingerprints_tell_maps_apart():
    rule = MRSIPO(RPS, 0.3, 0.5, 1.0)
    assert rule.fingerprint() == MRSIPO(RPS, 0.3, 0.5, 1.0).fingerprint()
    others = [rule.replace(beta=0.31), MRSDPO(RPS, 0.3, 0.5, 1.0), Inexact(rule, 0.5)]
    others += [MRSIPO(games.rock_paper_scissors(0.41), 0.3, 0.5, 1.0), Inexact(rule, 0.6)]
    prints = {other.fingerprint() for other in (rule, *others)}
    assert len(prints) == len(others) + 1


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda rule: Inexact(rule, 0.0), "kappa is 0: a round that moves nothing"),
        (lambda rule: Inexact(rule, 1.5), "kappa is 1.5: it is a share"),
        (lambda rule: FiniteSample(rule, 0), "votes is 0: it must be a whole number of at least 1"),
        (lambda rule: FiniteSample(rule, cast(int, 2.5)), "votes is 2.5"),
        (lambda rule: Momentum(rule, 1.0), "momentum is 1: without any friction nothing settles"),
        (
            lambda rule: Momentum(cast(MRSIPO, Inexact(rule, 0.5)), 0.5),
            "Momentum needs a rule on logits",
        ),
        (lambda rule: FiniteSample(rule, 5).step(rule.init(START), 0, None), "pass a numpy Gener"),
    ],
)
def test_bad_wrappers_are_refused_in_one_sentence(build, message):
    with pytest.raises(InputError) as error:
        build(MRSIPO(RPS, 0.3, 0.5, 1.0))
    assert message in str(error.value)
    assert str(error.value).endswith(".")
