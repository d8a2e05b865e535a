"""Objectives that are one another, and the traps by their numbers."""

import numpy as np
import pytest

from prefdyn import objectives
from prefdyn.objectives import Pair, get

BETA = 0.3
DPO = get("dpo", beta=BETA)


def random_pair(seed=0, n=7, T=5, **fields):
    """A batch with token log-probabilities that sum to the responses'."""
    rng = np.random.default_rng(seed)
    tokens = {
        f"{ref}{side}_tokens": -2 * rng.random((n, T))
        for ref in ("", "ref_")
        for side in ("chosen", "rejected")
    }
    sums = {name.removesuffix("_tokens"): values.sum(-1) for name, values in tokens.items()}
    lengths = {"chosen_length": T, "rejected_length": T}
    return Pair(**(tokens | sums | lengths | fields))


def same(one, two, pair, *, factor=1.0, offset=0.0):
    """``two = factor * one + offset`` in value and pushes."""
    found = [two.loss(pair) - offset, *two.pushes(pair)]
    for part, wanted in zip(found, [one.loss(pair), *one.pushes(pair)], strict=True):
        np.testing.assert_allclose(part, factor * wanted, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(
    ("id", "parameters"),
    [
        ("cdpo", {"label_smoothing": 0.0}),
        ("robust_dpo", {"label_smoothing": 0.0}),
        ("dpo_shift", {"f": 1.0}),
        ("dpop", {"lam": 0.0}),
        ("r_dpo", {"alpha": 0.0}),
        ("ld_dpo", {"alpha": 1.0}),
        ("pro", {"reg_weight": 0.0}),
        ("f_dpo_alpha", {"alpha": 0.0}),
        ("f_dpo_alpha", {"alpha": 1e-9}),
        ("dpo_nll", {"nll_weight": 0.0}),
        ("spo", {"lam": 0.0}),
        ("xpo", {"alpha": 0.0}),
    ],
)
def test_objectives_that_reduce_to_dpo(id, parameters):
    same(DPO, get(id, beta=BETA, **parameters), random_pair())


def test_a_batch_of_one_has_nothing_to_sort():
    pair = random_pair(n=1)
    for id in ("aot", "aot_unpaired"):
        same(DPO, get(id, beta=BETA), pair)
        same(get("cdpo", beta=BETA), get(id, beta=BETA, label_smoothing=0.1), pair)


PAIR = random_pair(3)
IDENTITIES = [
    (get("dpo", beta=1.0), get("cal_dpo", cal_weight=0.0), PAIR),
    (get("f_dpo_forward_kl"), get("f_dpo_alpha", alpha=1.0), PAIR),
    (get("simpo", beta=2.5, gamma=0.1), get("alphapo", alpha=0.0), PAIR),
    (get("simpo", beta=2.5, gamma=0.1), get("alphapo", alpha=1e-9), PAIR),
    (get("simpo", beta=2.5, gamma=2.5 * 0.15), get("alpha_dpo", alpha=0.0), PAIR),
    (get("kto", z0=0.0), get("apo_zero"), PAIR),
    (get("ipo"), get("ipo_mean"), random_pair(T=1)),
    (get("dpo"), get("dpo_norm"), random_pair(T=1)),
    (get("dpo"), get("cpo", nll_weight=0.0), random_pair(ref_chosen=-1.0, ref_rejected=-1.0)),
    (get("dpo_nll"), get("dpo_nll", nll_norm="batch_tokens"), PAIR),  # all of one length
    (get("sft"), objectives.WeightedSum(("sft", "dpo"), (1.0, 0.0)), PAIR),
]


@pytest.mark.parametrize(("one", "two", "pair"), IDENTITIES)
def test_pairs_of_objectives_that_are_one(one, two, pair):
    same(one, two, pair)


def test_identities_up_to_a_factor_or_a_constant():
    rates = random_pair(chosen_win_rate=1.0, rejected_win_rate=0.0)
    same(get("sppo_hard"), get("sppo"), rates, factor=0.5)
    spo = get("spo", lam=0.7, v_star=0.4, beta=0.2)
    same(get("dpo_nll", beta=0.2, nll_weight=0.7), spo, PAIR, offset=-0.7 * 0.4)


EQUAL = ["dpo", "cdpo", "robust_dpo", "exo_pair", "discopop", "ipo", "rso_hinge", "r_dpo", "aot"]


@pytest.mark.parametrize("id", EQUAL)
def test_equal_pushes_never_lower_the_chosen_answer_of_a_lone_pair(id):
    """One-pair tabular step: chosen gains d_w (1 - p_w) + d_l p_l, and d_w = d_l > 0 suffices."""
    d_w, d_l = get(id).pushes(PAIR)
    np.testing.assert_allclose(d_w, d_l, rtol=1e-13)


def with_references_shifted(shift):
    """Both references raised by the same amount, spread evenly over their tokens."""
    fields = {f"ref_{side}": getattr(PAIR, f"ref_{side}") + shift for side in SIDES}
    tokens = {
        f"ref_{side}_tokens": getattr(PAIR, f"ref_{side}_tokens") + shift / 5 for side in SIDES
    }
    return random_pair(3, **fields, **tokens)


SIDES = ("chosen", "rejected")
NEEDED = {
    "alpha_dpo": {"ema_std": 0.5},
    "bco": {"delta": 0.1},
    "bpo": {"alpha": 0.6},
    "kto": {"z0": 0.2},
}
RATES = {"chosen_win_rate": 0.8, "rejected_win_rate": 0.3}
ANCHORED = {
    *("apo_down", "apo_zero", "bco", "bpo", "cal_dpo", "chipo", "dpo_shift", "dpop"),
    *("f_dpo_alpha", "f_dpo_forward_kl", "f_dpo_js", "kto", "nca_pair", "pro", "sppo"),
    "sppo_hard",
}
"""Objectives that see each log-ratio by itself; the others see only differences of them."""
NON_MONOTONE = {
    *("apo_down", "cal_dpo", "cdpo", "discopop", "exo_pair", "ipo", "ipo_mean", "nca_pair"),
    *("pro", "sppo", "sppo_hard"),
}
"""Objectives that push the chosen response down somewhere; of the others no paper says so."""


def make(id):
    return get(id, **NEEDED.get(id, {}))


def shipped():
    """Ids of the package's own objectives."""
    return [id for id in objectives.names() if type(make(id)).__module__.startswith("prefdyn.")]


@pytest.mark.parametrize("id", shipped())
def test_a_constant_added_to_both_references_is_felt_by_anchored_objectives_alone(id):
    objective = make(id)
    for shift in (-20.0, 0.3, 5.0):
        pair = Pair(**(with_references_shifted(shift).given() | RATES))
        change = objective.loss(pair) - objective.loss(Pair(**(PAIR.given() | RATES)))
        if id in ANCHORED:
            assert np.any(change != 0)
        else:
            np.testing.assert_allclose(change, 0, atol=1e-10)


def swapped(pair):
    """The same pair with the rejected response as the chosen one."""
    exchange = {"chosen": "rejected", "rejected": "chosen"}
    fields = {}
    for name, value in pair.given().items():
        side = next((side for side in SIDES if side in name), "")
        fields[name.replace(side, exchange[side]) if side else name] = value
    return Pair(**fields)


PROBABILITIES = [
    get("dpo"),
    get("dpo_norm"),
    get("r_dpo"),
    get("ld_dpo"),
    get("chipo"),
    get("f_dpo_js"),
    get("f_dpo_forward_kl"),
    get("f_dpo_alpha"),
    get("simpo", gamma=0.0),
    get("alphapo", gamma=0.0),
    get("cpo", nll_weight=0.0),
    get("alpha_dpo", alpha=0.0, gamma_beta_ratio=0.0),
]


@pytest.mark.parametrize("objective", PROBABILITIES, ids=lambda objective: objective.id)
def test_the_chances_that_either_response_wins_add_to_one(objective):
    """``e^-L`` is a model's probability of the label, and swapping the roles flips the label."""
    pair = random_pair(5, chosen_length=np.arange(2, 9), rejected_length=4)
    there, back = (objective.loss(p) for p in (pair, swapped(pair)))
    np.testing.assert_allclose(np.exp(-there) + np.exp(-back), 1, rtol=1e-12)


def test_what_swapping_the_roles_does_to_other_losses():
    pair = random_pair(6)
    other = swapped(pair)
    for objective in (get("apo_zero"), get("kto", z0=0.3)):
        np.testing.assert_allclose(objective.loss(pair) + objective.loss(other), 2, rtol=1e-12)
        np.testing.assert_allclose(objective.pushes(pair)[0], objective.pushes(other)[1])
    drop = get("ipo", beta=0.3).loss(other) - get("ipo", beta=0.3).loss(pair)
    np.testing.assert_allclose(drop, 2 * pair.log_ratio_gap / 0.3, rtol=1e-10)
    flipped = get("cdpo", label_smoothing=0.2).pushes(other)[0]
    unflipped = get("cdpo", label_smoothing=0.2).pushes(pair)[0]
    np.testing.assert_allclose(flipped + unflipped, 0.1 * (1 - 2 * 0.2), rtol=1e-12)
    regular = get("pro", reg_weight=0.0).loss(pair) - get("pro").loss(pair)
    np.testing.assert_allclose(
        get("pro", reg_weight=0.0).loss(other) - get("pro").loss(other), regular
    )


@pytest.mark.parametrize("id", shipped())
def test_objectives_push_the_chosen_response_down_exactly_where_they_are_said_to(id):
    """Over log-ratios from -600 to 600 nats and responses of one token."""
    rng = np.random.default_rng(0)
    log_probs = -rng.choice([0.01, 0.1, 1.0, 10.0, 600.0], (4, 400)) * rng.random((4, 400))
    names = ("chosen", "rejected", "ref_chosen", "ref_rejected")
    sums = dict(zip(names, log_probs, strict=True))
    tokens = {f"{name}_tokens": values[:, None] for name, values in sums.items()}
    d_w, _ = make(id).pushes(Pair(**sums, **tokens, **RATES))
    assert (d_w.min() < 0) == (id in NON_MONOTONE)


def at(gap, **fields):
    return Pair(**({"chosen": np.float64(gap), "rejected": np.float64(0.0)} | fields))


@pytest.mark.parametrize(
    ("objective", "gap"),
    [
        (get("cdpo", beta=1.0), 2.197),
        (get("exo_pair", beta=1.0), 6.907),
        (get("nca_pair", beta=1.0), np.log(2)),
        (get("ipo", beta=0.25), 2.0),
    ],
)
def test_rest_points_are_where_pushes_change_sign(objective, gap):
    signs = [np.sign(objective.pushes(at(gap + side))[0]) for side in (-1e-3, 1e-3)]
    assert signs == [1, -1]


def test_discopop_starts_by_lowering_the_margin():
    objective = get("discopop", beta=1.0)
    gaps = np.array([-0.1190, -0.1182, 0.0, 0.0716, 0.0724])
    pushes = objective.pushes(Pair(chosen=gaps, rejected=np.zeros(5)))[0]
    np.testing.assert_array_equal(np.sign(pushes), [1, -1, -1, -1, 1])
    assert pushes[2] == pytest.approx(-0.784, abs=5e-4)
    wide = np.linspace(-1, 1, 400)
    for tau, reversed_somewhere in ((0.1095, True), (0.1101, False)):
        found = get("discopop", beta=1.0, tau=tau).pushes(Pair(chosen=wide, rejected=0 * wide))[0]
        assert (found.min() < 0) == reversed_somewhere


def test_pro_rests_where_it_is_said_to():
    rest = Pair(chosen=np.float64(0.7563), rejected=np.float64(-0.7563))
    np.testing.assert_allclose(get("pro").pushes(rest), 0, atol=1e-4)


def test_exo_ignores_the_badly_misranked_and_pushes_most_just_below_zero():
    gaps = np.linspace(-60, 10, 7001)
    push = get("exo_pair", beta=1.0).pushes(Pair(chosen=gaps, rejected=0 * gaps))[0]
    assert gaps[push.argmax()] == pytest.approx(-0.28, abs=0.01)
    assert push.max() == pytest.approx(1.76, abs=0.005)
    assert push[0] < 1e-20


def test_robust_dpo_falls_without_bound():
    assert get("robust_dpo", beta=1.0).loss(at(1e6)) < -1e5


def test_dpop_is_fifty_one_times_dpo_below_the_reference_and_dpo_at_it():
    below, start = at(-1e-9, ref_rejected=0.0), at(0.0)
    assert get("dpop").pushes(start)[0] == pytest.approx(0.15)
    assert get("dpop").pushes(below)[0] == pytest.approx(51 * 0.15)


def test_apo_down_lowers_the_chosen_answer():
    objective, away = get("apo_down"), Pair(chosen=np.float64(1.0), rejected=np.float64(2.0))
    assert objective.pushes(at(0.0))[0] == 0.0
    assert objective.pushes(at(1.0, rejected=np.float64(5.0)))[0] < 0 < objective.pushes(away)[1]


def test_an_almost_certain_rejected_answer_is_pushed_hardest_by_orpo():
    d_w, d_l = get("orpo").pushes(Pair(chosen=np.float64(-1.0), rejected=np.float64(-1e-4)))
    assert d_l > 100 * d_w > 0


def test_the_direction_of_the_length_term():
    """Plus: a longer chosen answer gets part of its margin free, so it is pushed less."""
    longer = random_pair(chosen_length=9, rejected_length=3)
    assert np.all(get("r_dpo").pushes(longer)[0] < get("dpo").pushes(longer)[0])


def test_saturated_pushes_keep_their_digits():
    assert get("dpo", beta=1.0).pushes(at(700.0))[0] == pytest.approx(np.exp(-700.0), rel=1e-12)
    assert get("kto", beta=1.0, z0=0.0).pushes(at(50.0))[0] == pytest.approx(np.exp(-50), rel=1e-12)
