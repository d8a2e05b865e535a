"""Gradient descent on pairs: against torch's optimisers, the kernel view, and its own limits."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from prefdyn import (
    MRSIPO,
    InputError,
    NoOptimum,
    critical,
    fixed_point,
    games,
    objectives,
    orbit,
    stability,
    verdict,
)
from prefdyn.policies import (
    Autoregressive,
    KernelPolicy,
    LogLinear,
    Tabular,
    UnconstrainedFeatures,
    log_softmax,
)
from prefdyn.rules import (
    Adam,
    GradientFlow,
    GradientStep,
    Momentum,
    RMSprop,
    get_parameter,
    set_parameter,
)
from prefdyn.testing import seeds

PAIRS = [(0, 1), (2, 3)]
TABLE = Tabular([0.0, 0.0, 0.0])
NEEDED = {"kto": {"z0": 0.1}, "bpo": {"alpha": 0.5}, "alpha_dpo": {"ema_std": 1.0}}
EXTRA = {
    "sppo": {"chosen_win_rate": np.array([0.7, 0.6]), "rejected_win_rate": np.array([0.3, 0.4])}
}


def objective(id):
    if id == "weighted_sum":
        return objectives.WeightedSum(("dpo", "slime"), (1.0, 0.5))
    return objectives.get(id, **NEEDED.get(id, {}))


def policy(rng, *, kappa_W: Any = 0.4, kappa_h: Any = 1.2):
    responses = [(0, 1), (0, 2, 3), (1,), (2, 1, 1)]
    contexts = UnconstrainedFeatures.contexts(responses)
    W, h = rng.normal(size=(4, 3)), rng.normal(size=(len(contexts), 3))
    return UnconstrainedFeatures(W, h, responses, kappa_W=kappa_W, kappa_h=kappa_h)


ALL = [*objectives.names(), *objectives.wrapper_names()]


@pytest.mark.parametrize("id", ALL)
def test_every_objective_is_descended_on_every_kind_of_policy(id):
    """The step is the gradient of the loss, and the kernel predicts it to first order."""
    rng = np.random.default_rng(7)
    table = Tabular(rng.normal(size=(2, 3)))
    kinds = [policy(rng), table, LogLinear(rng.normal(size=(2, 3, 4))), Autoregressive(2, 2)]
    for start in kinds:
        pairs = PAIRS if start.K == 4 else [(0, 1), (3, 5)]
        start = start.at(start.params + 0.3 * rng.normal(size=start.params.shape))
        reference = start.at(start.params + 0.3 * rng.normal(size=start.params.shape))
        rules = [
            GradientStep(
                objective(id), start, pairs, h, reference=reference, extra=EXTRA.get(id, {})
            )
            for h in (1e-3, 1e-4)
        ]
        errors, moves = [], []
        for rule in rules:
            state = rule.own_start
            predicted = rule.rate * start.rates(None, rule.pushes(state))
            after = rule.params(rule.step(state, 0, None))
            moved = start.token_log_probs(after) - start.token_log_probs()
            scale = np.abs(rule.pushes(state)).max() ** 2 + 1  # the error's second-order constant
            errors.append(np.abs(moved - predicted).max() / scale)
            moves.append(np.abs(after - start.params).max())
        assert moves[0] > 0
        assert errors[1] <= 0.02 * errors[0] + 1e-13


@pytest.mark.parametrize("id", ALL)
def test_a_measured_kernel_takes_every_objective(id):
    """Its first step is the model's own, to first order in the rate."""
    rng = np.random.default_rng(11)
    start = policy(rng)
    reference = start.at(start.params + 0.3 * rng.normal(size=start.params.shape))
    kernel = KernelPolicy(start.token_log_probs(), start.token_gram(), mask=start.mask)
    extra = dict(EXTRA.get(id, {}))
    if id == "wpo":  # which no kernel knows
        for side, of in (("chosen", [0, 2]), ("rejected", [1, 3])):
            extra[f"{side}_log_sum_p2"] = start.log_sum_p2()[of]
    errors = []
    for rate in (1e-3, 1e-4):
        ends = []
        for which in (start, kernel):
            rule = GradientStep(objective(id), which, PAIRS, rate, reference=reference, extra=extra)
            ends.append(rule.log_policy(rule.step(rule.own_start, 0, None)))
        scale = np.abs(rule.pushes(rule.own_start)).max() ** 2 + 1
        assert np.abs(ends[1] - start.log_probs()).max() > 0
        errors.append(np.abs(ends[0] - ends[1]).max() / scale)
    assert errors[1] <= 0.02 * errors[0] + 1e-13


