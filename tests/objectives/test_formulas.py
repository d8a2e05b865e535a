"""Every objective against its formula: values, pushes, second derivatives, extremes, kinks."""

import runpy
from functools import cache
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy
import torch

from prefdyn import objectives
from prefdyn.objectives import Pair
from prefdyn.objectives import _objective as core
from prefdyn.testing import check_objective
from tests.objectives.formulas import CASES, ELSEWHERE, truth

ids = pytest.mark.parametrize("id", CASES)


def make(id):
    return objectives.get(id, **CASES[id].parameters)


def rows_at(chosen, rejected, ref_chosen, ref_rejected, nw: Any = 1.0, nl: Any = 1.0) -> dict:
    fields = np.broadcast_arrays(
        *(np.asarray(part, float) for part in (chosen, rejected, ref_chosen, ref_rejected, nw, nl))
    )
    names = ("chosen", "rejected", "ref_chosen", "ref_rejected", "chosen_length", "rejected_length")
    rates = {"chosen_win_rate": np.float64(0.8), "rejected_win_rate": np.float64(0.3)}
    return dict(zip(names, fields, strict=True)) | rates


def row(rows, i) -> dict:
    return {name: column if column.ndim == 0 else column[i] for name, column in rows.items()}


def ordinary(n=12):
    """Pairs off every kink, margins of some nats."""
    rng = np.random.default_rng(0)
    log_probs = -8 * rng.random((4, n)) - 0.1
    return rows_at(*log_probs, *rng.integers(1, 9, (2, n)))


EXTREMES = rows_at(
    chosen=[0, -1e6, -1e-3, -1e6, 0, -1, -1e4 - 1, -1e4 - 1, -1],
    rejected=[-1e6, 0, -1e6, -1e-3, 0, -1e4 - 1, -1, -1e4 - 1, -1],
    ref_chosen=[0, 0, -1, -1, 0, -1, -1, -1e4 - 1, -1],
    ref_rejected=[0, 0, -1, -1, 0, -1, -1, -1, -1e4 - 1],
    nw=[1, 1, 1000, 1000, 1, 1, 1, 1, 1],
    nl=[1, 1, 10, 10, 1, 1, 1, 1, 1],
)


def exact(objective, rows, n):
    with mpmath.workdps(60):
        found = [truth(objective, row(rows, i)) for i in range(n)]
        return np.array([[float(part) for part in parts] for parts in found]).T


def test_every_objective_has_a_case():
    shipped = {id for id, cls in core._REGISTRY.items() if cls.__module__.startswith("prefdyn.")}
    assert set(CASES) | ELSEWHERE == shipped <= set(objectives.names())
    assert not set(CASES) & ELSEWHERE
    assert {"wpo", "weighted_sum"} == set(objectives.wrapper_names())


def test_the_table_of_the_documentation_has_a_row_for_each():
    table = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "conf.py"))["objectives_table"]
    for id in objectives.names() + objectives.wrapper_names():
        assert f"\n| `{id}` | `" in table()


@ids
def test_loss_and_pushes_are_the_formulas(id):
    objective, rows = make(id), ordinary()
    expected = exact(objective, rows, 12)
    for convert in (np.asarray, torch.tensor):
        pair = Pair(**{name: convert(column) for name, column in rows.items()})
        found = [objective.loss(pair), *objective.pushes(pair)]
        assert all(isinstance(part, torch.Tensor) == (convert is torch.tensor) for part in found)
        for part, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(np.asarray(part), wanted, rtol=1e-11, atol=1e-13)


@cache
def form_of(id):
    return make(id).symbolic()


@ids
def test_the_symbolic_form_is_the_formula(id):
    objective, rows, form = make(id), ordinary(2), form_of(id)
    values = form.values(objective, Pair(**row(rows, 0)))
    symbols = sorted(form.symbols, key=str)
    parts = [form.loss, form.chosen_push, form.rejected_push]
    functions = sympy.lambdify(symbols, parts, "mpmath")
    with mpmath.workdps(40):
        found = functions(*(mpmath.mpf(float(values[symbol])) for symbol in symbols))
    np.testing.assert_allclose([float(f) for f in found], exact(objective, rows, 1)[:, 0], 1e-13)
    assert all(form.latex().values())


