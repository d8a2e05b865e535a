"""Accelerated and trust-region rounds, against what they are equivalent to."""

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefdyn import MRSDPO, MRSIPO, Inexact, InputError, games, objectives, orbit, stability
from prefdyn import rules as all_rules
from prefdyn.policies import Tabular
from prefdyn.rules import MRS, TRDPO, AcceleratedPO, GradientStep, Momentum
from prefdyn.testing import check_rule, policies, rules

RPS = games.rock_paper_scissors(0.4)
SCORES = np.array([0.5, 0.0, -1.0])
BT = games.bradley_terry(SCORES)
START = [0.5, 0.3, 0.2]
quick = settings(max_examples=15)

PUBLISHED = {
    *("sft", "dpo", "cdpo", "robust_dpo", "exo_pair", "discopop", "cpo", "ipo", "ipo_mean"),
    *("rso_hinge", "slic_hf", "rrhf", "dpo_norm", "simpo", "alphapo", "ld_dpo", "orpo", "kto"),
    *("bco", "nca_pair", "apo_zero", "apo_down", "aot", "aot_unpaired", "f_dpo_js"),
    *(
        "f_dpo_forward_kl",
        "f_dpo_alpha",
        "chipo",
        "cal_dpo",
        "sppo_hard",
        "sppo",
        "dpop",
        "dpo_nll",
    ),
    *("dpo_nll", "spo", "slime", "dpo_shift", "bpo", "pro", "r_dpo", "alpha_dpo", "wpo", "xpo"),
    *("accelerated_po", "tr_dpo"),
}
"""The published objectives and iterate-level methods this package covers."""


def test_the_registries_together_hold_every_published_method():
    ids = {"objective": objectives.names(), "wrapper": objectives.wrapper_names()}
    ids["rule"] = all_rules.names()
    found = [id for group in ids.values() for id in group]
    assert set(found) >= PUBLISHED
    assert len(found) == len(set(found))
    assert {"accelerated_po", "tr_dpo"} <= set(ids["rule"])
    assert "wpo" in ids["wrapper"]


def test_rules_are_found_by_name():
    assert all_rules.get("tr_dpo") is TRDPO
    assert all_rules.get("mrs_ipo")(RPS, 0.3, 0.5, 1.0).beta == 0.3
    shipped = {getattr(all_rules, name) for name in all_rules.__all__}
    assert {all_rules.get(id) for id in all_rules.names()} <= shipped
    with pytest.raises(InputError, match=r"rule 'trdpo' is not known: .*\(nearest: tr_dpo"):
        all_rules.get("trdpo")


@quick
@given(rule=rules(max_K=4), alpha=st.floats(0.0, 0.9), seed=st.integers(0, 99))
def test_accelerated_rounds_keep_the_contract(rule, alpha, seed):
    check_rule(AcceleratedPO(rule, alpha), seed=seed)


@quick
@given(rule=rules(max_K=4), alpha=st.floats(0.05, 1.0), seed=st.integers(0, 99))
def test_trust_region_rounds_keep_the_contract(rule, alpha, seed):
    check_rule(TRDPO(rule.replace(alpha=0.0), alpha, every=1), seed=seed)