@pytest.mark.parametrize("id", ["dpo", "ipo", "simpo", "slime", "orpo", "ld_dpo"])
def test_the_step_is_the_finite_difference_of_the_loss(id):
    rng = np.random.default_rng(3)
    start = policy(rng, kappa_W=1.0, kappa_h=1.0)
    reference = start.at(start.params + 0.2 * rng.normal(size=start.params.shape))
    rule = GradientStep(id, start, PAIRS, 1.0, reference=reference)
    h = 1e-6
    slopes = [
        (rule.loss(start.params + h * e) - rule.loss(start.params - h * e)) / (2 * h)
        for e in np.eye(len(start.params))
    ]
    found = rule.step(rule.own_start, 0, None) - start.params
    np.testing.assert_allclose(found, -np.array(slopes), atol=2e-7)


OPTIMISERS = {
    "plain": (None, lambda p: torch.optim.SGD(p, lr=0.05)),
    "momentum": ("momentum", lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9)),
    "adam": (Adam(), lambda p: torch.optim.Adam(p, lr=0.05)),
    "adam, other moments": (
        Adam(0.5, 0.9, 1e-3),
        lambda p: torch.optim.Adam(p, lr=0.05, betas=(0.5, 0.9), eps=1e-3),
    ),
    "rmsprop": (RMSprop(), lambda p: torch.optim.RMSprop(p, lr=0.05)),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimisers_are_torchs(name):
    own, theirs = OPTIMISERS[name]
    rng = np.random.default_rng(5)
    features = rng.normal(size=(5, 3))
    start = LogLinear(features, rng.normal(size=3))
    optimiser = None if own == "momentum" else own
    rule = GradientStep(objectives.get("dpo", beta=0.5), start, PAIRS, 0.05, optimiser=optimiser)
    rule = Momentum(rule, 0.9) if own == "momentum" else rule
    run = orbit(rule, rounds=60, tolerance=0)

    theta = torch.tensor(start.params, requires_grad=True)
    optimiser, reference = theirs([theta]), torch.tensor(start.log_probs())
    for _ in range(60):
        optimiser.zero_grad()
        ratio = torch.log_softmax(torch.tensor(features) @ theta, 0) - reference
        gaps = torch.stack([ratio[chosen] - ratio[rejected] for chosen, rejected in PAIRS])
        (-torch.nn.functional.logsigmoid(0.5 * gaps).mean()).backward()
        optimiser.step()
    expected = log_softmax(features @ theta.detach().numpy())
    np.testing.assert_allclose(run.log_policies[-1], expected, atol=1e-10)


def test_flow_is_the_limit_of_small_steps():
    """The difference falls with the rate, to first order."""
    start = Tabular([0.3, -0.2, 0.5, 0.0])
    flow = orbit(GradientFlow("ipo", start, PAIRS, duration=1.0), rounds=2).log_policies[-1]
    errors = [
        np.abs(
            orbit(GradientStep("ipo", start, PAIRS, 2.0 / n), rounds=n, tolerance=0).log_policies[
                -1
            ]
            - flow
        ).max()
        for n in (100, 1000)
    ]
    assert errors[0] > 0
    assert errors[1] == pytest.approx(errors[0] / 10, rel=0.1)


def test_multipliers_of_step_and_flow_belong_together():
    """At the optimum of IPO: step 1 - eta mu, flow exp(-T mu)."""
    start = Tabular([0.3, -0.2, 0.5])
    pairs = [(0, 1), (1, 2)]
    step = stability(GradientStep("ipo", start, pairs, 0.01))
    assert step.jacobian_by == "autodiff"
    assert step.kind == "stable"
    flow = stability(GradientFlow("ipo", start, pairs, duration=0.3))
    expected = np.exp(-0.3 * (1 - step.multipliers) / 0.01)
    np.testing.assert_allclose(flow.multipliers, expected, atol=1e-8)