@pytest.mark.parametrize("id", sorted(CASES.keys() - {"alpha_dpo"}))  # its margin is held fixed
def test_pushes_are_slopes_of_the_loss(id):
    objective, rows = make(id), ordinary()
    step = 1e-5

    def slope(side):
        up, down = (
            objective.loss(Pair(**(rows | {side: rows[side] + sign * step}))) for sign in (1, -1)
        )
        return (up - down) / (2 * step)

    d_w, d_l = objective.pushes(Pair(**rows))
    size = np.abs(objective.loss(Pair(**rows))).max()  # differences lose what the loss rounds
    atol = 1e-7 + 1e-10 * size
    np.testing.assert_allclose(-slope("chosen"), d_w, rtol=1e-5, atol=atol)
    np.testing.assert_allclose(slope("rejected"), d_l, rtol=1e-5, atol=atol)


@ids
def test_derivatives_at_the_reference_and_in_the_tails_against_400_digits(id):
    tails = () if CASES[id].guarded else (1e4, -1e4)
    check_objective(make(id), gaps=(0.0, 1e-8, -1e-8, 20.0, -20.0, *tails))


@ids
def test_second_derivatives_where_policy_is_reference(id):
    """a = b = 0 in every row: where runs start, and where DPOP has its kink and BPO its tie."""
    objective = make(id)
    rows = rows_at([-1.5], [-2.5], [-1.5], [-2.5], nw=3.0, nl=2.0)
    form = form_of(id)
    values = form.values(objective, Pair(**row(rows, 0)))
    c, r = form.pair.chosen, form.pair.rejected
    pair = Pair(**{name: torch.tensor(column) for name, column in rows.items()})
    found = objective.derivatives(pair)
    symbols = sorted(form.symbols, key=str)
    numbers = [mpmath.mpf(float(values[symbol])) for symbol in symbols]
    seconds = [sympy.diff(form.loss, *by, simplify=False) for by in ((c, c), (c, r), (r, r))]
    with mpmath.workdps(40):
        expected = sympy.lambdify(symbols, seconds, "mpmath", cse=True)(*numbers)
    for part, wanted in zip((found.cc, found.cr, found.rr), expected, strict=True):
        np.testing.assert_allclose(part.numpy(), float(wanted), rtol=1e-11, atol=1e-14)


@ids
def test_extremes_are_exact_or_guarded_and_counted(id):
    """Margins of +-1e4, log-probabilities of 0 and -1e6."""
    objective, guarded = make(id), 0
    for i in range(EXTREMES["chosen"].size):
        pair = Pair(**row(EXTREMES, i))
        with objectives.count_guards() as used:
            found = [objective.loss(pair), *objective.pushes(pair)]
        assert np.all(np.isfinite(found))
        if used:
            guarded += 1
            continue
        with mpmath.workdps(60):
            expected = [float(part) for part in truth(objective, row(EXTREMES, i))]
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-16, err_msg=f"row {i}")
    assert (guarded > 0) == CASES[id].guarded


KINKS = {
    "rso_hinge": rows_at([20.0 - 30], [-30.0], [0], [0]),
    "slic_hf": rows_at([-1.0], [-2.0], [0], [0]),
    "rrhf": rows_at([-2.0], [-4.0], [0], [0], nw=1.0, nl=2.0),
    "dpop": rows_at([-1.5], [-2.5], [-1.5], [-2.5]),
    "bpo": rows_at([-1.5], [-2.5], [-1.5], [-2.5]),
}


@pytest.mark.parametrize("id", KINKS)
def test_pushes_at_a_kink_lie_between_the_one_sided_slopes(id):
    objective, rows, step = make(id), KINKS[id], 1e-6
    here = objective.loss(Pair(**rows))
    d_w, d_l = objective.pushes(Pair(**rows))
    widths = []
    for side, push in (("chosen", -d_w), ("rejected", d_l)):
        slopes = [
            (objective.loss(Pair(**(rows | {side: rows[side] + move}))) - here) / move
            for move in (step, -step)
        ]
        low, high = np.min(slopes), np.max(slopes)
        assert low - 1e-6 <= push <= high + 1e-6
        widths.append(high - low)
    assert max(widths) > 0.01, "this is not a kink"
