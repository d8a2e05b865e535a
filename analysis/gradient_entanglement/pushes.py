"""The pushes of the losses, ENT-4: a table of formulas against the shared loss core."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from analysis import Check
from analysis._draws import log_uniform
from prefdyn import Pair, objectives

STEP = 1e-5
"""Central differences: 1e-10 times a third derivative of order one, over rounding of 1e-11."""
PAIRS = 40
"""Pairs in one instance."""
KINK = 1e-3
"""Distance, in nats, that a pair keeps from the kink of a loss."""


class Row(NamedTuple):
    """A loss of the table: its definition in sympy, its pushes (d_w, d_l), its kink if any.

    All take the values of an instance by name: summed log-probabilities ``w``, ``l`` of some pairs
    and those of the reference ``rw``, ``rl``, lengths ``nw``, ``nl``, and the parameters of `id`.
    """

    id: str
    loss: Callable[[Any, Any], Any]
    pushes: Callable[[Any], tuple[Any, Any]]
    kink: Callable[[Any], Any] = lambda v: np.inf


def falling(x: Any) -> Any:
    """``s(x) = sigmoid(-x)``."""
    return 1 / (1 + np.exp(x))


def bell(x: Any) -> Any:
    """``sigmoid'(x)``."""
    return falling(x) * falling(-x)


def gap(v: Any) -> Any:
    """``D``: log-ratio margin of sums."""
    return (v.w - v.rw) - (v.l - v.rl)


def mean_gap(v: Any) -> Any:
    """``log pi_w/n_w - log pi_l/n_l``."""
    return v.w / v.nw - v.l / v.nl


def mean_ratio_gap(v: Any) -> Any:
    """``u_w/n_w - u_l/n_l``."""
    return (v.w - v.rw) / v.nw - (v.l - v.rl) / v.nl


def log_loss(x: Any, sympy: Any) -> Any:
    """``-log sigmoid(x)``."""
    return sympy.log(1 + sympy.exp(-x))


def hinge(x: Any, sympy: Any) -> Any:
    """``max(0, x)``."""
    return sympy.Max(x, 0)


def log_odds(mean: Any, sympy: Any) -> Any:
    """Log-odds of a response by its log-probability per token."""
    return mean - sympy.log(1 - sympy.exp(mean))


def _dpo(v):
    return (v.beta * falling(v.beta * gap(v)),) * 2


def _r_dpo(v):
    return (v.beta * falling(v.beta * gap(v) + v.alpha * (v.nw - v.nl)),) * 2


def _ipo(v):
    return (2 * (1 / (2 * v.beta) - gap(v)),) * 2


def _ipo_mean(v):
    k = 2 * (1 / (2 * v.beta) - mean_ratio_gap(v))
    return k / v.nw, k / v.nl


def _slic(v):
    active = 1.0 * (v.w - v.l < v.delta)
    return active + v.nll_weight, active


def _rrhf(v):
    active = 1.0 * (mean_gap(v) < 0)
    return active / v.nw + v.nll_weight, active / v.nl


def _simpo(v):
    slope = v.beta * falling(v.beta * mean_gap(v) - v.gamma)
    return slope / v.nw, slope / v.nl


def _cpo(v):
    slope = v.beta * falling(v.beta * (v.w - v.l))
    return slope + v.nll_weight, slope


def _dpo_nll(v):
    slope = v.beta * falling(v.beta * gap(v))
    return slope + v.nll_weight / v.nw, slope


def _dpop(v):
    dropped = v.w < v.rw
    slope = v.beta * falling(v.beta * (gap(v) - v.lam * np.maximum(0, v.rw - v.w)))
    return slope * (1 + v.lam * dropped), slope


def _orpo(v):
    p, q = np.exp(v.w / v.nw), np.exp(v.l / v.nl)
    slope = v.beta * falling(np.log(p / (1 - p)) - np.log(q / (1 - q)))
    return (1 + slope / (1 - p)) / v.nw, slope / (1 - q) / v.nl


def _kto(v):
    up, down = (v.beta * bell(v.beta * (u - v.z0)) for u in (v.w - v.rw, v.l - v.rl))
    return v.lambda_d * up, v.lambda_u * down