def test_a_loss_without_a_minimum_has_no_fixed_point():
    with pytest.raises(NoOptimum, match="die out towards infinity"):
        fixed_point(GradientStep("dpo", Tabular([0.3, -0.2, 0.5]), [(0, 1)], 0.1))


def test_the_critical_rate_is_two_over_the_largest_curvature():
    rule = GradientStep("ipo", Tabular([0.3, -0.2, 0.5]), [(0, 1), (1, 2)], 0.1)
    curvature = (1 - np.real(stability(rule).multipliers).min()) / 0.1
    assert critical(rule, "rate", range=(0.01, 5.0)).value == pytest.approx(2 / curvature, rel=1e-6)


def test_too_large_a_rate_flips():
    """Gradient descent loses stability at eta = 2/curvature, with a multiplier of -1."""
    start = Tabular([0.0, 0.0])
    # Tabular IPO on one pair: the gap moves by 2 eta d_w, d_w = 2 (target - gap).
    assert stability(GradientStep("ipo", start, [(0, 1)], 0.49)).spectral_radius < 1
    unstable = stability(GradientStep("ipo", start, [(0, 1)], 0.51))
    assert unstable.multipliers[0] == pytest.approx(1 - 4 * 0.51, abs=1e-9)
    assert not orbit(GradientStep("ipo", start, [(0, 1)], 0.51), rounds=200).settled


@settings(max_examples=20)
@given(seeds())
def test_population_steps_end_at_the_closed_form(seed):
    """All pairs of a game, weighted by P and a uniform sampler: the optimum of one round of IPO."""
    game = games.random(4, seed)
    start = Tabular(np.random.default_rng(seed).normal(size=4))
    pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
    weights = [game.P[i, j] / 16 for i, j in pairs]
    ipo = objectives.get("ipo", beta=0.5)
    found = fixed_point(GradientStep(ipo, start, pairs, 0.5, weights=weights))
    once = MRSIPO(game, beta=0.5, alpha=0.0, lam=0.0, reference=np.exp(start.log_probs()))
    np.testing.assert_allclose(
        found.log_policy,
        once.log_policy(once.step(once.init(np.full(4, 0.25)), 0, None)),
        atol=1e-9,
    )


def test_kernel_that_follows_the_state_is_the_table_in_the_limit_of_small_steps():
    table = Tabular([0.4, 0.0, -0.3, 0.1])
    kernel = KernelPolicy(table.log_probs(), table.gram)
    ends = []
    for start in (table, kernel):
        for n in (50, 500):
            rule = GradientStep("ipo", start, PAIRS, 1.0 / n)
            ends.append(orbit(rule, rounds=n, tolerance=0).log_policies[-1])
    coarse, fine = np.abs(ends[0] - ends[2]).max(), np.abs(ends[1] - ends[3]).max()
    assert coarse > 1e-4
    assert fine == pytest.approx(coarse / 10, rel=0.1)


def test_adam_runs_in_function_space():
    """On a policy that is linear but for its normaliser the linearised run follows the real one."""
    rng = np.random.default_rng(2)
    start = LogLinear(0.1 * rng.normal(size=(5, 3)))
    linear = KernelPolicy.from_gradients(start.log_probs(), start.gradients())
    real, predicted = (
        orbit(GradientStep("dpo", p, PAIRS, 0.01, optimiser=Adam()), rounds=30).log_policies[-1]
        for p in (start, linear)
    )
    moved = np.abs(real - start.log_probs()).max()
    assert moved > 0.02
    assert np.abs(real - predicted).max() < 0.02 * moved


