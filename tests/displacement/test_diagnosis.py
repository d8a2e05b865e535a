import numpy as np
import pytest

from prefdyn import InputError, objectives
from prefdyn.displacement import diagnose_pair
from prefdyn.policies import (
    Autoregressive,
    KernelPolicy,
    LogLinear,
    Tabular,
    UnconstrainedFeatures,
)
from prefdyn.rules import GradientStep

RNG = np.random.default_rng(3)
ROWS = np.array([[1, 0], [-1, 1], [-1.6, 1], [0.3, 0.2], [-0.9, 0.6]])
STATE = np.array([2.5, 7])
NAMES = ["Yes", "No", "Never", "Maybe", "_No"]
RESPONSES = [(0, 1), (1, 2, 0), (2,), (1, 1)]


def no_over_never(**kappa):
    return UnconstrainedFeatures(ROWS, STATE, **kappa)


def sequences():
    contexts = len(UnconstrainedFeatures.contexts(RESPONSES))
    W, h = RNG.normal(size=(3, 4)), RNG.normal(size=(contexts, 4))
    return UnconstrainedFeatures(W, h, RESPONSES, kappa_W=0.7)


POLICIES = {
    "tabular": Tabular(RNG.normal(size=5)),
    "log-linear": LogLinear(RNG.normal(size=(5, 3))),
    "features": no_over_never(),
    "sequences": sequences(),
    "autoregressive": Autoregressive(3, 2, logits=None),
}
OBJECTIVES = ("dpo", "ipo", "simpo", "slime", "dpo_nll")


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_a_small_step_moves_as_predicted_with_an_error_of_second_order(policy, objective):
    found = diagnose_pair(policy, 1, 2, objective)
    rule = GradientStep(objective, policy, [(1, 2)], 1.0)
    move = policy.direction(policy.params, rule.pushes(rule.own_start))
    # The step is scaled to the moves it makes, or IPO's large pushes would need another range.
    sizes = 2e-3 / np.abs(found.rates).max() * np.array([1, 1 / 2, 1 / 4])
    errors = [
        np.abs(policy.log_probs(policy.params + s * move) - policy.log_probs() - s * found.rates)
        for s in sizes
    ]
    largest = np.max(errors, axis=1)
    assert largest[0] < 1e-3  # of moves of 2e-3, so far less than first order
    order = np.log2(largest[:-1] / largest[1:])
    np.testing.assert_allclose(order, 2, atol=0.1)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_the_words_agree_with_a_step(policy, objective):
    found = diagnose_pair(policy, 1, 2, objective)
    rule = GradientStep(objective, policy, [(1, 2)], 1e-6 / np.abs(found.rates).max())
    moved = policy.log_probs(rule.step(rule.own_start, 0, None)) - policy.log_probs()
    assert found.chosen_falls == (moved[1] < 0)
    assert found.rejected_rises == (moved[2] > 0)
    order = [g.index for g in found.gainers]
    assert set(order) == set(np.flatnonzero(moved > 0))
    assert np.all(np.diff(moved[order]) < 1e-11)  # ties to second order may come either way
    e = found.entanglement
    assert found.rates[1] == pytest.approx(e.chosen_own - e.chosen_overlap)
    assert found.rates[2] == pytest.approx(e.rejected_overlap - e.rejected_own)


EXTRA = {"chosen_win_rate": [0.8], "rejected_win_rate": [0.3]}
NEEDS = {
    "bpo": {"objective": objectives.get("bpo", alpha=0.5)},
    "kto": {"objective": objectives.get("kto", z0=0.0)},
    "alpha_dpo": {"stats": {"mean": 0.0, "std": 1.0}},
    "sppo": {"extra": EXTRA},
}


@pytest.mark.parametrize("id", objectives.names())
def test_every_objective_is_diagnosed(id):
    policy = sequences()
    found = diagnose_pair(policy, 1, 0, **{"objective": id, **NEEDS.get(id, {})})
    pushes = np.zeros(policy.mask.shape)
    pushes[1, :3], pushes[0, :2] = found.chosen_pushes, -found.rejected_pushes
    move = 1e-6 * policy.direction(policy.params, pushes) / np.abs(found.rates).max()
    up, down = (policy.log_probs(policy.params + s * move) for s in (1, -1))
    scaled = found.rates / np.abs(found.rates).max()
    np.testing.assert_allclose((up - down) / 2e-6, scaled, atol=1e-7)
    assert found.objective == id
    assert str(found).count("\n") == 5


def test_the_kernel_of_a_policy_gives_the_same_rates():
    policy = sequences()
    kernel = KernelPolicy(policy.log_probs(), policy.gram(), lengths=policy.lengths)
    expected = diagnose_pair(policy, 0, 1)
    found = diagnose_pair(kernel, 0, 1)
    np.testing.assert_allclose(found.rates, expected.rates, rtol=1e-10)
    assert found.scores["length_difference"] == 1
    assert found.scores["ches"] is found.scores["edit_distance"] is None
    assert found.reasons["ches"] == "KernelPolicy has no hidden states"
    assert "KernelPolicy has no tokens" in str(found)
    assert "among these candidates" in str(found)


def test_token_level_kernels_take_token_level_objectives():
    policy = sequences()
    kernel = KernelPolicy(policy.token_log_probs(), policy.token_gram(), mask=policy.mask)
    expected = diagnose_pair(policy, 1, 0, "slime")
    assert np.ptp(expected.rejected_pushes) > 0
    np.testing.assert_allclose(diagnose_pair(kernel, 1, 0, "slime").rates, expected.rates)


