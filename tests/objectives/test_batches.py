"""Batch-coupled objectives, wrappers and schedules: statistics in, statistics out."""

import json

import numpy as np
import pytest
import torch

from prefdyn import InputError, objectives
from prefdyn.objectives import Pair, get
from tests.objectives.formulas import s
from tests.objectives.test_identities import random_pair, same

PAIR = random_pair(1)
A, B = PAIR.chosen_log_ratio, PAIR.rejected_log_ratio
KEEPERS = [
    get("kto"),
    get("bco"),
    get("bco", delta="batch_means"),
    get("alpha_dpo"),
    get("dpo_shift", strategy="increase_linear", max_steps=10),
    get("spo", mode="hinge", v_star=0.5),
    get("spo", mode="dual", v_star=0.5),
    get("spo", mode="barrier"),
    get("spo", base="kto", mode="dual", v_star=0.5),
    objectives.WeightedSum(("dpo", "bco", "kto"), (0.8, 0.2, 1.0)),
]


def test_every_objective_that_keeps_statistics_is_among_them():
    needed = {"bpo": {"alpha": 0.5}, "dpo_shift": {"strategy": "increase_linear", "max_steps": 10}}
    made = [get(id, **needed.get(id, {})) for id in objectives.names()]
    keepers = {objective.id for objective in made if objective.initial_stats() is not None}
    assert keepers <= {objective.id for objective in KEEPERS}


@pytest.mark.parametrize("objective", KEEPERS)
def test_statistics_are_pure_and_survive_a_file(objective, tmp_path):
    stats = objective.update(objective.initial_stats(), PAIR)
    before = json.dumps(stats)
    later = objective.update(stats, random_pair(2))
    assert json.dumps(stats) == before
    (tmp_path / "stats.json").write_text(before)
    restored = json.loads((tmp_path / "stats.json").read_text())
    assert objective.update(restored, random_pair(2)) == later
    np.testing.assert_array_equal(
        objective.loss(PAIR, stats=restored), objective.loss(PAIR, stats=stats)
    )
    np.testing.assert_array_equal(objective.pushes(PAIR, restored), objective.pushes(PAIR, stats))


def test_statistics_are_constants_to_the_gradient():
    """Of the batch's own z0, delta or z-score no derivative is taken."""
    for id, fixed in (("kto", "z0"), ("bco", "delta")):
        objective = get(id)
        stats = objective.update(objective.initial_stats(), PAIR)
        frozen = objective.replace(**{fixed: stats[fixed]})
        np.testing.assert_array_equal(objective.pushes(PAIR, stats), frozen.pushes(PAIR))
    objective = get("alpha_dpo")
    stats = objective.update(None, PAIR)
    rho = PAIR.mean_log_ratio_gap
    margin = 0.15 + 0.05 * (rho - stats["mean"]) / stats["std"]
    expected = [2.5 * float(s(-2.5 * x)) / 5 for x in PAIR.mean_gap - margin]
    np.testing.assert_allclose(objective.pushes(PAIR, stats)[0], expected, rtol=1e-12)


def test_kto_takes_z0_from_mismatched_pairs():
    mismatched = Pair(chosen=np.array([1.0, 2.0]), rejected=np.array([4.0, 5.0]))
    assert get("kto").update(None, mismatched) == {"z0": 3.0}
    below = Pair(chosen=np.array([-1.0, -2.0]), rejected=np.array([-4.0, 5.0]))
    assert get("kto").update(None, below) == {"z0": 0.0}


def test_bco_weighs_by_sample_or_by_batch():
    one, two = (
        Pair(chosen=np.zeros(1), rejected=np.zeros(1)),
        Pair(chosen=np.ones(3), rejected=np.ones(3)),
    )
    for delta, mean in (("samples", 6 / 8), ("batch_means", 1 / 2)):
        objective = get("bco", beta=1.0, delta=delta)
        stats = objective.update(objective.update(None, one), two)
        assert stats["delta"] == pytest.approx(mean)