def test_step_multipliers_are_learning_rates_under_adam_too():
    rng = np.random.default_rng(6)
    W, h = rng.normal(size=(4, 3)), rng.normal(size=3)
    start = UnconstrainedFeatures(W, h, kappa_W=0.1, kappa_h=2.0)
    run = orbit(GradientStep("dpo", start, [(0, 1)], 0.01, optimiser=Adam()), rounds=5, tolerance=0)

    groups = [torch.tensor(x, requires_grad=True) for x in (W, h)]
    rates = [{"params": groups[0], "lr": 0.001}, {"params": groups[1], "lr": 0.02}]
    theirs, reference = torch.optim.Adam(rates), torch.tensor(start.log_probs())
    for _ in range(5):
        theirs.zero_grad()
        ratio = torch.log_softmax(groups[0] @ groups[1], 0) - reference
        (-torch.nn.functional.logsigmoid(0.1 * (ratio[0] - ratio[1]))).backward()
        theirs.step()
    expected = log_softmax((groups[0] @ groups[1]).detach().numpy())
    np.testing.assert_allclose(run.log_policies[-1], expected, atol=1e-10)

    diagonal = KernelPolicy.from_gradients(
        start.log_probs(), start.gradients(), preconditioner=start.multipliers
    )
    first = [GradientStep("dpo", p, [(0, 1)], 1e-6, optimiser=Adam()) for p in (start, diagonal)]
    moves = [rule.params(rule.step(rule.own_start, 0, None)) for rule in first]
    np.testing.assert_allclose(moves[0] - start.params, moves[1], atol=1e-15)


def test_more_parameters_than_the_pairs_pin_down_get_no_verdict():
    rule = GradientStep(
        "ipo", LogLinear(np.random.default_rng(0).normal(size=(3, 2))), [(0, 1)], 0.1
    )
    assert stability(rule).kind == "marginal"
    with pytest.raises(NoOptimum, match="line of fixed points"):
        verdict(rule)


@pytest.mark.parametrize("id", ["kto", "bco", "spo"])
def test_statistics_travel_in_the_state(id):
    """A batch runs as its members do, and a run cut in two is the run in one piece."""
    made = {
        "kto": objectives.get("kto"),
        "bco": objectives.get("bco"),
        "spo": objectives.get("spo", mode="dual", v_star=0.5),
    }[id]
    start = Tabular([[0.2, 0.0, 0.1], [0.0, 0.4, 0.3]])
    rule = GradientStep(made, start, [(0, 1), (3, 5)], np.array([0.1, 0.5]))
    state = rule.own_start
    for t in range(4):
        state = rule.step(state, t, None)
    for k, rate in enumerate((0.1, 0.5)):
        single = GradientStep(made, start, [(0, 1), (3, 5)], rate)
        np.testing.assert_array_equal(orbit(single, rounds=4, tolerance=0).state, state[k])
    assert np.abs(state[..., rule.size :]).max() > 0


def test_ktos_baseline_is_that_of_the_mismatched_answers():
    start = Tabular([[0.2, 0.0, 0.1], [0.0, 0.4, 0.3]])
    rule = GradientStep(objectives.get("kto"), start, [(0, 1), (4, 5)], 1.0)
    state = rule.step(rule.own_start, 0, None)
    state = rule.step(state, 1, None)  # z0 of the policy after the first step
    once = rule.params(rule.step(rule.own_start, 0, None))
    ratios = start.log_probs(once) - start.log_probs()
    expected = max(0.0, ratios[[3, 4, 1, 2]].mean())
    assert state[-1] == pytest.approx(expected, abs=1e-15)


def test_answers_under_the_next_prompt_are_mismatched_only_if_they_are_the_same():
    W, h = np.eye(4), np.ones((2, 4))
    same = UnconstrainedFeatures(W, h, [(0,), (1,), (0,), (1,)], [0, 0, 1, 1])
    found = GradientStep("kto", same, [(0, 1), (3, 2)], 1.0).training.mismatched
    np.testing.assert_array_equal(found, [(2, 3), (1, 0)])
    for responses, prompts in (
        ([(0,), (1,), (2,), (3,)], [0, 0, 1, 1]),
        ([(0,), (0,), (1,), (1,)], [0, 1, 0, 1]),
    ):
        start = UnconstrainedFeatures(W, h, responses, prompts)
        pair = [(0, 1)] if prompts[1] == 0 else [(0, 2)]
        with pytest.raises(InputError, match="mismatched="):
            GradientStep("kto", start, pair, 1.0)