def _sppo(v):
    target = 1 / (2 * v.beta)
    return target - (v.w - v.rw), v.l - v.rl + target


TABLE = (
    Row("dpo", lambda v, s: log_loss(v.beta * gap(v), s), _dpo),
    Row("r_dpo", lambda v, s: log_loss(v.beta * gap(v) + v.alpha * (v.nw - v.nl), s), _r_dpo),
    Row("ipo", lambda v, s: (gap(v) - 1 / (2 * v.beta)) ** 2, _ipo),
    Row("ipo_mean", lambda v, s: (mean_ratio_gap(v) - 1 / (2 * v.beta)) ** 2, _ipo_mean),
    Row(
        "slic_hf",
        lambda v, s: hinge(v.delta - v.w + v.l, s) - v.nll_weight * v.w,
        _slic,
        lambda v: v.w - v.l - v.delta,
    ),
    Row("rrhf", lambda v, s: hinge(-mean_gap(v), s) - v.nll_weight * v.w, _rrhf, mean_gap),
    Row("simpo", lambda v, s: log_loss(v.beta * mean_gap(v) - v.gamma, s), _simpo),
    Row("cpo", lambda v, s: log_loss(v.beta * (v.w - v.l), s) - v.nll_weight * v.w, _cpo),
    Row(
        "dpo_nll",
        lambda v, s: log_loss(v.beta * gap(v), s) - v.nll_weight * v.w / v.nw,
        _dpo_nll,
    ),
    Row(
        "dpop",
        lambda v, s: log_loss(v.beta * (gap(v) - v.lam * hinge(v.rw - v.w, s)), s),
        _dpop,
        lambda v: v.w - v.rw,
    ),
    Row(
        "orpo",
        lambda v, s: (
            -v.w / v.nw + v.beta * log_loss(log_odds(v.w / v.nw, s) - log_odds(v.l / v.nl, s), s)
        ),
        _orpo,
    ),
    Row(
        "kto",
        lambda v, s: (
            v.lambda_d / (1 + s.exp(v.beta * (v.w - v.rw - v.z0)))
            + v.lambda_u / (1 + s.exp(-v.beta * (v.l - v.rl - v.z0)))
        ),
        _kto,
    ),
    Row(
        "sppo",
        lambda v, s: (
            ((v.w - v.rw - 1 / (2 * v.beta)) ** 2 + (v.l - v.rl + 1 / (2 * v.beta)) ** 2) / 2
        ),
        _sppo,
    ),
)

RANGES = {
    "beta": (0.05, 2),
    "alpha": (0.05, 1),
    "delta": (0.3, 3),
    "gamma": (0.1, 2),
    "nll_weight": (0.05, 2),
    "lam": (0.5, 50),
    "z0": (0.05, 3),
    "lambda_d": (0.3, 3),
    "lambda_u": (0.3, 3),
}
"""Parameters are drawn log-uniformly between these."""
FIXED = {"cpo": {"nll_norm": "sum"}}
WON = {"sppo": {"chosen_win_rate": 1.0, "rejected_win_rate": 0.0}}
VALUES = ("w", "l", "rw", "rl", "nw", "nl")


class Values:
    """Values of an instance by name, for the formulas; numbers or symbols."""

    def __init__(self, **values: Any):
        self.__dict__.update(values)


@cache
def parameters_of(id: str) -> tuple[str, ...]:
    """The parameters of an objective that the table's formulas contain."""
    objective = objectives.get(id, **FIXED.get(id, {}))
    return tuple(name for name in RANGES if objective.takes(name))