def test_alpha_dpo_starts_its_averages_at_zero():
    stats = get("alpha_dpo").update(None, PAIR)
    rho = PAIR.mean_log_ratio_gap
    assert stats == {
        "mean": pytest.approx(0.1 * rho.mean()),
        "std": pytest.approx(0.1 * rho.std(ddof=1)),
    }


def test_schedules_of_dpo_shift():
    for strategy, shares in (
        ("increase_linear", [0.5, 0.75, 1.0, 1.0]),
        ("decrease_linear", [1, 0.75, 0.5, 0.5]),
    ):
        objective = get("dpo_shift", strategy=strategy, max_steps=2)
        stats = objective.initial_stats()
        for share in shares:
            d_w, d_l = objective.pushes(PAIR, stats)
            np.testing.assert_allclose(d_l / d_w, share)
            stats = objective.update(stats, PAIR)


def test_halves_serve_responses_without_partners():
    for id in ("kto", "bco", "nca_pair", "apo_zero"):
        objective = get(id)
        stats = objective.initial_stats()
        chosen, rejected = objective.halves(PAIR, stats=stats)
        np.testing.assert_array_equal(chosen + rejected, objective.loss(PAIR, stats=stats))
        np.testing.assert_array_equal(objective.chosen_half(A[:3], stats=stats), chosen[:3])
        np.testing.assert_array_equal(objective.rejected_half(B, stats=stats), rejected)
    down = get("apo_down")
    np.testing.assert_array_equal(sum(down.halves(PAIR)), down.loss(PAIR))


def test_aot_pushes_go_to_the_rows_that_hold_the_ranks():
    beta, eps = 0.5, 0.1

    def push(delta):
        return np.array([beta * ((1 - eps) - float(s(beta * x))) for x in delta])

    gap, ref = PAIR.chosen - PAIR.rejected, PAIR.ref_chosen - PAIR.ref_rejected
    d_w, d_l = get("aot", beta=beta, label_smoothing=eps).pushes(PAIR)
    np.testing.assert_allclose(d_w[np.argsort(gap)], push(np.sort(gap) - np.sort(ref)))
    np.testing.assert_allclose(d_l, d_w)
    d_w, d_l = get("aot_unpaired", beta=beta, label_smoothing=eps).pushes(PAIR)
    by_rank = push(np.sort(A) - np.sort(B))
    np.testing.assert_allclose(d_w[np.argsort(A)], by_rank)
    np.testing.assert_allclose(d_l[np.argsort(B)], by_rank)
    with pytest.raises(InputError, match="'aot' has no symbolic form because it sorts the batch"):
        get("aot").symbolic()


def test_spo_hinge_acts_on_the_mean_of_the_batch():
    sft = -PAIR.chosen / 5
    for slack, active in ((-0.01, True), (0.01, False)):
        objective = get("spo", mode="hinge", lam=0.7, eps=0.0, v_star=float(sft.mean()) + slack)
        stats = objective.update(None, PAIR)
        d_w = objective.pushes(PAIR, stats)[0] - get("dpo").pushes(PAIR)[0]
        np.testing.assert_allclose(d_w, 0.7 / 5 if active else 0.0)
        penalty = (objective.loss(PAIR, stats=stats) - get("dpo").loss(PAIR)).mean()
        assert penalty == pytest.approx(0.7 * max(0.0, -slack))
        rows = objective.loss(PAIR) - get("dpo").loss(PAIR)  # without statistics: batches of one
        np.testing.assert_allclose(rows, 0.7 * np.maximum(0, sft - objective.v_star), atol=1e-12)