def test_fields_of_the_pairs_do_not_enter_the_mismatched_ones():
    start = Tabular([[0.2, 0.0, 0.1], [0.0, 0.4, 0.3]])
    extra = {"ref_chosen": [-1.0]}
    mismatched = [(3, 4), (0, 1)]
    rule = GradientStep("kto", start, [(0, 1)], 1.0, mismatched=mismatched, extra=extra)
    assert rule.step(rule.own_start, 0, None)[-1] == 0.0  # at its own reference


@pytest.mark.parametrize("id", ["aot", "bco", "kto"])
def test_objectives_that_mix_pairs_refuse_a_batch_of_values(id):
    start = Tabular([[0.2, 0.0, 0.1], [0.0, 0.4, 0.3]])
    rule = GradientStep(id, start, [(0, 1), (3, 5)], 0.1)
    with pytest.raises(InputError, match="beta is a batch"):
        set_parameter(rule, "objective.beta", np.array([0.1, 0.2]))
    with pytest.raises(InputError, match="step multipliers is a batch"):
        GradientStep(
            objectives.get(id),
            UnconstrainedFeatures(np.eye(3), np.ones((2, 3)), kappa_W=[0.1, 0.2]),
            [(0, 1), (3, 5)],
            0.1,
        )


def test_the_barrier_keeps_its_inequality():
    """<step, -grad F> >= rho |grad F|^2 in the policy's own metric (claim SPO-6)."""
    rng = np.random.default_rng(4)
    features = rng.normal(size=(6, 3))
    features[1] = 0.97 * features[0]  # the rejected response drags the chosen one along
    start = LogLinear(features, rng.normal(size=3))
    spo = objectives.get("spo", mode="barrier", rho=0.2)
    rule = GradientStep(spo, start, [(0, 1), (2, 3)], 1.0)
    slope = GradientStep("sft", start, [(0, 1), (2, 3)], 1.0)
    climb = slope.step(slope.own_start, 0, None) - start.params  # -grad F
    move = rule.params(rule.step(rule.own_start, 0, None)) - start.params
    assert move @ climb >= 0.2 * climb @ climb - 1e-12
    plain = GradientStep("dpo", start, [(0, 1), (2, 3)], 1.0)
    unguarded = plain.step(plain.own_start, 0, None) - start.params
    assert unguarded @ climb < 0.2 * climb @ climb  # so the barrier had something to do


def test_the_hinge_is_switched_by_the_mean_over_all_pairs():
    """Both pairs are pushed, although the SFT loss of one of them is within the constraint."""
    policy = Tabular(np.log([0.6, 0.1, 0.2, 0.1]))
    sft = -np.log([0.6, 0.2])
    for v_star, active in ((sft.mean() - 0.1, 1.0), (sft.mean() + 0.1, 0.0)):
        hinge = objectives.get("spo", mode="hinge", lam=0.7, eps=0.0, v_star=float(v_star))
        pushes = {
            id: GradientStep(objective, policy, [(0, 1), (2, 3)], rate=0.1)
            for id, objective in {"hinge": hinge, "base": hinge.base}.items()
        }
        found, base = (rule.pushes(rule.own_start)[:, 0] for rule in pushes.values())
        np.testing.assert_allclose(found - base, 0.35 * active * np.array([1, 0, 1, 0]), atol=1e-12)
        steps = [rule.step(rule.own_start, 0, None)[:4] for rule in pushes.values()]
        assert np.allclose(*steps) == (not active)


def test_extra_fields_go_before_the_policys_own():
    longer = GradientStep("simpo", TABLE, [(0, 1)], 1.0, extra={"chosen_length": [4]})
    pushes = longer.pushes(longer.own_start)[:2, 0]
    assert pushes[0] == pytest.approx(-pushes[1] / 4, rel=1e-12)


def test_hyper_parameters_and_step_multipliers_are_batches():
    rng = np.random.default_rng(0)
    rule = GradientStep("dpo", policy(rng, kappa_W=[[0.1], [1.0]]), PAIRS, 0.1)
    betas = np.array([0.1, 0.2, 0.5])
    rule = set_parameter(rule, "objective.beta", betas)
    assert rule.batch_shape == (2, 3)
    after = rule.step(rule.own_start, 0, None)
    for i, kappa in enumerate((0.1, 1.0)):
        for j, beta in enumerate(betas):
            one = GradientStep(
                objectives.get("dpo", beta=float(beta)),
                policy(np.random.default_rng(0), kappa_W=kappa),
                PAIRS,
                0.1,
            )
            np.testing.assert_allclose(after[i, j], one.step(one.own_start, 0, None), atol=1e-14)
    assert get_parameter(Momentum(rule, 0.5), "objective.beta") is betas


