"""Multipliers against the claims' formulas, kinds of instability, periods and symmetries."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import prefdyn
from prefdyn import (
    MRS,
    MRSDPO,
    MRSIPO,
    Inexact,
    LogitRule,
    PreferenceMatrix,
    ensemble,
    games,
    stability,
)
from prefdyn.testing import rules


def singular_values(A, policy):
    """s_k of claim MRS-4: singular values of B^T A B with B B^T = diag(pi) - pi pi^T."""
    B = np.sqrt(policy)[:, None] * (np.eye(len(policy)) - np.sqrt(np.outer(policy, policy)))
    return np.linalg.svd(B.T @ A @ B, compute_uv=False)


@given(rule=rules(kinds=[MRSIPO], strength=0.5, min_beta=0.02))
def test_ipo_multipliers_are_alpha_plus_minus_i_lam_s_over_beta(rule):
    linear = stability(rule)
    s = singular_values(rule.game.skew, linear.point.policy)
    assert linear.spectral_radius == pytest.approx(
        np.hypot(rule.alpha, rule.lam * s[0] / rule.beta), rel=1e-7
    )
    np.testing.assert_allclose(np.real(linear.multipliers), rule.alpha, atol=1e-7)
    assert linear.multipliers.shape == (rule.K - 1,)
    moduli = np.abs(linear.multipliers)
    assert np.all(np.diff(moduli) <= 1e-9)
    expected = np.hypot(rule.alpha, rule.lam * s[: rule.K - 1] / rule.beta)
    np.testing.assert_allclose(moduli, expected, rtol=1e-6, atol=1e-6)


@settings(max_examples=50)
@given(rule=rules(kinds=[MRSIPO], min_K=3, max_K=3, strength=0.5))
def test_three_responses_only_the_curl_counts(rule):
    """MRS-6: s = sqrt(pi1 pi2 pi3) |A12 + A23 + A31|."""
    linear = stability(rule)
    A = rule.game.skew
    s = np.sqrt(np.prod(linear.point.policy)) * abs(A[0, 1] + A[1, 2] + A[2, 0])
    expected = np.hypot(rule.alpha, rule.lam * s / rule.beta)
    assert linear.spectral_radius == pytest.approx(expected, rel=1e-8)


@given(values=st.lists(st.floats(-0.25, 0.25), min_size=2, max_size=6), alpha=st.floats(0, 0.9))
def test_additive_preferences_never_turn(values, alpha):
    """MRS-6: P_ij = 1/2 + v_i - v_j has s = 0, hence only the multiplier alpha."""
    v = np.array(values)
    linear = stability(MRSIPO(PreferenceMatrix(0.5 + v[:, None] - v), 0.05, alpha, 1.0))
    np.testing.assert_allclose(linear.multipliers, alpha, atol=1e-6)
    assert linear.kind == "stable"


@settings(max_examples=40)
@given(rule=rules(kinds=[MRSDPO], max_K=5))
def test_fully_on_policy_dpo_turns_about_alpha(rule):
    """DPO-7: at lam = 1 every real part is alpha."""
    linear = stability(rule.replace(lam=1.0))
    size = max(1.0, np.abs(linear.multipliers).max())
    np.testing.assert_allclose(np.real(linear.multipliers), rule.alpha, atol=1e-7 * size)


@settings(max_examples=10)
@given(rule=rules(max_K=4, min_beta=0.3))
def test_the_loss_core_has_the_same_multipliers(rule):
    id = "ipo" if isinstance(rule, MRSIPO) else "dpo"
    twin = MRS(rule.game, id, rule.beta, rule.alpha, rule.lam, rule.reference, rule.offline)
    fast, slow = stability(rule), stability(twin)
    assert (fast.jacobian_by, slow.jacobian_by) == ("closed form", "autodiff")
    np.testing.assert_allclose(np.abs(slow.multipliers), np.abs(fast.multipliers), atol=1e-7)


@settings(max_examples=50)
@given(rule=rules(min_K=3), seed=st.integers(0, 2**32 - 1), strength=st.floats(0.1, 1.0))
def test_symmetries(rule, seed, strength):
    """Names do not matter; for IPO neither does the unit of A, if beta is in the same unit."""
    home = stability(rule)
    order = np.random.default_rng(seed).permutation(rule.K)
    renamed = rule.replace(
        game=rule.game.restrict(order),
        reference=rule.reference[order],
        offline=rule.offline[order],
    )
    moved = stability(renamed)
    np.testing.assert_allclose(moved.point.policy, home.point.policy[order], atol=1e-9)
    assert moved.spectral_radius == pytest.approx(home.spectral_radius, rel=1e-8)
    if isinstance(rule, MRSIPO):
        weaker = PreferenceMatrix(0.5 + strength * rule.game.skew)
        scaled = stability(rule.replace(game=weaker, beta=strength * rule.beta))
        np.testing.assert_allclose(scaled.point.policy, home.point.policy, atol=1e-9)
        assert scaled.spectral_radius == pytest.approx(home.spectral_radius, rel=1e-8)


class Linear(LogitRule):
    """Logits times a matrix."""

    def __init__(self, matrix):
        self.matrix = np.asarray(matrix, dtype=float)

    @property
    def K(self):
        return len(self.matrix)

    def update(self, theta):
        return theta @ self.matrix.T


def rotation(angle, size):
    """A rotation in the plane orthogonal to (1, 1, 1), in three dimensions."""
    c, s = size * np.cos(angle), size * np.sin(angle)
    e = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])
    return e.T @ [[c, -s], [s, c]] @ e


@pytest.mark.parametrize(
    ("matrix", "radius", "kind", "period"),
    [
        (0.7 * np.eye(3), 0.7, "stable", np.inf),
        (-0.7 * np.eye(3), 0.7, "stable", 2),
        (1.2 * np.eye(3), 1.2, "fold", np.inf),
        (-1.2 * np.eye(3), 1.2, "flip", 2),
        (rotation(2 * np.pi / 5, 1.1), 1.1, "neimark_sacker", 5),
        (rotation(-2 * np.pi / 7.5, 0.9), 0.9, "stable", 7.5),
        (np.diag([1.2, 1.2]), 1.2, "fold", np.inf),
    ],
)
def test_kinds_and_periods(matrix, radius, kind, period):
    linear = stability(Linear(matrix))
    assert linear.jacobian_by == "finite differences"
    assert linear.kind == kind
    assert linear.spectral_radius == pytest.approx(radius, rel=1e-8)
    assert linear.period == pytest.approx(period, rel=1e-7)


def test_batches_give_arrays():
    rule = MRSIPO(games.rock_paper_scissors([0.2, 0.4]), [[0.05], [0.2], [3.0]], 0.5, 1.0)
    linear = stability(rule)
    assert linear.multipliers.shape == (3, 2, 2)
    expected = np.hypot(0.5, np.array([0.2, 0.4]) / np.sqrt(3) / rule.beta)
    np.testing.assert_allclose(linear.spectral_radius, expected, rtol=1e-12)
    kinds = np.where(expected < 1, "stable", "neimark_sacker")
    np.testing.assert_array_equal(linear.kind, kinds)
    np.testing.assert_allclose(linear.period, 2 * np.pi / np.arccos(0.5 / expected), rtol=1e-12)


ALPHA = np.array([0.0, 0.3, 0.5, 0.6, 0.9, 0.97])
PERIODS = [4, 4.96, 6, 6.78, 13.93, 25.6]  # claim MRS-7, to its printed digits


def turning_rate(rule, start, rounds, window):
    """Radians per round at the end of a run, from the phase in the symmetric plane of K = 3."""
    state = rule.compiled(3)(rule, rule.init(start), rounds).theta
    phases = []
    for t in range(window):
        phases.append(
            np.angle(np.exp(rule.log_policy(state)) @ np.exp(2j * np.pi / 3 * np.arange(3)))
        )
        state = rule.step(state, t, None)
    unwrapped = np.unwrap(phases, axis=0)
    return np.abs(unwrapped[-1] - unwrapped[0]) / (window - 1)


def test_the_period_at_onset_is_that_of_the_simulated_cycle():
    """MRS-7: 2 pi / arccos(alpha) rounds, simulated just beyond the boundary."""
    beta = 0.4 / np.sqrt(3 * (1 - ALPHA**2)) / 1.001
    rule = MRSIPO(games.rock_paper_scissors(0.4), beta, ALPHA, 1.0)
    predicted = stability(rule).period
    np.testing.assert_allclose(predicted, 2 * np.pi / np.arccos(ALPHA), rtol=5e-3)
    np.testing.assert_allclose(predicted, PERIODS, rtol=5e-3)
    start = np.exp([0.05, -0.05, 0]) / np.exp([0.05, -0.05, 0]).sum()
    simulated = 2 * np.pi / turning_rate(rule, start, rounds=30_000, window=3000)
    np.testing.assert_allclose(simulated, predicted, rtol=5e-3)


def test_the_period_of_inexact_rounds_at_onset():
    """RND-3: 2 pi / arccos(1 - kappa (1 - alpha))."""
    alpha, kappa = 0.5, np.array([1.0, 0.5, 0.2, 0.05])
    beta = 1 / np.sqrt(3 * (1 - alpha) * (2 / kappa - 1 + alpha))  # rps(1), s = 1/sqrt(3), scaled
    linear = stability(Inexact(MRSIPO(games.rock_paper_scissors(0.5), beta / 2, alpha, 1.0), kappa))
    np.testing.assert_allclose(linear.spectral_radius, 1, rtol=1e-12)
    np.testing.assert_allclose(linear.period, [6, 8.69, 13.93, 28.0], rtol=5e-3)


@pytest.mark.parametrize(("K", "radius", "spread"), [(150, 1.049, 0.11), (200, 1.103, 0.15)])
def test_many_strongly_transitive_responses_oscillate(K, radius, spread):
    """MRS-13 (a): a strict ranking that everyone agrees on, and yet the policy never settles."""
    i, j = np.indices((K, K))
    A = np.sign(j - i) * (0.48 + 0.02 * np.abs(i - j) / (K - 1)) * (i != j)
    rule = MRSIPO(PreferenceMatrix(0.5 + A), 0.117, 0.0, 1.0)
    linear = stability(rule)
    assert linear.spectral_radius == pytest.approx(radius, rel=1e-3)
    assert linear.kind == "neimark_sacker"
    start = np.exp(-0.01 * np.arange(K)) / np.exp(-0.01 * np.arange(K)).sum()
    first = ensemble(rule, start, 1500, burn_in=0.5, reducers=("last_log_policy",))
    run = rule.init_log(first["last_log_policy"])
    policies = []
    for t in range(300):
        policies.append(np.exp(rule.log_policy(run)))
        run = rule.step(run, t, None)
    assert np.std(policies, axis=0).max() == pytest.approx(spread, rel=0.1)


def test_fewer_responses_of_that_family_settle():
    K = 50
    i, j = np.indices((K, K))
    A = np.sign(j - i) * (0.48 + 0.02 * np.abs(i - j) / (K - 1)) * (i != j)
    linear = stability(MRSIPO(PreferenceMatrix(0.5 + A), np.geomspace(0.02, 2, 60), 0.0, 1.0))
    assert 0.7 < np.max(linear.spectral_radius) < 0.9


def test_an_anti_ranked_reference_makes_a_ranking_oscillate():
    """MRS-13 (b): the reference is chosen so that uniform is the fixed point."""
    A = 0.5 * np.array([[0, 0.6, 1], [-0.6, 0, 0.6], [-1, -0.6, 0]])
    logits = -A @ np.full(3, 1 / 3) / (0.1 * 0.025)
    log_reference = logits - np.logaddexp.reduce(logits)
    rule = MRSIPO(PreferenceMatrix(0.5 + A), 0.025, 0.9, 1.0, log_reference=log_reference)
    linear = stability(rule)
    np.testing.assert_allclose(linear.point.policy, 1 / 3, atol=1e-9)
    assert linear.spectral_radius**2 == pytest.approx(1.40, abs=0.005)
    assert stability(rule.replace(lam=0.5)).kind == "stable"


@settings(max_examples=20)
@given(rule=rules(kinds=[MRSIPO], min_K=3, max_K=3))
def test_a_point_may_be_handed_in(rule):
    linear = stability(rule)
    assume(linear.spectral_radius > 1e-6)
    again = stability(rule, linear.point)
    np.testing.assert_array_equal(again.multipliers, linear.multipliers)
    from_start = stability(rule, [0.2, 0.3, 0.5])
    assert from_start.spectral_radius == pytest.approx(linear.spectral_radius, rel=1e-7)


def test_a_fixed_point_of_another_game_size_is_refused():
    rule = MRSIPO(games.cycle(5, 0.4), beta=0.5, alpha=0.5, lam=1.0)
    point = stability(MRSIPO(games.rock_paper_scissors(0.4), 0.5, 0.5, 1.0)).point
    with pytest.raises(prefdyn.InputError, match="one of 3 responses, and the rule has 5"):
        stability(rule, point)
