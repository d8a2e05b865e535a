"""Every objective on drawn pairs, extremes included, against its symbolic form in mpmath.

The numbers drawn are multiples of 1/1024 and lengths are powers of 2, so that float64 holds every
log-ratio and every mean exactly and what is compared is the objective, not the rounding of its
arguments.
"""

from functools import cache

import mpmath
import numpy as np
import pytest
import sympy
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prefdyn import objectives
from prefdyn.objectives import Pair, get
from tests.objectives.formulas import CASES, truth

LENGTHS = (2, 4)
TOKENS = {"slime": {}, "ld_dpo": {}}
PARAMETERS = {id: case.parameters for id, case in CASES.items()} | TOKENS
# Where a comparison decides on the side of a kink, its float64 arithmetic must be exact.
PARAMETERS["bpo"] = {"beta": 0.125, "alpha": 0.625}
SORTED = {"aot", "aot_unpaired"}
DIGITS = 400  # exp(-700) must be visible beside 1

extreme = st.sampled_from([0.0, -1.0, -1e4, -1e4 - 1, -1e6, -(2.0**-10)])
ordinary = st.integers(0, 20 * 1024).map(lambda n: -n / 1024)
log_probs = st.one_of(ordinary, extreme)
lengths = st.integers(0, 5).map(lambda n: 2.0**n)
rates = st.integers(0, 8).map(lambda n: n / 8)
few = settings(max_examples=5)


def at_gap(gap):
    """A pair of this log-ratio gap; at 0 policy is reference, where runs start."""
    fields = {"chosen": -1.5, "rejected": -2.5 - gap, "ref_chosen": -1.5, "ref_rejected": -2.5}
    if gap < 0:
        fields |= {"chosen": -1.5 + gap, "rejected": -2.5}
    rest = {"chosen_length": 4.0, "rejected_length": 2.0}
    return fields | rest | {"chosen_win_rate": 0.75, "rejected_win_rate": 0.375}


@st.composite
def pairs(draw) -> dict:
    """Fields of one pair."""
    names = ("chosen", "rejected", "ref_chosen", "ref_rejected")
    fields = {name: draw(log_probs) for name in names}
    fields |= {f"{side}_length": draw(lengths) for side in ("chosen", "rejected")}
    return fields | {f"{side}_win_rate": draw(rates) for side in ("chosen", "rejected")}


@st.composite
def token_pairs(draw) -> dict:
    """Fields of one pair of responses of `LENGTHS` tokens."""
    fields = {}
    for side, length in zip(("chosen", "rejected"), LENGTHS, strict=True):
        for ref in ("", "ref_"):
            tokens = np.array(draw(st.lists(log_probs, min_size=length, max_size=length)))
            fields |= {f"{ref}{side}_tokens": tokens, f"{ref}{side}": tokens.sum()}
        fields[f"{side}_length"] = length
    return fields


@cache
def functions(id):
    """mpmath functions of loss and first and second derivatives, and their symbols."""
    form = get(id, **PARAMETERS[id]).symbolic(LENGTHS)
    by = form.pair.chosen, form.pair.rejected
    loss = form.loss
    if id in TOKENS:  # a change of the response that its tokens share evenly
        by = sympy.symbols("u v")
        for side, shift, length in zip(("chosen", "rejected"), by, LENGTHS, strict=True):
            tokens = getattr(form.pair, f"{side}_tokens")
            loss = loss.subs({t: t + shift / length for t in tokens}, simultaneous=True)
    c, r = by
    orders = [(), (c,), (r,), (c, c), (c, r), (r, r)]
    parts = [sympy.diff(loss, *order, simplify=False) if order else loss for order in orders]
    symbols = sorted(form.symbols, key=str)
    if id in TOKENS:
        parts = [part.subs({c: 0, r: 0}) for part in parts]
    return form, symbols, sympy.lambdify(symbols, parts, "mpmath", cse=True)


def exact(id, objective, row):
    form, symbols, function = functions(id)
    values = form.values(objective, Pair(**row))
    return [float(part) for part in function(*(mpmath.mpf(float(values[x])) for x in symbols))]


def check(found, expected, terms=0.0):
    """Agreement to rounding; `terms` is the size of terms that may cancel in the result."""
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-14 + 1e-16 * terms)