def test_a_batch_of_starts_has_a_batch_of_references():
    rng = np.random.default_rng(0)
    for single in (policy(rng), Tabular([0.0, 1.0, 0.5, 0.2])):
        starts = single.params + rng.normal(size=(3, single.params.size))
        rule = GradientStep("ipo", single.at(starts), PAIRS, 0.1)
        state = rule.step(rule.step(rule.own_start, 0, None), 1, None)
        for k, start in enumerate(starts):
            one = GradientStep("ipo", single.at(start), PAIRS, 0.1)
            expected = one.step(one.step(one.own_start, 0, None), 1, None)
            np.testing.assert_allclose(state[k], expected, atol=1e-14)
    with pytest.raises(InputError, match="one member at a time"):
        GradientStep("bco", single.at(starts), PAIRS, 0.1)


@pytest.mark.slow
def test_the_flow_of_a_batch_has_the_derivatives_of_its_members():
    kappas = [0.1, 1.0]
    flow = GradientFlow("dpo", policy(np.random.default_rng(0), kappa_W=kappas), PAIRS, 0.3)
    found = flow.jacobian(flow.own_start).matrix
    for i, kappa in enumerate(kappas):
        one = GradientFlow("dpo", policy(np.random.default_rng(0), kappa_W=kappa), PAIRS, 0.3)
        np.testing.assert_allclose(found[i], one.jacobian(one.own_start).matrix, atol=1e-8)


def test_equal_content_has_equal_fingerprints():
    rules = [GradientStep("dpo", Tabular([0.0, 1.0]), [(0, 1)], r) for r in (0.1, 0.1, 0.2)]
    assert rules[0].fingerprint() == rules[1].fingerprint() != rules[2].fingerprint()
    other = GradientStep("dpo", Tabular([0.0, 2.0]), [(0, 1)], 0.1)
    assert other.fingerprint() != rules[0].fingerprint()
    moved = GradientStep("dpo", Tabular([0.0, 1.0]).at([0.0, 2.0]), [(0, 1)], 0.1)
    assert moved.fingerprint() != rules[0].fingerprint()
    rates = [
        {"chosen_win_rate": np.array([0.7 + e]), "rejected_win_rate": [0.3]} for e in (0, 1e-10)
    ]
    sppo = [GradientStep("sppo", TABLE, [(0, 1)], 0.1, extra=extra) for extra in rates]
    assert sppo[0].fingerprint() != sppo[1].fingerprint()


def test_a_named_start_replaces_the_parameters():
    rule = GradientStep("dpo", Tabular([[0.0, 0.0], [0.0, 0.0]]), [(0, 1)], 0.1)
    run = orbit(rule, start=[0.3, 0.7, 0.5, 0.5], rounds=1)
    np.testing.assert_allclose(run.policies[0], [0.3, 0.7, 0.5, 0.5])


def test_a_flow_that_slides_along_a_kink_says_so():
    W = [[1, 0], [-1, 1], [-1.6, 1], [0.3, 0.2], [-0.9, 0.6]]
    start = UnconstrainedFeatures(W, [2.5, 7], kappa_W=0)
    flow = GradientFlow("dpop", start, [(1, 2)], duration=10.0)
    with pytest.raises(NoOptimum, match="pushes jump"):
        flow.step(flow.own_start, 0, None)


@pytest.mark.slow
def test_a_flow_that_slides_along_a_jump_says_so(monkeypatch):
    monkeypatch.setattr("prefdyn.rules.gradient_flow.MOST_STEPS", 500)
    flow = GradientFlow("slime", Tabular([0.0, 0.0]), [(0, 1)], duration=5.0)
    with pytest.raises(NoOptimum, match=r"pushes jump .SLIME at m_h"):
        flow.step(flow.own_start, 0, None)
