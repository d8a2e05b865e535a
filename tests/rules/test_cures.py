"""Cured rounds: the contract, the fixed point, and what they turn into at their plain settings."""

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefdyn import (
    MRSDPO,
    MRSIPO,
    AdaptiveBeta,
    Averaged,
    Extragradient,
    FiniteSample,
    Inexact,
    InputError,
    LogitRule,
    Momentum,
    Optimistic,
    critical,
    ensemble,
    fixed_point,
    games,
    orbit,
    stability,
)
from prefdyn.policies import softmax
from prefdyn.rules import (
    EGPO,
    BestFraction,
    best_fraction,
    carried,
    get,
    get_parameter,
    set_parameter,
)
from prefdyn.testing import check_rule, rules

RPS = games.rock_paper_scissors(0.4)
START = [0.5, 0.3, 0.2]
S = 0.4 / np.sqrt(3)
CYCLING = MRSIPO(RPS, 0.1, 0.5, 1.0)
TWO = MRSIPO(RPS, [0.1, 0.2], 0.5, 1.0)
quick = settings(max_examples=2)


class Hedge(LogitRule):
    """A user's rule, which carries over all of the logits."""

    def __init__(self, P, rate):
        self.P, self.rate = P, rate

    @property
    def K(self):
        return len(self.P)

    def update(self, theta):
        return 0.9 * theta + self.rate * softmax(theta) @ self.P.T


def every_cure(rule, a=0.4) -> list[Any]:
    return [
        Optimistic(rule, a),
        Optimistic(Inexact(rule, a)),
        Extragradient(Inexact(rule, a)),
        Averaged(rule, rate=a),
        Averaged(rule, window=3),
        Averaged(rule, rate=a, of="logits"),
        Averaged(rule, window=2, of="logits"),
    ]


@quick
@given(rule=rules(max_K=4), share=st.floats(0.05, 0.95), seed=st.integers(0, 99))
def test_cures_keep_the_contract(rule, share, seed):
    for cured in (*every_cure(rule, share), AdaptiveBeta(rule), BestFraction(rule)):
        check_rule(cured, seed=seed)


def test_cures_of_a_users_rule_keep_the_contract():
    for cured in (*every_cure(Hedge(RPS.P, 0.5)), AdaptiveBeta(Hedge(RPS.P, 0.5))):
        check_rule(cured)


@quick
@given(rule=rules(max_K=4, min_beta=0.3), share=st.floats(0.1, 0.9))
def test_cures_leave_the_fixed_point(rule, share):
    home = fixed_point(rule).log_policy
    for cured in (*every_cure(rule, share), AdaptiveBeta(rule)):
        after = cured.log_policy(cured.step(cured.init_log(home), 0, None))
        np.testing.assert_allclose(after, home, atol=1e-9)


@pytest.mark.parametrize(
    "cured",
    [
        Optimistic(CYCLING, 0.0),
        Averaged(CYCLING, rate=1.0),
        Averaged(CYCLING, window=1),
        AdaptiveBeta(CYCLING, first=1.0, least=1.0),
    ],
    ids=lambda cured: type(cured).__name__,
)
def test_cures_that_do_nothing_are_the_plain_rule(cured):
    found, plain = (orbit(rule, START, rounds=12) for rule in (cured, CYCLING))
    np.testing.assert_allclose(found.policies, plain.policies, atol=1e-12)


def test_a_window_of_two_logits_is_optimism_of_minus_a_half_near_the_fixed_point():
    plain = MRSIPO(games.cycle(5, 0.4), 0.2, 0.7, 0.8)
    found, expected = (
        np.sort_complex(np.round(stability(rule).multipliers, 8))
        for rule in (Averaged(plain, window=2, of="logits"), Optimistic(plain, -0.5))
    )
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_extragradient_rounds_of_online_mirror_descent_are_the_published_ones():
    tau, eta = 0.05, 2.0
    ours = Extragradient(MRSIPO(games.cycle(5, 0.4), 1 / eta, 1 - eta * tau, 1.0))
    published = EGPO(games.cycle(5, 0.4), tau=tau, eta=eta)
    start = [0.3, 0.2, 0.2, 0.2, 0.1]
    found, expected = (orbit(rule, start, rounds=20).log_policies for rule in (ours, published))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_what_is_carried_over_is_the_effective_alpha():
    assert carried(MRSIPO(RPS, 0.3, 0.6, 1.0)) == 0.6
    assert carried(Inexact(Inexact(MRSIPO(RPS, 0.3, 0.6, 1.0), 0.5), 0.4)) == pytest.approx(0.92)
    assert carried(Hedge(RPS.P, 0.5)) == 1