def test_spo_hinge_takes_statistics_from_the_first_batch_on():
    """Whoever trains asks for the first statistics, and moves them only if there are any."""
    hinge = get("spo", mode="hinge", lam=0.7, v_star=0.5)
    first = hinge.initial_stats()
    assert first is not None
    assert hinge.update(first, PAIR) == hinge.update(None, PAIR)
    assert hinge.update(first, PAIR)["sft_loss"] == pytest.approx((-PAIR.chosen / 5).mean())


def test_spo_hinge_in_symbols():
    hinge = get("spo", mode="hinge", lam=0.7, v_star=0.5, eps=0.1)
    form = hinge.symbolic()
    one = Pair(chosen=-4.0, rejected=-3.0, ref_chosen=-4.0, ref_rejected=-3.0, chosen_length=5)
    for loss, push in ((0.59, 0.0), (0.61, 0.7 / 5)):
        stats = {"sft_loss": loss}
        found = form.chosen_push.subs(form.values(hinge, one, stats))
        assert float(found) == pytest.approx(float(hinge.pushes(one, stats)[0]))
        assert float(found) == pytest.approx(push + 0.05)


def test_which_losses_divide_by_a_length_of_the_batch():
    dividing = [
        *(get(id, nll_norm="batch_tokens") for id in ("sft", "cpo", "dpo_nll", "spo")),
        get("slime", token_reduction="batch"),
        get("spo", base=get("cpo", nll_norm="batch_tokens")),
        objectives.WeightedSum(("dpo", get("sft", nll_norm="batch_tokens")), (1.0, 1.0)),
    ]
    assert all(objective.batch_lengths for objective in dividing)
    others = [get("sft"), get("slime"), get("bco", delta="batch_means"), get("aot")]
    assert not any(objective.batch_lengths for objective in others)


def test_spo_dual_ascends_and_barrier_lowers_the_sft_loss():
    dual = get("spo", mode="dual", v_star=0.2, eps=0.1, eta=0.5)
    stats = dual.update(dual.initial_stats(), PAIR)
    excess = (-PAIR.chosen / 5).mean() - 0.3
    assert stats == {"lam": pytest.approx(0.5 * excess)}
    same(
        get("dpo_nll", nll_weight=stats["lam"]),
        _with(dual, stats),
        PAIR,
        offset=-0.2 * stats["lam"],
    )
    barrier = get("spo", mode="barrier", rho=0.1)
    g_p, g_s = np.array([1.0, -2.0]), np.array([-1.0, 0.5])
    lam = barrier.update(None, PAIR, gradients=(g_p, g_s))["lam"]
    assert (g_p + lam * g_s) @ g_s == pytest.approx(0.1 * g_s @ g_s)
    agreeing = barrier.update(None, PAIR)  # DPO by itself raises the chosen answers here
    assert agreeing == {"lam": pytest.approx(max(0.0, 0.1 - 5 * get("dpo").pushes(PAIR)[0].mean()))}


def _with(objective, stats):
    """The objective with its statistics built in."""

    class Fixed:
        def loss(self, pair):
            return objective.loss(pair, stats=stats)

        def pushes(self, pair):
            return objective.pushes(pair, stats)

    return Fixed()


def test_the_batch_mean_over_tokens_is_one_mean():
    lengths = np.arange(1, 8)
    pair = random_pair(chosen_length=lengths)
    found = get("sft", nll_norm="batch_tokens").loss(pair).mean()
    assert found == pytest.approx(-pair.chosen.sum() / lengths.sum())


def test_gold_answers_take_over_the_likelihood():
    gold = random_pair(gold=-3.0, gold_length=2)
    plain, triple = get("cpo").pushes(PAIR), get("cpo").pushes(gold)
    np.testing.assert_allclose(get("cpo").loss(gold), get("cpo", nll_weight=0.0).loss(gold) + 1.5)
    assert np.all(triple[0] == triple[1])
    assert np.all(plain[0] > plain[1])


