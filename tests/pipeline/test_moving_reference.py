"""A reference that moves towards the policy: the pipeline step by step, against its translation."""

import numpy as np
import pytest

from prefdyn import MRSIPO, InputError, stability
from prefdyn.games import rock_paper_scissors
from prefdyn.pipeline.moving_reference import least_kappa, multipliers, speed, strength
from prefdyn.policies import Tabular
from prefdyn.rules import TRDPO, GradientStep, Inexact

RPS = rock_paper_scissors(0.4)
A = RPS.skew
BETA = 1.0


def policy_gap(rule: TRDPO, periods: int) -> float:
    """Log-odds of the pair after so many periods of training, before the reference's last move."""
    state = rule.init_log(np.log([0.5, 0.5]))
    for t in range(periods):
        state = rule.step(state, t, None)
    return float(-np.diff(rule.log_policy(state))[0])


def step(objective: str, pairs: list[tuple[int, int]], rate: float) -> GradientStep:
    return GradientStep(objective, Tabular([0.0, 0.0]), pairs, rate=rate)


@pytest.mark.parametrize("mixing", [0.2, 0.6, 1.0])
def test_on_fixed_data_policy_and_reference_drift(mixing):
    """Gradient steps on the IPO loss of one pair, each of which covers 4 rate of the way."""
    rate, every = 0.05, 4
    kappa = 1 - (1 - 4 * rate) ** every
    one = policy_gap(TRDPO(step("ipo", [(0, 1)], 0.25), mixing, every=1), 1)
    rule = TRDPO(step("ipo", [(0, 1)], rate), mixing, every=every)
    for periods in (1, 2, 7):
        expected = strength(mixing, kappa, periods)
        assert policy_gap(rule, periods) / one == pytest.approx(expected, rel=1e-10)
    later = strength(mixing, kappa, 200) - strength(mixing, kappa, 199)
    assert later == pytest.approx(speed(mixing, kappa), rel=1e-9)


def test_a_period_that_breaks_off_goes_a_part_of_its_way():
    """Gradient steps: four to an update, and three after the last one."""
    mixing, rate = 0.6, 0.05
    one = policy_gap(TRDPO(step("ipo", [(0, 1)], 0.25), mixing, every=1), 1)
    policy = reference = 0.0
    for t in range(11):
        policy += 4 * rate * (reference + one - policy)
        if t in (3, 7):
            reference = mixing * policy + (1 - mixing) * reference
    kappa = 1 - (1 - 4 * rate) ** 4
    assert policy / one == pytest.approx(strength(mixing, kappa, 11 / 4), rel=1e-12)
    assert strength(mixing, 1.0, 1.01) == pytest.approx(1 + mixing)


def test_whole_rounds_add_up():
    assert strength(0.6, 1.0, 5) == pytest.approx(1 + 0.6 * 4)
    assert strength(1.0, 0.3, 5) == pytest.approx(1.5)


@pytest.mark.slow
def test_dpo_drifts_as_its_translation_says_to_a_few_per_cent():
    """A preference of 0.7; kappa is that of the first period, later ones differ a little."""
    one = np.log(7 / 3) / 0.1
    labelled = step("dpo", 7 * [(0, 1)] + 3 * [(1, 0)], 5.0)
    rule = TRDPO(labelled, 0.6, every=20)
    kappa = policy_gap(rule, 1) / one
    assert 0.3 < kappa < 0.9
    assert policy_gap(rule, 12) / one == pytest.approx(strength(0.6, kappa, 12), rel=0.03)


@pytest.mark.parametrize("kappa", [0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("mixing", [0.3, 0.6, 0.9])
def test_multipliers_of_the_two_step_map(mixing, kappa):
    exact = MRSIPO(RPS, BETA, 0.0, 1.0)
    x = stability(exact).multipliers
    found = stability(TRDPO(Inexact(exact, kappa), mixing, every=1)).spectral_radius
    assert found == pytest.approx(np.abs(multipliers(x, mixing, kappa)).max(), abs=1e-7)


def grown(mixing: float, rate: float, steps: int, periods: int) -> float:
    """Growth per period of the pipeline itself: pairs from the policy, then plain gradient steps.

    The population IPO loss has the gradient ``2 mu (u - mean u - (A mu)/beta)`` (IPO-2).
    """
    policy = reference = 1e-5 * np.array([1.0, -0.3, -0.7])
    sizes = []
    for _ in range(periods):
        mu = np.exp(policy) / np.exp(policy).sum()
        for _ in range(steps):
            u = policy - reference
            policy = policy - rate * 2 * mu * (u - mu @ u - A @ mu / BETA)
        reference = mixing * policy + (1 - mixing) * reference
        sizes.append(np.linalg.norm(policy - policy.mean()))
    tail = np.log(sizes[periods // 2 :])
    return float(np.exp(np.polyfit(np.arange(len(tail)), tail, 1)[0]))


@pytest.mark.parametrize(("mixing", "rate", "steps"), [(0.6, 0.3, 3), (0.3, 0.3, 9), (0.9, 1.0, 4)])
def test_the_pipeline_grows_and_shrinks_as_translated(mixing, rate, steps):
    kappa = 1 - (1 - 2 * rate / 3) ** steps
    x = stability(MRSIPO(RPS, BETA, 0.0, 1.0)).multipliers
    expected = np.abs(multipliers(x, mixing, kappa)).max()
    assert grown(mixing, rate, steps, 300) == pytest.approx(expected, abs=2e-4)


def test_a_weak_cycle_settles_above_the_least_kappa():
    x = 1e-3j
    for mixing in (0.2, 0.5, 0.6):
        edge = least_kappa(mixing)
        radii = [np.abs(multipliers(x, mixing, edge * s)).max() for s in (0.99, 1.01)]
        assert radii[0] > 1 > radii[1]
    assert least_kappa(0.6) == pytest.approx(9 / 14)
    assert least_kappa(2 / 3) == np.inf
    assert np.abs(multipliers(x, 0.67, 1.0)).max() > 1


def test_to_first_order_it_is_rounds_without_an_anchor():
    """At the stated beta; what is left over is of second order in 1/beta."""
    left = []
    for beta in (10.0, 20.0):
        x = stability(MRSIPO(RPS, beta, 0.0, 1.0)).multipliers
        slow = multipliers(x, 0.6, 0.5)[..., 0]
        plain = stability(MRSIPO(RPS, beta / speed(0.6, 0.5), 1.0, 1.0)).multipliers
        left.append(np.abs(np.sort_complex(slow) - np.sort_complex(plain)).max())
    assert left[0] / left[1] == pytest.approx(4, rel=0.05)


def test_a_part_of_a_step_has_a_reference_to_move_only_inside_mixed_reference_rules():
    with pytest.raises(InputError, match="which Inexact does not have"):
        TRDPO(Inexact(step("dpo", [(0, 1)], 0.1), 0.5), 0.6)