def test_averages_of_probabilities_and_logits_differ_away_from_the_fixed_point():
    first, second = (
        orbit(Averaged(CYCLING, rate=0.3, of=of), START, rounds=5).policies[-1]
        for of in ("policies", "logits")
    )
    assert np.abs(first - second).max() > 1e-3


def test_the_average_of_a_vanished_policy_stays_finite():
    rule = Averaged(MRSIPO(RPS, 1e-3, 0.5, 1.0), rate=1.0)
    run = orbit(rule, log_start=np.array([0.0, -900.0, -900.0]), rounds=50, tolerance=0)
    assert np.all(np.isfinite(run.log_policies))


@pytest.mark.parametrize("beta", [0.05, 0.1])
def test_an_adaptive_beta_finds_the_best_fraction(beta):
    rule = AdaptiveBeta(MRSIPO(RPS, beta, 0.5, 1.0))
    run = orbit(rule, START, rounds=600, tolerance=0)
    y = S / beta
    assert rule.fraction(run.state) == pytest.approx(0.5 / (0.25 + y**2), rel=0.02)
    assert np.abs(run.policies[-1] - 1 / 3).max() < 0.01  # plain rounds stay .3 away
    assert np.abs(orbit(rule.rule, START, rounds=600).policies[-1] - 1 / 3).max() > 0.3


def test_an_adaptive_beta_is_lowered_again_where_nothing_turns():
    rule = AdaptiveBeta(MRSIPO(games.bradley_terry([1.0, 0.5, 0.0]), 1.0, 0.5, 1.0))
    run = orbit(rule, START, rounds=60, tolerance=0)
    assert rule.fraction(run.state) == 1
    assert np.abs(run.policies[-1] - fixed_point(rule).policy).max() < 1e-10


def test_an_adaptive_beta_brings_every_far_start_home():
    vertices = np.full((3, 3), 0.01) + 0.97 * np.eye(3)
    run = ensemble(AdaptiveBeta(CYCLING), vertices, 600, reducers=("last_policy",))
    np.testing.assert_allclose(run["last_policy"], 1 / 3, atol=2e-2)


@pytest.mark.parametrize("turning", [[3.0], [3.0, 1.0, 0.0], [0.1]])
def test_the_best_fraction_is_that_of_a_search(turning):
    x = 0.3 + 1j * np.array(turning)
    kappa = np.geomspace(1e-3, 1, 20_000)[:, None]
    worst = np.abs(1 + kappa * (x - 1)).max(-1)
    assert best_fraction(x) == pytest.approx(kappa[np.argmin(worst), 0], rel=1e-3)


def test_the_best_fraction_weighs_fast_turning_against_slow_settling():
    x = np.array([0.99, 0.2 + 3j])  # each alone would choose another fraction
    kappa = float(best_fraction(x))
    assert abs(1 + kappa * (x[0] - 1)) == pytest.approx(abs(1 + kappa * (x[1] - 1)), rel=1e-9)


def test_thresholds_of_cured_rules():
    y = {"plain": np.sqrt(0.75), "extragradient": np.sqrt((0.75 + np.sqrt(0.75**2 + 3)) / 2)}
    for rule, critical_turning in (
        (CYCLING, y["plain"]),
        (Extragradient(CYCLING), y["extragradient"]),
    ):
        found = critical(rule, "beta", (0.05, 2), samples=20).value
        assert found == pytest.approx(S / critical_turning, rel=1e-9)
    assert critical(AdaptiveBeta(CYCLING), "beta", (0.05, 2), samples=8).value is None


