"""Fixed points and cycles followed through a parameter, past folds, with their bifurcations."""

from dataclasses import replace
from typing import Any

import numpy as np

from prefdyn._errors import InputError, NoOptimum
from prefdyn._inputs import count, finite
from prefdyn._progress import working
from prefdyn._stability._arclength import (
    Failed,
    Path,
    both_ways,
    correct,
    follow,
    metric,
    tangent,
)
from prefdyn._stability._crossings import crossings, with_hidden
from prefdyn._stability._many import SAME, roots
from prefdyn._stability._parameter import Axis
from prefdyn._stability._periodic_curve import PeriodicCurve
from prefdyn._stability._reduced import ReducedMap
from prefdyn._stability.branch import Bifurcation, Branch
from prefdyn._stability.fixed_points import TOLERANCE, FixedPoint, fixed_point
from prefdyn._stability.normal_form import normal_form_at
from prefdyn._stability.periodic import PeriodicOrbit, periodic_orbits
from prefdyn.rules._rule import Rule, a_rule

Array = np.ndarray

SINGULAR = 1e-5
"""Singular value of the curve's slope, relative to its largest, below which branches cross."""
REAL = 1e-6
"""Angle in radians below which a critical multiplier counts as real: a located one has rounding."""
BIRTH = (1e-3, 3e-3, 1e-4, 1e-2)
"""Steps tried, relative to the state, from a flip to its doubled cycle."""


@working("following branches")
def continuation(
    rule: Rule,
    parameter: str,
    range: tuple[float, float] | None = None,
    *,
    start: Any = None,
    period: int = 1,
    step: float = 0.02,
    points: int = 2_000,
) -> Branch:
    r"""Follow a fixed point or a cycle through a parameter, also where it turns back.

    Pseudo-arclength continuation of :math:`F^p(x; u) = x`: the parameter is one more unknown, so a
    fold is an ordinary point of the curve.  Multipliers along the curve show where stability
    changes, each crossing of the unit circle is located to rounding on the curve itself, and its
    normal form says what is born there (Kuznetsov, Elements of Applied Bifurcation Theory,
    chapters 4, 5 and 10; claims NS-1, BIF-1).

    Parameters
    ----------
    rule
        Any rule without batch; of a stochastic one its skeleton is followed.
    parameter
        Path of the parameter, as in `critical`: scales such as beta are measured on a logarithmic
        scale, others on a linear one.
    range
        Lowest and highest value; needed for parameters without a default range.
    start
        Where the branch is met: probabilities (K,) near a point of it, a `FixedPoint` or
        `PeriodicOrbit`, each at the rule's own value of the parameter (or the end of the range next
        to it), or a `Bifurcation`: its own branch, or the doubled cycle if it is a flip.  By
        default the rule's fixed point; for a cycle, the likeliest that `periodic_orbits` finds.
    period
        Rounds of the cycle; 1 for fixed points.
    step
        Longest step, where the range has length 1 and states are relative to their size.
    points
        Largest number of points in either direction.

    Returns
    -------
    Branch
        With a `reason`: the range's end, the edge of the rule's domain, a cycle that shrinks onto
        one of smaller period, a closed curve, or a failure.

    Raises
    ------
    InputError
        For an unknown parameter, an empty range, or a batch.
    NoOptimum
        If no fixed point or cycle is found at the start.

    Examples
    --------
    >>> from prefdyn import MRSIPO, games
    >>> rule = MRSIPO(games.rock_paper_scissors(0.4), beta=1.0, alpha=0.5, lam=1.0)
    >>> branch = continuation(rule, "beta", (0.1, 1.0))
    >>> [(b.kind, round(b.value, 6), b.criticality) for b in branch.bifurcations]
    [('neimark_sacker', 0.266667, 'supercritical')]
    """
    rule = a_rule(rule).skeleton
    if rule.batch_shape:
        raise InputError("a branch belongs to one recipe on one game: pass a rule without batch.")
    step = step_length(step)
    most = count(points, "points", least=2)
    axis = Axis.of(rule, parameter, range)
    if isinstance(start, Bifurcation):
        return _from_bifurcation(rule, axis, start, step, most)
    value = axis.current(rule)
    at_start = axis.set(rule, value)
    reduced, y = _first_point(at_start, start, count(period, "period"))
    curve = PeriodicCurve(reduced, (axis,))
    x = np.append(y, axis.coordinate(value))
    direction = tangent(curve, x)
    direction = direction if direction[-1] > 0 else -direction
    return _branch(both_ways(curve, x, direction, step, most), rule)


def step_length(step: Any) -> float:
    """A longest step, checked."""
    size = finite(step, "step")
    if size.ndim or not 0 < size <= 0.5:
        raise InputError(f"step is {step!r}: give a share of the range, above 0 and at most 0.5.")
    return float(size)


