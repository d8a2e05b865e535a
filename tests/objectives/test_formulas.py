"""Every objective against its formula: values, pushes, second derivatives, extremes, kinks."""

from typing import Any

import mpmath
import numpy as np
import pytest
import torch

from prefdyn import objectives
from prefdyn.objectives import Pair
from prefdyn.objectives import _objective as core
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


@ids
def test_every_formula_can_be_typeset(id):
    assert all(make(id).symbolic().latex().values())


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


def tokens_at(chosen, rejected) -> dict:
    """Single-token responses, as fields of both kinds."""
    tokens = {"chosen_tokens": np.array([[chosen]]), "rejected_tokens": np.array([[rejected]])}
    return rows_at([chosen], [rejected], [0], [0]) | tokens


BOUND = 0.05 * (0.75 + np.exp(0.5) - np.exp(-0.25)) / 2  # of chi-PO's clip, met by a, b below
KINKS = {
    objectives.get("rso_hinge"): rows_at([20.0 - 30], [-30.0], [0], [0]),
    objectives.get("slic_hf"): rows_at([-1.0], [-2.0], [0], [0]),
    objectives.get("rrhf"): rows_at([-2.0], [-4.0], [0], [0], nw=1.0, nl=2.0),
    objectives.get("dpop"): rows_at([-1.5], [-2.5], [-1.5], [-2.5]),
    objectives.get("bpo", alpha=0.6): rows_at([-1.5], [-2.5], [-1.5], [-2.5]),
    objectives.get("chipo", r_max=BOUND): rows_at([-1.0], [-1.25], [-1.5], [-1.0]),
    objectives.get("slime"): tokens_at(-1.0, -2.5),
    objectives.get("spo", mode="hinge", v_star=0.5, eps=0.0): rows_at([-0.5], [-2.5], [0], [0]),
}


@pytest.mark.parametrize("objective", KINKS, ids=lambda objective: objective.id)
def test_pushes_at_a_kink_lie_between_the_one_sided_slopes(objective):
    rows, step = KINKS[objective], 1e-6

    def loss(side, move):
        shifted = {name: rows[name] + move for name in (side, f"{side}_tokens") if name in rows}
        return objective.loss(Pair(**(rows | shifted)))

    widths = []
    for side, push in zip(("chosen", "rejected"), objective.pushes(Pair(**rows)), strict=True):
        slope = -push if side == "chosen" else push
        slopes = [(loss(side, move) - loss(side, 0.0)) / move for move in (step, -step)]
        low, high = np.min(slopes), np.max(slopes)
        assert low - 1e-5 <= slope <= high + 1e-5
        widths.append(high - low)
    assert max(widths) > 0.005, "this is not a kink"