def test_settings_broadcast_as_a_loop_would():
    values = np.array([[0.1], [0.6]])
    plain = MRSIPO(RPS, [0.2, 0.5], 0.5, 1.0)
    for build in (Optimistic, lambda rule, value: Averaged(rule, rate=value)):
        run = orbit(build(plain, values), START, rounds=8)
        assert run.policies.shape == (9, 2, 2, 3)
        radius = stability(build(plain, values)).spectral_radius
        for i, j in np.ndindex(2, 2):
            alone = build(MRSIPO(RPS, (0.2, 0.5)[j], 0.5, 1.0), values[i, 0])
            np.testing.assert_allclose(
                run.policies[:, i, j], orbit(alone, START, rounds=8).policies, atol=1e-12
            )
            assert radius[i, j] == pytest.approx(stability(alone).spectral_radius, rel=1e-9)


def test_votes_are_drawn_outside_and_parameters_found_inside():
    rule = FiniteSample(Optimistic(Inexact(MRSDPO(RPS, 0.5, 0.5, 1.0), 0.3)), 50)
    assert get_parameter(rule, "kappa") == 0.3
    changed = set_parameter(set_parameter(rule, "strength", 0.5), "beta", 0.7)
    assert (get_parameter(changed, "strength"), get_parameter(changed, "beta")) == (0.5, 0.7)
    assert orbit(rule, START, rounds=5).seed == 0
    assert isinstance(FiniteSample(AdaptiveBeta(CYCLING), 50).skeleton, BestFraction)


def test_votes_may_be_drawn_inside_by_a_rule_of_its_own_votes():
    own, outside = Optimistic(EGPO(RPS, 1.0, 0.1, votes=9)), Optimistic(EGPO(RPS, 1.0, 0.1))
    found = orbit(own, START, rounds=5, seed=1).policies
    expected = orbit(FiniteSample(outside, 9), START, rounds=5, seed=1).policies
    np.testing.assert_array_equal(found, expected)


def test_cures_have_ids():
    kinds = (Optimistic, Extragradient, Averaged, AdaptiveBeta, BestFraction)
    names = ("optimistic", "extragradient", "averaged", "adaptive_beta", "best_fraction")
    assert tuple(map(get, names)) == kinds


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Optimistic(cast(Any, Momentum(CYCLING, 0.3))), "Optimistic needs a rule on log"),
        (lambda: Extragradient(cast(Any, FiniteSample(CYCLING, 9))), "put wrappers that draw vot"),
        (lambda: Optimistic(CYCLING, np.nan), "strength contains NaN"),
        (lambda: Optimistic(CYCLING, np.inf), "strength is inf: it must be a finite number"),
        (lambda: Optimistic(CYCLING, cast(Any, "a")), "strength is not an array of numbers"),
        (lambda: Optimistic(TWO, [0.1, 0.2, 0.3]), "do not broadcast: rule (2,), strength (3,)"),
        (lambda: Averaged(TWO, rate=[0.1, 0.2, 0.3]), "do not broadcast: rule (2,), rate (3,)"),
        (lambda: Inexact(TWO, [0.1, 0.2, 0.3]), "do not broadcast: rule (2,), kappa (3,)"),
        (lambda: Averaged(CYCLING), "needs either a rate or a window"),
        (lambda: Averaged(CYCLING, rate=0.5, window=3), "needs either a rate or a window"),
        (lambda: Averaged(CYCLING, rate=0.0), "rate is 0: an average that never moves"),
        (lambda: Averaged(CYCLING, rate=1.2), "rate is 1.2: it is a share"),
        (lambda: Averaged(CYCLING, window=0), "window is 0: it must be a whole number"),
        (lambda: Averaged(CYCLING, rate=0.5, of="votes"), "average of 'votes' is not known"),
        (lambda: AdaptiveBeta(CYCLING, least=0.0), "least is 0: beta would be raised without"),
        (lambda: AdaptiveBeta(CYCLING, cast(Any, [0.1, 0.2])), "least has shape (2,): it must be"),
        (lambda: FiniteSample(cast(Any, "mrs"), 9), "str has no parameter 'game'"),
        (lambda: AdaptiveBeta(CYCLING, first=1e-5), "first is 1e-05, below least"),
        (lambda: AdaptiveBeta(CYCLING, rise=0.9), "rise is 0.9: below 1 every round"),
    ],
)
def test_bad_cures_are_refused_in_one_sentence(build, message):
    with pytest.raises(InputError) as error:
        build()
    assert message in str(error.value)
    assert str(error.value).endswith(".")