class PushesInTheTable(Check):
    """All losses of the table on random pairs, half of which have equal lengths."""

    claim = "ENT-4"
    part = "pushes of the 13 losses by formula, equal and unequal lengths"
    instances = 25
    batch = PAIRS * len(TABLE)
    tolerance = 1e-11

    def draw(self, rng):
        lengths = rng.integers(1, 12, size=(2, 2 * PAIRS))
        lengths[1] = np.where(rng.random(2 * PAIRS) < 0.5, lengths[0], lengths[1])
        sums = -log_uniform(rng, 0.05, 3, size=lengths.shape) * lengths
        references = np.minimum(sums + rng.normal(size=sums.shape), -0.01)
        drawn = dict(zip(VALUES, (*sums, *references, *lengths.astype(float)), strict=True))
        parameters = {name: float(log_uniform(rng, *bounds)) for name, bounds in RANGES.items()}
        distances = [np.abs(row.kink(Values(**drawn, **parameters))) for row in TABLE]
        smooth = np.flatnonzero(np.min(np.broadcast_arrays(*distances, sums[0])[:-1], 0) > KINK)
        return {name: value[smooth[:PAIRS]] for name, value in drawn.items()} | parameters

    def predict(self, instance):
        pushes = [row.pushes(Values(**instance)) for row in TABLE]
        return np.array([np.broadcast_arrays(*sides, instance["w"])[:2] for sides in pushes])

    def observe(self, instance):
        return np.array(
            [shipped(row.id, instance).pushes(pair_of(row.id, instance)) for row in TABLE]
        )


class DerivedPushes(PushesInTheTable):
    """The table's definitions of the losses, differentiated by sympy."""

    claim = "ENT-4"
    part = "the same from the losses as the papers define them, differentiated symbolically"

    def predict(self, instance):
        found = []
        for row in TABLE:
            values = [instance[name] for name in (*VALUES, *parameters_of(row.id))]
            found.append(np.broadcast_arrays(*derived(row.id)(*values), instance["w"])[:2])
        return np.array(found)


class DifferencesOfTheLoss(PushesInTheTable):
    """Central differences of the loss itself."""

    claim = "ENT-4"
    part = "the same by central differences of the loss"
    tolerance = 1e-6

    def observe(self, instance):
        return np.array([self._differences(row.id, instance) for row in TABLE])

    @staticmethod
    def _differences(id: str, instance: dict[str, Any]) -> list[np.ndarray]:
        objective = shipped(id, instance)

        def slope(name: str) -> np.ndarray:
            ends = [
                objective.loss(pair_of(id, {**instance, name: instance[name] + h}))
                for h in (STEP, -STEP)
            ]
            return (ends[0] - ends[1]) / (2 * STEP)

        return [-slope("w"), slope("l")]


class LargestPushOfDPOP(Check):
    """How hard DPOP pushes at its published parameters once the chosen response has fallen."""

    claim = "ENT-4"
    part = "DPOP at its published parameters: up to 15.3, 51 times DPO"
    cases = (0.5, 2.0, 8.0)
    tolerance = 1e-6

    def predict(self, instance):
        return np.array([15.3, 51.0])

    def observe(self, instance):
        pair = Pair(chosen=-50.0 - instance, rejected=-20.0, ref_chosen=-50.0, ref_rejected=-80.0)
        largest = objectives.get("dpop").pushes(pair)[0]
        return np.array([largest, largest / objectives.get("dpo", beta=0.3).pushes(pair)[0]])


def shipped(id: str, instance: dict[str, Any]) -> Any:
    """The package's objective with the instance's parameters."""
    drawn = {name: instance[name] for name in parameters_of(id)}
    return objectives.get(id, **drawn, **FIXED.get(id, {}))


def pair_of(id: str, instance: dict[str, Any]) -> Pair:
    """The instance as the package's pair."""
    fields = ("chosen", "rejected", "ref_chosen", "ref_rejected", "chosen_length")
    names = (*fields, "rejected_length")
    given = {field: instance[name] for field, name in zip(names, VALUES, strict=True)}
    return Pair(**given, **WON.get(id, {}))


@cache
def derived(id: str) -> Callable[..., Any]:
    """``(-dL/dw, dL/dl)`` of a row's loss, by sympy, as a function of values and parameters."""
    import sympy

    names = (*VALUES, *parameters_of(id))
    symbols = {name: sympy.Symbol(name, real=True) for name in names}
    row = next(row for row in TABLE if row.id == id)
    loss = row.loss(Values(**symbols), sympy)
    slopes = [-sympy.diff(loss, symbols["w"]), sympy.diff(loss, symbols["l"])]
    return sympy.lambdify(list(symbols.values()), slopes)
