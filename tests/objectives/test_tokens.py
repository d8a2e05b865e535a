"""Token-level objectives: formulas token by token, masks, and what their sequence pushes mean."""

import mpmath
import numpy as np
import pytest
import sympy
import torch

from prefdyn import InputError, objectives
from prefdyn.objectives import Pair, get
from tests.objectives.formulas import ls, s
from tests.objectives.test_identities import random_pair, same

LENGTHS = np.array([3, 5, 2]), np.array([4, 2, 2])


def padded(seed=0, T=6):
    """Three pairs of different lengths, with NaN where there is no token."""
    rng = np.random.default_rng(seed)
    fields = {}
    for side, lengths in zip(("chosen", "rejected"), LENGTHS, strict=True):
        mask = np.arange(T) < lengths[:, None]
        fields |= {f"{side}_mask": mask, f"{side}_length": lengths}
        for ref in ("", "ref_"):
            tokens = np.where(mask, -3 * rng.random((3, T)), np.nan)
            fields |= {f"{ref}{side}_tokens": tokens, f"{ref}{side}": np.nansum(tokens, -1)}
        fields[f"{side}_log_sum_p2"] = -rng.random((3, T))
    return Pair(**fields)


PAIR = padded()


def kept(pair, side, i, name="tokens"):
    return getattr(pair, f"{side}_{name}")[i][getattr(pair, f"{side}_mask")[i]]


def slime(v, won, lost):
    """Loss and pushes of each token, from the formula."""
    sp = [-ls(t + v.delta) for t in lost]  # softplus(z), z = -t - delta
    z = [-t - v.delta for t in lost]
    m = np.mean(won) - np.mean(lost)
    u, gate = v.m_h - m, s(-v.kappa * (m - v.m_s))
    hinge = u * gate if u > 0 else 0
    F = v.lambda_d * (gate + v.kappa * u * gate * (1 - gate)) if u > 0 else 0
    floor = sum(x**v.p for x in sp) / len(lost)
    loss = -v.lambda_w * np.mean(won) + v.lambda_l * floor + v.lambda_d * hinge
    pull = [v.lambda_l * v.p * x ** (v.p - 1) * s(y) for x, y in zip(sp, z, strict=True)]
    return loss, [(v.lambda_w + F) / len(won)] * len(won), [(F - x) / len(lost) for x in pull]


@pytest.mark.parametrize("parameters", [{}, {"m_h": 0.1}, {"p": 1.0, "lambda_l": 2.0}])
@pytest.mark.parametrize("convert", [np.asarray, torch.tensor])
def test_slime_is_its_formula_token_by_token(parameters, convert):
    objective = get("slime", **parameters)
    pair = Pair(**{name: convert(value) for name, value in PAIR.given().items()})
    loss, pushes = objective.loss(pair), objective.token_pushes(pair)
    for i in range(3):
        sides = [[mpmath.mpf(t) for t in kept(PAIR, side, i)] for side in ("chosen", "rejected")]
        expected = slime(objective, *sides)
        np.testing.assert_allclose(float(loss[i]), float(expected[0]), rtol=1e-12)
        for side, found, wanted in zip(("chosen", "rejected"), pushes, expected[1:], strict=True):
            mask, row = getattr(PAIR, f"{side}_mask")[i], np.asarray(found[i])
            np.testing.assert_allclose(row[mask], np.array(wanted, float), rtol=1e-11, atol=1e-15)
            np.testing.assert_array_equal(row[~mask], 0)


def test_slime_pulls_up_what_is_far_below_its_floor_200_times_less_at_the_released_default():
    def fall(lambda_l, depth):
        tokens = {"chosen_tokens": np.zeros((1, 1)), "rejected_tokens": np.array([[depth]])}
        pair = Pair(chosen=np.zeros(1), rejected=np.array([depth]), **tokens)
        return get("slime", lambda_l=lambda_l).token_pushes(pair)[1][0, 0]

    assert fall(0.1, -8.0) < -4  # beyond m_h only the floor is left
    assert fall(0.1, -8.0) == pytest.approx(200 * fall(5e-4, -8.0))


def test_the_margin_force_of_slime_jumps_at_m_h():
    def force(m):
        tokens = {"chosen_tokens": np.array([-1.0]), "rejected_tokens": np.array([-1.0 - m])}
        pair = Pair(chosen=np.float64(-1.0), rejected=np.float64(-1.0 - m), **tokens)
        return get("slime", lambda_w=0.0, lambda_l=0.0).pushes(pair)[0]

    assert force(1.5 - 1e-9) == pytest.approx(0.23, abs=0.01)
    assert force(1.5 + 1e-9) == 0.0