def test_preferring_no_over_never_raises_yes_where_only_the_state_learns():
    found = diagnose_pair(no_over_never(kappa_W=0), "No", "Never", names=NAMES)
    assert found.kind == "both down"
    assert found.chosen_falls
    assert not found.rejected_rises
    assert [g.name for g in found.gainers] == ["Yes", "Maybe"]
    assert sum(g.share for g in found.gainers) == pytest.approx(1)
    assert found.gainers[0].share == pytest.approx(0.697, abs=1e-3)
    assert "The chosen response falls" in str(found)
    assert "exceeds (d_w/d_l) |g_w|^2" in str(found)
    assert "Gaining, fastest first: Yes" in str(found)


def test_the_same_pair_is_ideal_where_the_rows_learn_too():
    found = diagnose_pair(no_over_never(), "No", "Never", names=NAMES)
    assert found.kind == "ideal"
    assert not found.chosen_falls
    assert [g.name for g in found.gainers] == ["No"]
    assert "does not exceed" in str(found)


def test_the_threshold_of_the_learning_rates():
    kinds = [
        diagnose_pair(no_over_never(kappa_W=kappa), 1, 2).chosen_falls for kappa in (0.0038, 0.0039)
    ]
    assert kinds == [True, False]


def test_gaining_mass_and_gaining_in_log_probability_are_told_apart():
    gram = np.diag([1.0, 1.0, 3.0, 0.0]) + 0.0
    gram[2, 0] = gram[0, 2] = 1.5
    found = diagnose_pair(KernelPolicy(np.log([0.5, 0.1, 1e-6, 0.1]), gram), 0, 1)
    assert [g.index for g in found.gainers] == [2, 0]
    assert found.gainers[1].share > 0.99
    assert "most of the mass goes to response 0" in str(found)


def test_a_push_the_other_way_is_said():
    policy = Tabular(np.log([0.7, 0.2, 0.1]))
    reference = np.log([0.001, 0.899, 0.1])
    found = diagnose_pair(policy, 0, 1, objectives.get("ipo", beta=1.0), reference=reference)
    assert found.d_w < 0
    assert found.d_l < 0
    assert found.kind == "reversed"
    assert "pushes the chosen response down and pushes the rejected response up here" in str(found)


def test_no_push_is_no_move():
    policy = Tabular(np.log([0.7, 0.2, 0.1]))
    hinge = objectives.get("rso_hinge", beta=1.0)
    found = diagnose_pair(policy, 0, 1, hinge, reference=np.log([0.05, 0.85, 0.1]))
    assert found.kind == "still"
    assert found.gainers == ()
    assert not found.chosen_falls
    np.testing.assert_array_equal(found.rates, 0)
    assert "pushes neither response" in found.sentences[0]
    assert len(found.sentences) == 2


def test_one_sided_pushes_have_a_diagnosis_too():
    found = diagnose_pair(no_over_never(kappa_W=0), 1, 2, "sft")
    assert found.d_l == 0
    assert found.kind == "both up"  # Never shares No's direction
    assert "-0." not in found.sentences[0]


def test_statistics_of_the_batch_come_from_the_pair_or_the_caller():
    policy = Tabular(np.log([0.5, 0.3, 0.2]))
    dual = objectives.get("spo", mode="dual", v_star=0.1, lam0=2.0)
    assert diagnose_pair(policy, 0, 1, dual).d_w > 2  # the multiplier rose above 2
    given = diagnose_pair(policy, 0, 1, dual, stats={"lam": 0.0})
    assert given.d_w == pytest.approx(given.d_l)


def test_parameters_and_reference_can_be_given():
    policy = Tabular(np.zeros(3))
    params = np.array([1.0, 0.0, -1.0])
    moved = diagnose_pair(policy, 0, 1, params=params)
    assert moved.d_w == pytest.approx(0.05)  # the reference moves along
    apart = diagnose_pair(policy, 0, 1, params=params, reference=policy)
    assert apart.d_w == pytest.approx(0.1 / (1 + np.exp(0.1)))


def test_win_rates_reach_the_objective():
    extra = {"chosen_win_rate": [0.9], "rejected_win_rate": [0.1]}
    policy = Tabular(np.zeros(3))
    assert diagnose_pair(policy, 0, 1, "sppo", extra=extra).kind == "ideal"
    with pytest.raises(InputError, match=r"needs Pair\.chosen_win_rate"):
        diagnose_pair(policy, 0, 1, "sppo")


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        ((1, 1), {}, "chosen and rejected are both response 1"),
        ((0, 5), {}, "rejected is 5: give an index from 0 to 4"),
        ((-1, 2), {}, "chosen is -1"),
        ((True, 2), {}, "chosen is True"),
        ((0.0, 2), {}, r"chosen is 0\.0"),
        (("Perhaps", 2), {"names": NAMES}, "chosen 'Perhaps' is not known: .*Maybe"),
        ((0, 1), {"names": NAMES[:2]}, "give 5 different names"),
        ((0, 1), {"names": ["a"] * 5}, "give 5 different names"),
        ((0, 1, "dop"), {}, "objective 'dop' is not known"),
        ((0, 1), {"params": [1.0]}, r"params has shape \(1,\)"),
        ((0, 1), {"params": np.full(12, np.nan)}, "is nan"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(arguments, keywords, message):
    with pytest.raises(InputError, match=message):
        diagnose_pair(no_over_never(), *arguments, **keywords)


def test_a_batch_of_policies_is_refused():
    with pytest.raises(InputError, match=r"batch of shape \(2,\)"):
        diagnose_pair(no_over_never(kappa_W=[0, 1]), 0, 1)