def cancelling(id, row):
    """Second derivatives of the log-odds are 1/(1-p)^2, and the two terms of ORPO's cancel."""
    if id != "orpo":
        return 0.0
    return max(np.expm1(row[side] / row[f"{side}_length"]) ** -2 for side in ("chosen", "rejected"))


def check_row(id, row):
    objective = get(id, **PARAMETERS[id])
    in_numpy = Pair(**{name: np.asarray(value, float) for name, value in row.items()})
    in_torch = Pair(**{name: torch.tensor(value).double() for name, value in row.items()})
    with objectives.count_guards() as used:
        losses = [objective.loss(in_numpy), objective.loss(in_torch).numpy()]
        pushes = objective.pushes(in_numpy)
        derivatives = objective.derivatives(in_torch)
    np.testing.assert_allclose(*losses, rtol=1e-12, atol=1e-300)
    np.testing.assert_array_equal([-derivatives.c, derivatives.r], pushes)
    assert np.all(np.isfinite([*losses, *pushes]))
    if used:
        assert CASES[id].guarded
        return
    with mpmath.workdps(DIGITS):
        expected = exact(id, objective, row)
        if id in CASES:
            loss, d_w, d_l = truth(objective, row)
            np.testing.assert_allclose([float(loss), -float(d_w), float(d_l)], expected[:3], 1e-14)
    check(losses[0], expected[0])
    check([float(part) for part in derivatives], expected[1:], cancelling(id, row))


def test_every_objective_is_drawn_for():
    shipped = {id for id, cls in objectives.classes().items() if cls.__module__.startswith("prefd")}
    assert set(PARAMETERS) | SORTED | set(objectives.wrapper_names()) == shipped


@pytest.mark.parametrize("id", CASES)
@few
@example(row=at_gap(0.0))
@example(row=at_gap(1e4))
@example(row=at_gap(-1e4))
@given(row=pairs())
def test_loss_pushes_and_second_derivatives_against_400_digits(id, row):
    check_row(id, row)


@pytest.mark.parametrize("id", TOKENS)
@few
@given(row=token_pairs())
def test_token_level_objectives_against_400_digits(id, row):
    check_row(id, row)


@st.composite
def batches(draw) -> tuple[np.ndarray, ...]:
    """Log-probabilities of three pairs: chosen, rejected, and both under the reference."""
    row = st.lists(log_probs, min_size=3, max_size=3)
    return tuple(np.array(draw(row)) for _ in range(4))


@pytest.mark.parametrize("id", sorted(SORTED))
@few
@given(batch=batches())
def test_objectives_that_sort_are_cdpo_rank_by_rank(id, batch):
    """Rank i of one sample meets rank i of the other; pushes go back to the rows they came from."""
    parameters = {"beta": 0.5, "label_smoothing": 0.125}
    objective, smooth = get(id, **parameters), get("cdpo", **parameters)
    lw, ll, rw, rl = batch
    one, two = (lw - ll, rw - rl) if id == "aot" else (lw - rw, ll - rl)
    by_one, by_two = (np.argsort(x, kind="stable") for x in (one, two))
    form, symbols, function = functions("cdpo")
    expected = []
    with mpmath.workdps(DIGITS):
        for gap in one[by_one] - two[by_two]:
            values = form.values(smooth, Pair(chosen=gap, rejected=0.0))
            parts = function(*(mpmath.mpf(float(values[x])) for x in symbols))
            expected.append([float(part) for part in parts])
    loss, c, r, cc, _, rr = np.array(expected).T
    pair = Pair(chosen=lw, rejected=ll, ref_chosen=rw, ref_rejected=rl)
    in_torch = Pair(**{name: torch.tensor(value) for name, value in pair.given().items()})
    check(objective.loss(pair), loss)
    np.testing.assert_allclose(objective.loss(pair), objective.loss(in_torch), rtol=1e-12)
    found = objective.derivatives(in_torch)
    by_rejected = by_one if id == "aot" else by_two
    check(found.c.numpy()[by_one], c)
    check(found.r.numpy()[by_rejected], r)
    check(found.cc.numpy()[by_one], cc)
    check(found.rr.numpy()[by_rejected], rr)