@quick
@given(rule=rules(), data=st.data())
def test_without_extrapolation_it_is_the_plain_iteration(rule, data):
    start = data.draw(policies(rule.K))
    found = orbit(AcceleratedPO(rule, 0.0), start, rounds=4, tolerance=0)
    plain = orbit(rule, start, rounds=4, tolerance=0)
    np.testing.assert_allclose(found.log_policies, plain.log_policies, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("build", [MRSDPO, lambda *args: MRS(args[0], "dpo", *args[1:])])
def test_accelerated_steps_on_a_bradley_terry_game_grow_to_a_limit(build, alpha):
    """The step per round tends to (r/beta)/(1-alpha); in round t alpha^(t+1) of it is missing."""
    beta, rounds = 5.0, 12
    rule = AcceleratedPO(build(BT, beta, 1.0, 0.0), alpha)
    run = orbit(rule, START, rounds=rounds, tolerance=0)
    logits = run.log_policies - run.log_policies.mean(-1, keepdims=True)
    limit = (SCORES - SCORES.mean()) / beta / (1 - alpha)
    missing = alpha ** np.arange(2, rounds + 2)[:, None]
    np.testing.assert_allclose(np.diff(logits, axis=0), limit * (1 - missing), atol=1e-9)


@quick
@given(rule=rules(max_K=4, min_beta=0.3), alpha=st.floats(0.0, 0.9))
def test_acceleration_turns_each_multiplier_into_two_roots(rule, alpha):
    """z^2 - (1 + a) x z + a x = 0 for every multiplier x of the wrapped rule."""
    plain = stability(rule).multipliers
    found = stability(AcceleratedPO(rule, alpha)).multipliers
    for x in plain:
        for root in np.roots([1.0, -(1 + alpha) * x, alpha * x]):
            # A double root is known to the square root of the rounding only.
            assert np.abs(found - root).min() < 1e-6 * max(1.0, abs(root))


@pytest.mark.parametrize("rule", [MRSDPO(RPS, 2.0, 0.0, 0.0), MRSIPO(RPS, 2.0, 0.0, 1.0)])
def test_a_hard_update_is_the_iteration_with_the_current_policy_as_reference(rule):
    found = orbit(TRDPO(rule, 1.0, every=1), START, rounds=6, tolerance=0)
    plain = orbit(rule.replace(alpha=1.0), START, rounds=6, tolerance=0)
    np.testing.assert_allclose(found.log_policies, plain.log_policies, atol=1e-11)


def test_a_soft_update_of_a_fixed_sampler_is_an_inexact_round_of_the_reference():
    """The reference moves a share alpha of the way to the optimum around it."""
    rule = MRSDPO(RPS, 2.0, 0.0, 0.0, offline=[0.2, 0.3, 0.5])
    soft = TRDPO(rule, 0.25, every=1)
    state, slow = soft.init(START), Inexact(rule.replace(alpha=1.0), 0.25)
    reference = slow.init(START)
    for t in range(5):
        state, reference = soft.step(state, t, None), slow.step(reference, t, None)
        np.testing.assert_allclose(state[3:], reference, atol=1e-12)


def test_trust_region_training_is_gradient_steps_against_a_mixed_reference():
    """Written out for two prompts' worth of logits: DPO on one pair, three steps per update."""
    policy = Tabular([0.4, -0.1, 0.0])
    rule = TRDPO(GradientStep("dpo", policy, [(0, 1)], rate=0.7), 0.6, every=3)
    run = orbit(rule, rounds=4, tolerance=0)
    theta = np.asarray(policy.params)
    reference = theta.copy()
    for t in range(4):
        for _ in range(3):
            h = (theta[0] - theta[1]) - (reference[0] - reference[1])
            push = 0.1 / (1 + np.exp(0.1 * h))
            theta = theta + 0.7 * push * np.array([1.0, -1.0, 0.0])
        reference = 0.6 * theta + 0.4 * reference
        expected = theta - np.log(np.exp(theta).sum())
        np.testing.assert_allclose(run.log_policies[t + 1], expected, atol=1e-12)


def test_starts_of_a_batch_train_one_by_one():
    rule = TRDPO(
        GradientStep("ipo", Tabular(np.zeros(3)), [(0, 1), (1, 2)], rate=0.1), 0.5, every=2
    )
    starts = np.array([START, [0.2, 0.2, 0.6]])
    together = orbit(rule, starts, rounds=5, tolerance=0).log_policies
    alone = [orbit(rule, start, rounds=5, tolerance=0).log_policies for start in starts]
    np.testing.assert_allclose(together, np.stack(alone, axis=1), atol=1e-13)


def test_a_moving_reference_removes_the_rest_point_of_a_fixed_one():
    """IPO rests at a gap of 1/(2 beta); each update of the reference sets it in motion again."""
    step = GradientStep("ipo", Tabular([0.0, 0.0]), [(0, 1)], rate=0.1)
    fixed, moving = step, TRDPO(step, 1.0, every=200)
    gaps = [
        np.diff(orbit(rule, rounds=rounds, tolerance=0, save=rounds).log_policies[-1])[0]
        for rule, rounds in ((fixed, 1000), (moving, 5))
    ]
    np.testing.assert_allclose(gaps, [-5.0, -25.0], rtol=1e-6)


def test_stability_sees_the_reference_move():
    """At the centre of a cycle the two halves of the state turn together, and out."""
    rule = TRDPO(MRSIPO(RPS, 2.0, 0.0, 1.0), 1.0, every=1)
    hard, plain = stability(rule), stability(MRSIPO(RPS, 2.0, 1.0, 1.0))
    assert hard.spectral_radius == pytest.approx(float(plain.spectral_radius), abs=1e-6)
    assert plain.spectral_radius > 1


@pytest.mark.parametrize("share", [0.3, 0.6, 0.7, 1.0])
def test_a_soft_update_settles_a_weak_cycle_below_two_thirds(share):
    """With i w the multiplier of the drive, z^2 - (1 + i w) z + (1 - a) i w = 0.

    The root near 1 has |z|^2 = 1 + (3 a^2 - 2 a) w^2 + O(w^4): below 1 for a < 2/3.
    """
    beta = 2.0
    w = 0.4 / np.sqrt(3) / beta
    found = stability(TRDPO(MRSIPO(RPS, beta, 0.0, 1.0), share, every=1)).spectral_radius
    exact = np.abs(np.roots([1, -(1 + 1j * w), (1 - share) * 1j * w])).max()
    assert found == pytest.approx(exact, abs=1e-7)
    assert (found < 1) == (share < 2 / 3)
    assert found**2 == pytest.approx(1 + (3 * share**2 - 2 * share) * w**2, abs=3 * w**4)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda rule: AcceleratedPO(rule, 1.0), "alpha is 1: extrapolation without friction"),
        (lambda rule: AcceleratedPO(cast(Any, Momentum(rule, 0.1)), 0.5), "needs a rule on logits"),
        (lambda rule: TRDPO(rule, 0.5), "give it an MRS rule with alpha=0"),
        (lambda rule: TRDPO(Momentum(rule, 0.5), 0.5), "which Momentum does not have"),
        (lambda rule: TRDPO(rule.replace(alpha=0.0), 0.0), "alpha is 0: the reference never moves"),
        (lambda rule: TRDPO(rule.replace(alpha=0.0), 0.5, 0), "every is 0"),
        (
            lambda rule: TRDPO(GradientStep("dpo", Tabular([0.0, 0.0]), [(0, 1)], rate=[0.1, 0.2])),
            "TRDPO trains one run at a time",
        ),
    ],
)
def test_bad_rounds_are_refused_in_one_sentence(build, message):
    with pytest.raises(InputError) as error:
        build(MRSIPO(RPS, 0.3, 0.5, 1.0))
    assert message in str(error.value)
    assert str(error.value).endswith(".")
