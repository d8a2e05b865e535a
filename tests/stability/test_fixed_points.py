"""Fixed points: solved for, not iterated to; stable or not; one of them from every start."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefdyn import (
    MRS,
    MRSDPO,
    MRSIPO,
    FiniteSample,
    FixedPoint,
    InputError,
    LogitRule,
    Momentum,
    NoOptimum,
    PreferenceMatrix,
    fixed_point,
    games,
    orbit,
)
from prefdyn.policies import log_softmax
from prefdyn.rules import bradley_terry_scores
from prefdyn.testing import policies, rules


def assert_fixed(rule: Any, point: FixedPoint):
    """The equation itself: log pi = log ref + drive / ((1 - alpha) beta), up to a constant."""
    alpha, beta, lam = float(rule.alpha), float(rule.beta), float(rule.lam)
    mu, P = lam * point.policy + (1 - lam) * rule.offline, rule.game.P
    drive = P @ mu if isinstance(rule, MRSIPO) else bradley_terry_scores(P, mu)
    expected = log_softmax(rule.log_ref + drive / ((1 - alpha) * beta))
    scale = max(1.0, np.abs(expected).max())
    # So far off a residual of 1e-12 may be where the map is steep or alpha near 1.
    tolerance = 1e-11 * max(1.0, 1 / ((1 - alpha) * beta)) / (1 - alpha)
    assert np.abs(point.log_policy - expected).max() <= tolerance * scale
    assert point.residual <= 1e-12
    assert point.policy.sum() == pytest.approx(1, abs=1e-14)


@given(rule=rules(strength=0.499))
def test_the_fixed_point_solves_its_equation(rule):
    assert_fixed(rule, fixed_point(rule))


@given(rule=rules(kinds=[MRSIPO], strength=0.5, min_beta=0.003, max_beta=0.1))
def test_also_where_the_iteration_runs_away_from_it(rule):
    assert_fixed(rule, fixed_point(rule))


@given(rule=rules(kinds=[MRSIPO], min_beta=0.02), data=st.data())
def test_all_starts_lead_to_the_one_fixed_point_of_ipo(rule, data):
    """MRS-3: unique for alpha < 1, stable or not."""
    home = fixed_point(rule)
    for _ in range(3):
        other = fixed_point(rule, data.draw(policies(rule.K)))
        np.testing.assert_allclose(other.log_policy, home.log_policy, rtol=1e-7, atol=1e-7)


@settings(max_examples=25)
@given(rule=rules(max_K=4, strength=0.3, min_beta=1.0, max_alpha=0.8))
def test_a_contracting_iteration_arrives_there(rule):
    run = orbit(rule, rounds=3000)
    assert "settled" in run.reason
    np.testing.assert_allclose(run.policies[-1], fixed_point(rule).policy, atol=1e-9)


@settings(max_examples=8)
@given(rule=rules(kinds=[MRSIPO], max_K=4, min_beta=0.3))
def test_every_rule_of_a_recipe_has_the_same_fixed_point(rule):
    home = fixed_point(rule).log_policy
    core = MRS(rule.game, "ipo", rule.beta, rule.alpha, rule.lam, rule.reference, rule.offline)
    for other in (core, FiniteSample(rule, 10), Momentum(rule, 0.5)):
        found = fixed_point(other)
        assert found.policy.shape == (rule.K,)
        np.testing.assert_allclose(found.log_policy, home, atol=1e-8)
    heavy = fixed_point(Momentum(rule, 0.5)).state
    np.testing.assert_allclose(heavy[: rule.K], heavy[rule.K :], atol=1e-9)  # at rest


@pytest.mark.parametrize("beta", [1e-4, 1e-3, 0.01, 1e3, 1e6])
def test_continuation_reaches_strong_drives(beta):
    rule = MRSIPO(games.random(4, 3), beta, 0.5, 1.0, reference=[0.7, 0.1, 0.1, 0.1])
    rule = rule.replace(offline=np.full(4, 0.25))
    point = fixed_point(rule)
    assert point.residual <= 1e-12
    assert point.method.startswith(("Newton", "continuation"))
    nearly = np.abs(point.policy - rule.reference).max()
    assert nearly < 1e-2 if beta >= 1e3 else nearly > 0.1


@pytest.mark.parametrize("a", [0.1, 0.5])
@pytest.mark.parametrize("beta", [1e-4, 1e-2, 1.0])
def test_the_fixed_point_of_rock_paper_scissors_is_uniform(a, beta):
    biased = [0.6, 0.3, 0.1]
    for start in (None, biased):
        point = fixed_point(MRSIPO(games.rock_paper_scissors(a), beta, 0.5, 1.0), start)
        np.testing.assert_allclose(point.policy, 1 / 3, atol=1e-9)


def test_batches_are_solved_side_by_side():
    batch = games.random(4, 0, size=6)
    beta, alpha = np.array([[0.02], [0.3], [4.0]]), 0.5
    point = fixed_point(MRSIPO(batch, beta, alpha, 0.8))
    assert point.policy.shape == (3, 6, 4)
    assert point.residual.shape == (3, 6)
    for b, g in np.ndindex(3, 6):
        alone = fixed_point(MRSIPO(batch[g], beta[b, 0], alpha, 0.8))
        np.testing.assert_allclose(point.log_policy[b, g], alone.log_policy, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("cls", [MRSIPO, MRSDPO])
def test_a_collapsing_recipe_has_no_fixed_point_and_the_error_says_so(cls):
    """alpha = 1 without a tie: log-odds grow for ever (MRS-12)."""
    with pytest.raises(NoOptimum, match="at alpha = 1 a rule may have none"):
        fixed_point(cls(games.bradley_terry([1.0, 0.0, -1.0]), 0.5, 1.0, 1.0))


def test_starts_are_checked():
    rule = MRSIPO(games.rock_paper_scissors(0.3), 0.5, 0.5, 1.0)
    with pytest.raises(InputError, match=r"start\[0\] is 1\.5"):
        fixed_point(rule, [1.5, -0.5, 0.0])
    with pytest.raises(InputError, match=r"start\[2\] is exactly 0"):
        fixed_point(rule, [0.5, 0.5, 0.0])


class Shift(LogitRule):
    """Log-odds grow by a constant: no fixed point anywhere."""

    K = 2  # pyright: ignore[reportAssignmentType]

    def update(self, theta):
        return theta + np.array([0.5, -0.5])


def test_a_users_rule_without_fixed_point_is_refused():
    with pytest.raises(NoOptimum, match="no fixed point found"):
        fixed_point(Shift())


def test_a_large_game_is_solved():
    K = 200
    i, j = np.indices((K, K))
    A = np.sign(j - i) * (0.48 + 0.02 * np.abs(i - j) / (K - 1)) * (i != j)
    point = fixed_point(MRSIPO(PreferenceMatrix(0.5 + A), 0.117, 0.0, 1.0))
    assert point.residual <= 1e-12
    expected = log_softmax(A @ point.policy / 0.117)
    np.testing.assert_allclose(point.log_policy, expected, atol=1e-10)