def _from_bifurcation(rule: Rule, axis: Axis, start: Bifurcation, step: float, most: int) -> Branch:
    """The doubled cycle of a flip; else the bifurcation's own branch."""
    if start.parameter != axis.parameter or not axis.low <= start.value <= axis.high:
        raise InputError(
            f"the start is a bifurcation at {start.parameter} = {start.value:.6g}, which is not "
            f"among {axis.parameter} in [{axis.low:g}, {axis.high:g}]: name a range around it."
        )
    alone = ReducedMap(axis.set(rule, start.value), start.states[0], start.period)
    curve = PeriodicCurve(alone, (axis,))
    x = np.append(alone.coordinates(start.states[0]), axis.coordinate(start.value))
    if start.kind != "flip":
        return _branch(both_ways(curve, x, tangent(curve, x), step, most), rule)
    values, vectors = np.linalg.eig(alone.jacobian(x[:-1]))
    critical = np.real(vectors[:, np.argmin(np.abs(values + 1))])
    curve = replace(curve, reduced=replace(alone, period=2 * start.period))
    first = _birth(curve, x, np.append(critical, 0))
    onward = tangent(curve, first, first - x)
    path = follow(curve, first, onward, step, most)
    path = Path(
        np.vstack([x, path.points]),
        [curve, *path.curves],
        f"It is born in the flip at {curve.where(x)}; it ends where {path.reason}.",
    )
    return _branch(path, rule)


def _birth(curve: PeriodicCurve, x: Array, direction: Array) -> Array:
    """A small cycle of twice the period beside a flip: across the critical direction, all moves."""
    weights = metric(curve, x)
    direction = direction / np.linalg.norm(weights * direction)
    for size in BIRTH:
        try:
            first, _ = correct(curve, x + size * direction, weights**2 * direction)
        except Failed:
            continue
        apart = curve.separations(first)
        if np.all(np.linalg.norm(apart * weights[:-1], axis=-1) > size / 10):
            return first
    raise NoOptimum(
        f"no doubled cycle is found beside the flip at {curve.where(x)}: look for one with "
        "periodic_orbits and give it as start."
    )


def _first_point(rule: Rule, start: Any, period: int) -> tuple[ReducedMap, Array]:
    """The map, and the coordinates of the point or cycle that the branch is started from."""
    if start is None and period > 1:
        start = _likeliest_cycle(rule, period)
    if isinstance(start, PeriodicOrbit):
        state, period = start.states[0], start.period
    elif isinstance(start, FixedPoint):
        state = start.state
    elif period == 1:
        state = fixed_point(rule, start).state
    else:
        state = rule.init(start)
    reduced = ReducedMap(rule, np.asarray(state, dtype=float), period)
    (y,), (residual,) = roots(reduced, reduced.coordinates(reduced.origin)[None])
    if not residual <= TOLERANCE:
        raise NoOptimum(
            f"no {'fixed point' if period == 1 else f'cycle of period {period}'} is found from "
            "this start: fixed_points and periodic_orbits search from many, and continuation takes "
            "what they find as start."
        )
    early = PeriodicCurve(reduced, ()).separations(y)
    if np.any(np.abs(early).max(axis=-1) <= SAME * max(1.0, np.abs(y).max())):
        raise NoOptimum(
            f"the start leads to a point of smaller period than {period}: start nearer the cycle, "
            "or from one that periodic_orbits finds."
        )
    return reduced, y


def _likeliest_cycle(rule: Rule, period: int) -> PeriodicOrbit:
    """The cycle that most starts lead to, a stable one before all others."""
    found = periodic_orbits(rule, period)
    if not found.orbits:
        raise NoOptimum(
            f"no cycle of period {period} is found at the start: {found.complete} Set the rule's "
            "parameter to where there is one, or name a start."
        )
    return min(found.orbits, key=lambda orbit: orbit.kind != "stable")


def _branch(path: Path, rule: Rule) -> Branch:
    path = with_hidden(path, _moduli)
    curve: PeriodicCurve = path.curves[0]
    cycles = [curve.cycle(x) for x in path.points]
    multipliers = np.stack([curve.multipliers(x) for x in path.points])
    (axis,) = curve.axes
    return Branch(
        axis.parameter,
        curve.reduced.period,
        np.array([float(curve.values(x)[0]) for x in path.points]),
        np.exp([log_policies for _, log_policies in cycles]),
        np.array([states for states, _ in cycles]),
        multipliers,
        np.abs(multipliers[:, 0]) < 1,
        tuple(_bifurcation(curve, x, place) for x, _, place, _ in crossings(path, _moduli)),
        path.reason,
        rule,
    )


def _moduli(curve: PeriodicCurve, x: Array) -> Array:
    return np.abs(curve.multipliers(x))


def _bifurcation(curve: PeriodicCurve, x: Array, place: int) -> Bifurcation:
    multipliers = curve.multipliers(x)
    angle = abs(float(np.angle(multipliers[place])))
    states, log_policies = curve.cycle(x)
    kind = "neimark_sacker"
    if angle < REAL:
        sizes = np.linalg.svd(curve.linear(x)[1], compute_uv=False)
        kind = "branch_point" if sizes[-1] < SINGULAR * max(1.0, sizes[0]) else "fold"
    elif angle > np.pi - REAL:
        kind = "flip"
    coefficient, error, criticality, note = np.nan, np.nan, None, ""
    if kind != "branch_point":
        y, u = curve.split(x)
        try:
            form = normal_form_at(curve.map_at(u), y)
        except InputError as refusal:
            note = str(refusal)
            criticality = None if kind == "fold" else "undecided"
        else:
            coefficient, error, criticality = form.coefficient, form.error, form.criticality
            note = form.resonance or ""
    return Bifurcation(
        kind,
        curve.axes[0].parameter,
        float(curve.values(x)[0]),
        np.exp(log_policies),
        states,
        multipliers,
        angle,
        criticality,
        coefficient,
        error,
        note,
    )