def test_slime_over_the_tokens_of_a_batch():
    by_batch, by_response = (get("slime", token_reduction=r) for r in ("batch", "response"))
    only_floor = {"lambda_w": 0.0, "lambda_d": 0.0, "lambda_l": 1.0}
    one, two = (o.replace(**only_floor).loss(PAIR) for o in (by_batch, by_response))
    lengths = LENGTHS[1]
    assert one.mean() == pytest.approx((two * lengths).sum() / lengths.sum())


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_ld_dpo_counts_the_tail_alpha_times(alpha):
    objective = get("ld_dpo", alpha=alpha, beta=0.3)
    loss, pushes = objective.loss(PAIR), objective.token_pushes(PAIR)
    for i in range(3):
        k = min(lengths[i] for lengths in LENGTHS)
        sums, weights = [], []
        for side in ("chosen", "rejected"):
            ratios = (
                kept(PAIR, side, i)
                - PAIR.given()[f"ref_{side}_tokens"][i][getattr(PAIR, f"{side}_mask")[i]]
            )
            weights.append(np.where(np.arange(len(ratios)) < k, 1.0, alpha))
            sums.append((weights[-1] * ratios).sum())
        x = 0.3 * (sums[0] - sums[1])
        assert loss[i] == pytest.approx(-float(ls(x)), rel=1e-12)
        for found, weight in zip(pushes, weights, strict=True):
            np.testing.assert_allclose(found[i][: len(weight)], 0.3 * float(s(-x)) * weight)


def test_wpo_weighs_pairs_by_how_likely_they_are():
    objective, base = get("wpo", beta=0.1), get("dpo", beta=0.1)
    means = [
        (kept(PAIR, side, i) - kept(PAIR, side, i, "log_sum_p2")).mean()
        for i in range(3)
        for side in ("chosen", "rejected")
    ]
    w = np.exp(np.reshape(means, (3, 2)).sum(1))
    np.testing.assert_allclose(objective.loss(PAIR), w * base.loss(PAIR))
    np.testing.assert_allclose(objective.pushes(PAIR), w * np.array(base.pushes(PAIR)))
    capped = get("wpo", beta=0.1, clamp=float(np.median(w)))
    np.testing.assert_allclose(capped.loss(PAIR), np.minimum(w, np.median(w)) * base.loss(PAIR))
    certain = random_pair(chosen_tokens=np.zeros((7, 5)), rejected_tokens=np.zeros((7, 5)))
    ones = {f"{side}_log_sum_p2": np.zeros((7, 5)) for side in ("chosen", "rejected")}
    same(base, objective, Pair(**(certain.given() | ones)))
    with pytest.raises(InputError, match="weighs pairs, which 'aot' does not keep together"):
        get("wpo", base="aot")


@pytest.mark.parametrize("id", ["slime", "ld_dpo", "wpo"])
def test_token_forms_have_symbolic_forms_of_fixed_length(id):
    objective = get(id)
    form = objective.symbolic(lengths=(3, 2))
    assert (len(form.chosen_push), len(form.rejected_push)) == (3, 2)
    rng = np.random.default_rng(1)
    given = form.pair.given()
    fields = {
        name: -rng.random(len(symbols)) for name, symbols in given.items() if np.ndim(symbols) == 1
    }
    sums = {
        name.removesuffix("_tokens"): v.sum() for name, v in fields.items() if "_tokens" in name
    }
    pair = Pair(**(fields | sums | {"chosen_length": 3, "rejected_length": 2}))
    values = form.values(objective, pair)
    symbols = sorted(form.symbols, key=str)
    parts = [form.loss, *form.chosen_push, *form.rejected_push]
    found = sympy.lambdify(symbols, parts, "mpmath")(
        *(mpmath.mpf(float(values[x])) for x in symbols)
    )
    expected = [objective.loss(pair), *np.concatenate(objective.token_pushes(pair))]
    np.testing.assert_allclose(np.array(found, float), expected, rtol=1e-12)
    assert r"\lambda" in form.latex()["loss"] or r"\beta" in form.latex()["loss"]


@pytest.mark.parametrize("id", ["dpo", "simpo", "slime", "ld_dpo"])
def test_a_sequence_push_is_the_mean_of_its_token_pushes(id):
    """A change of log pi_w that is spread evenly over the tokens."""
    pair = padded(3)
    for total, tokens, lengths in zip(
        get(id).pushes(pair), get(id).token_pushes(pair), LENGTHS, strict=True
    ):
        np.testing.assert_allclose(tokens.sum(-1) / lengths, total, rtol=1e-12)


def test_sequence_objectives_push_all_tokens_alike():
    tokens, (d_w, _) = get("dpo").token_pushes(PAIR)[0], get("dpo").pushes(PAIR)
    np.testing.assert_allclose(tokens, PAIR.given()["chosen_mask"] * d_w[:, None])


def test_a_token_objective_can_be_the_base_of_a_constraint():
    spo = get("spo", base="slime", lam=0.5)
    extra = spo.token_pushes(PAIR)[0] - spo.base.token_pushes(PAIR)[0]
    np.testing.assert_allclose(extra, 0.5 * PAIR.given()["chosen_mask"] / LENGTHS[0][:, None])
    assert objectives.check_values(PAIR) is PAIR