def test_wrappers_hand_parameters_to_their_base():
    spo = get("spo", base="ipo", beta=0.7, lam=0.2)
    assert (spo.base.beta, spo.lam) == (0.7, 0.2)
    assert spo.replace(beta=0.3, lam=0.1).base == get("ipo", beta=0.3)
    assert spo.numbers()["base.beta"] == 0.7
    assert get("wpo").base.beta == 0.01
    with pytest.raises(InputError, match="'ipo' has no parameter 'tau', nor has 'spo' around it"):
        get("spo", base="ipo", tau=1.0)
    with pytest.raises(InputError, match=r"'vstar'.*\(nearest: v_star\)"):
        get("spo", mode="hinge", vstar=1.0)
    with pytest.raises(InputError, match="wraps a int: give an Objective or its id"):
        get("spo", base=3)


def test_a_sum_is_the_sum_of_its_terms():
    mpo = objectives.WeightedSum(("dpo", get("bco", delta=0.0), "sft"), (0.8, 0.2, 1.0))
    parts = [get("dpo"), get("bco", delta=0.0), get("sft")]
    total = sum(w * part.loss(PAIR) for w, part in zip(mpo.weights, parts, strict=True))
    np.testing.assert_allclose(mpo.loss(PAIR), total)
    form = mpo.symbolic()
    assert set(form.parameters) >= {"terms.0.beta", "terms.1.beta", "weights.2"}
    with pytest.raises(InputError, match="has 1 terms and 2 weights"):
        objectives.WeightedSum(("dpo",), (1.0, 2.0))
    with pytest.raises(InputError, match="weights\\[1\\] is 'a': it must be a finite number"):
        objectives.WeightedSum(("dpo", "sft"), (1.0, "a"))  # pyright: ignore
    with pytest.raises(InputError, match="terms is no tuple or list"):
        get("weighted_sum", terms="dpo", weights=(1.0,))
    with pytest.raises(InputError, match="'weighted_sum' needs weights: pass weights="):
        get("weighted_sum", terms=("dpo",))


@pytest.mark.parametrize(
    ("id", "parameters", "message"),
    [
        ("kto", {}, "'kto' needs the statistic 'z0' of its batches: pass stats="),
        ("bco", {}, "'bco' needs the statistic 'delta'"),
        ("alpha_dpo", {}, "a running standard deviation that is still 0"),
        ("sppo", {}, "'sppo' needs Pair.chosen_win_rate: pass chosen_win_rate=."),
        ("slime", {}, "'slime' needs Pair.chosen_tokens"),
        ("ld_dpo", {}, "'ld_dpo' needs Pair.chosen_tokens"),
        ("wpo", {}, "'wpo' needs Pair.chosen_tokens"),
    ],
)
def test_what_is_missing_is_named(id, parameters, message):
    with pytest.raises(InputError) as error:
        get(id, **parameters).loss(Pair(chosen=np.zeros(2), rejected=np.zeros(2)))
    assert message in str(error.value)


@pytest.mark.parametrize("id", ["kto", "alpha_dpo"])
def test_statistics_of_a_batch_of_one_are_refused(id):
    with pytest.raises(InputError, match="a batch of one does not have"):
        get(id).update(None, random_pair(n=1))


@pytest.mark.parametrize("id", ["aot", "aot_unpaired"])
def test_sorting_takes_a_default_reference_in_torch_as_in_numpy(id):
    values = np.array([[-1.0, -3.0, -2.0], [-2.0, -2.5, -4.0]])
    by_numpy = get(id).loss(Pair(chosen=values[0], rejected=values[1]))
    by_torch = get(id).loss(Pair(chosen=torch.tensor(values[0]), rejected=torch.tensor(values[1])))
    np.testing.assert_allclose(by_torch.numpy(), by_numpy, rtol=1e-12)


def test_a_barrier_asks_for_nothing_where_the_sft_loss_has_no_gradient():
    stats = get("spo", mode="barrier").update(None, PAIR, (np.ones(3), np.zeros(3)))
    assert stats == {"lam": 0.0}
