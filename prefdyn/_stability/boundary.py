"""The boundary of stability as a curve in the plane of two parameters."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn._inputs import choice, count
from prefdyn._progress import working
from prefdyn._stability._arclength import Failed, Path, both_ways, correct, metric, tangent
from prefdyn._stability._critical_curve import CriticalCurve
from prefdyn._stability._crossings import crossings, sign_changes, with_hidden
from prefdyn._stability._parameter import Axis
from prefdyn._stability._periodic_curve import PeriodicCurve
from prefdyn._stability._reduced import ReducedMap
from prefdyn._stability.branch import Bifurcation
from prefdyn._stability.continuation import REAL, continuation, step_length
from prefdyn._stability.normal_form import NormalForm, normal_form_at
from prefdyn.rules._rule import Rule, a_rule

Array = np.ndarray

KINDS = ("neimark_sacker", "flip", "fold")
SEARCH = 0.1
"""Longest step of the branch on which a bifurcation is looked for."""
MET = 1e-3
"""Angle below which a second critical multiplier is real: a double one has half the digits."""
RESONANCES = {"1:3 resonance": -0.5, "1:4 resonance": 0.0}
"""Cosines of the angles at which a Neimark-Sacker curve passes strong resonances."""
DEGENERATE = {"neimark_sacker": "Chenciner", "flip": "generalised flip", "fold": "cusp"}
"""What it is called where the coefficient of the normal form changes sign."""


@dataclass(frozen=True)
class BoundaryEvent:
    """A point of a boundary where a second condition holds, a bifurcation of codimension two.

    Attributes
    ----------
    kind
        ``"1:1 resonance"`` to ``"1:4 resonance"`` (the critical pair at angle 2 pi/k);
        ``"Chenciner"``, ``"generalised flip"`` or ``"cusp"`` (the coefficient changes sign: super-
        and subcritical, or two folds, meet); ``"fold-flip"``, ``"fold-Neimark-Sacker"``,
        ``"flip-Neimark-Sacker"``, ``"double Neimark-Sacker"`` (another multiplier crosses the unit
        circle too).
    values
        The two parameters.
    policies, states
        One period, (p, K) and (p, n).
    multipliers
        Of the whole period, (m,), largest modulus first.
    """

    kind: str
    values: tuple[float, float]
    policies: Array
    states: Array
    multipliers: Array


@dataclass(frozen=True)
class Boundary:
    """A curve in the plane of two parameters on which one kind of bifurcation happens.

    Attributes
    ----------
    parameters
        Their paths.
    kind
        ``"neimark_sacker"``, ``"flip"`` or ``"fold"``.
    period
        Rounds of the cycle that bifurcates; 1 for a fixed point.
    values
        Of the two parameters along the curve, (n, 2).
    angles
        Of the critical multiplier, (n,), in [0, pi].
    criticality
        A word per point, (n,): ``"supercritical"``, ``"subcritical"`` or ``"undecided"``; for folds
        ``""``.
    coefficients, coefficient_errors
        Of the normal form, (n,), see `NormalForm`; NaN where none can be computed.
    outermost
        Whether all other multipliers are inside the unit circle, (n,): only there does stability
        end at the curve.
    policies, states
        One period per point, (n, p, K) and (n, p, n_state).
    multipliers
        (n, m), largest modulus first.
    events
        Points of codimension two, in the order of the curve.
    reason
        Why the curve ends where it does, in one sentence.
    """

    parameters: tuple[str, str]
    kind: str
    period: int
    values: Array
    angles: Array
    criticality: Array
    coefficients: Array
    coefficient_errors: Array
    outermost: Array
    policies: Array
    states: Array
    multipliers: Array
    events: tuple[BoundaryEvent, ...]
    reason: str

    def event(self, kind: str) -> BoundaryEvent:
        """The first event of a kind.

        Raises
        ------
        InputError
            If the curve has none.
        """
        for event in self.events:
            if event.kind == kind:
                return event
        known = ", ".join(dict.fromkeys(event.kind for event in self.events)) or "none at all"
        raise InputError(f"this boundary has no {kind}: its events are {known}.")


@working("following the boundary")
def boundary(
    rule: Rule,
    parameters: tuple[str, str],
    ranges: tuple[Any, Any] = (None, None),
    *,
    start: Bifurcation | tuple[float, float] | None = None,
    kind: str | None = None,
    step: float = 0.04,
    points: int = 1_000,
) -> Boundary:
    r"""Follow a bifurcation through the plane of two parameters: where stability ends, as a curve.

    Pseudo-arclength continuation of :math:`F^p(x; u) = x` together with :math:`|\mu| = 1` for the
    critical multiplier.  The normal form at each point says whether stability is lost softly
    (supercritical) or with a jump (subcritical); where that changes, and at strong resonances, the
    curve carries an event (Kuznetsov, Elements of Applied Bifurcation Theory, chapter 9; claims
    BIF-2, BIF-3).

    Parameters
    ----------
    rule
        Any rule without batch; of a stochastic one its skeleton is followed.
    parameters
        Paths of the two parameters.
    ranges
        Lowest and highest value of either; None for the default range.
    start
        A `Bifurcation` of a branch in one of the parameters, at this rule's value of the other; or
        values of both parameters near the curve; by default the bifurcation found first when the
        first parameter is turned through its range, at the rule's value of the second.
    kind
        Which kind of bifurcation to look for, where `start` is none itself; by default any at
        which the fixed point loses stability.
    step
        Longest step, where the ranges have length 1.
    points
        Largest number of points in either direction.

    Raises
    ------
    InputError
        For unknown parameters, an empty range, or if there is no bifurcation to start from.
    NoOptimum
        If no fixed point is found at the start.

    Examples
    --------
    >>> from prefdyn import MRSIPO, games
    >>> rule = MRSIPO(games.rock_paper_scissors(0.4), beta=1.0, alpha=0.5, lam=1.0)
    >>> curve = boundary(rule, ("beta", "alpha"), ((0.1, 1.0), (0.0, 0.9)))
    >>> beta, alpha = curve.values[0]
    >>> round(float(beta * (3 * (1 - alpha**2)) ** 0.5), 9)
    0.4
    """
    rule = a_rule(rule).skeleton
    if isinstance(parameters, str) or len(parameters) != 2 or parameters[0] == parameters[1]:
        raise InputError(f"parameters are {parameters!r}: name two different ones.")
    if len(ranges) != 2:
        raise InputError(f"ranges are {ranges!r}: give one, or None, for each of the parameters.")
    if kind is not None:
        choice(kind, KINDS, "kind")
    first, second = (
        Axis.of(rule, parameter, span) for parameter, span in zip(parameters, ranges, strict=True)
    )
    step, most = step_length(step), count(points, "points", least=2)
    rule = second.set(rule, second.current(rule))
    if not isinstance(start, Bifurcation):
        start, rule = _nearest(rule, first, second, start, kind)
    curve, x = _first_point(rule, (first, second), start)
    return _described(both_ways(curve, x, tangent(curve, x), step, most), curve)


def _nearest(
    rule: Rule, first: Axis, second: Axis, near: Any, kind: str | None
) -> tuple[Bifurcation, Rule]:
    """A bifurcation on the branch in the first parameter, and the rule at its second one."""
    if near is not None:
        try:
            here, there = (float(value) for value in near)
        except (TypeError, ValueError):
            raise InputError(
                f"start is {near!r}: give a Bifurcation, or a value of each parameter."
            ) from None
        for axis, value in ((first, here), (second, there)):
            if not axis.low <= value <= axis.high:
                raise InputError(
                    f"start has {axis.parameter} = {value:g}, outside the range ({axis.low:g}, "
                    f"{axis.high:g}): start inside, or widen the range."
                )
        rule = second.set(first.set(rule, here), there)
    branch = continuation(rule, first.parameter, (first.low, first.high), step=SEARCH)
    wanted = ("neimark_sacker", "flip") if kind is None else (kind,)
    found = [b for b in branch.bifurcations if b.kind in wanted]
    at = f"{second.parameter} = {second.current(rule):.6g}"
    if not found:
        others = ", ".join(b.kind for b in branch.bifurcations) or "none"
        raise InputError(
            f"no {' or '.join(wanted)} for {first.parameter} in [{first.low:g}, {first.high:g}] at "
            f"{at} (bifurcations there: {others}): widen the range or start elsewhere."
        )
    if near is not None:
        return min(
            found, key=lambda b: abs(first.coordinate(b.value) - first.coordinate(here))
        ), rule
    return min(found, key=_unstable_others), rule


def _unstable_others(bifurcation: Bifurcation) -> int:
    """Multipliers outside the unit circle, the critical ones not counted."""
    return int(np.sum(np.abs(bifurcation.multipliers) > 1 + 1e-6))


def _first_point(
    rule: Rule, axes: tuple[Axis, Axis], start: Bifurcation
) -> tuple[CriticalCurve, Array]:
    """The curve, and the point of it that the bifurcation is."""
    names = tuple(axis.parameter for axis in axes)
    if start.parameter not in names or start.kind not in KINDS:
        raise InputError(
            f"start is a {start.kind} in {start.parameter}: give a {', '.join(KINDS[:-1])} or "
            f"{KINDS[-1]} in {names[0]} or {names[1]}."
        )
    values = [
        start.value if axis.parameter == start.parameter else axis.current(rule) for axis in axes
    ]
    reduced = ReducedMap(rule, start.states[0], start.period)
    multipliers = start.multipliers
    turned = np.exp(1j * start.angle)
    near = complex(multipliers[np.argmin(np.abs(multipliers - turned))])
    curve = CriticalCurve(PeriodicCurve(reduced, axes), start.kind, near)
    coordinates = [axis.coordinate(value) for axis, value in zip(axes, values, strict=True)]
    guess = np.append(reduced.coordinates(start.states[0]), coordinates)
    try:
        across = metric(curve, guess) ** 2 * tangent(curve, guess)
        return curve, correct(curve, guess, across)[0]
    except Failed as failure:
        raise InputError(
            f"the start is no point of the boundary ({failure}): give the rule the values at which "
            "the bifurcation was found."
        ) from None


def _described(path: Path, curve: CriticalCurve) -> Boundary:
    path = with_hidden(path, _other_moduli)
    forms = [_form(*at) for at in zip(path.curves, path.points, strict=True)]
    cycles = [curve.cycles.cycle(x) for x in path.points]
    critical = np.array([at.pair(x)[0] for at, x in zip(path.curves, path.points, strict=True)])
    others = [_other_moduli(*at) for at in zip(path.curves, path.points, strict=True)]
    first, second = curve.cycles.axes
    return Boundary(
        (first.parameter, second.parameter),
        curve.kind,
        curve.cycles.reduced.period,
        np.array([curve.cycles.values(x) for x in path.points]),
        np.abs(np.angle(critical)),
        np.array(["" if curve.kind == "fold" else _word(form) for form in forms]),
        np.array([form.coefficient if form else np.nan for form in forms]),
        np.array([form.error if form else np.nan for form in forms]),
        np.array([bool(np.all(moduli < 1)) for moduli in others]),
        np.exp([log_policies for _, log_policies in cycles]),
        np.array([states for states, _ in cycles]),
        np.stack([curve.cycles.multipliers(x) for x in path.points]),
        _events(path),
        path.reason,
    )


def _word(form: NormalForm | None) -> str:
    return (form and form.criticality) or "undecided"


def _form(curve: CriticalCurve, x: Array) -> NormalForm | None:
    y, u = curve.cycles.split(x)
    try:
        return normal_form_at(curve.cycles.map_at(u), y)
    except InputError:  # two parameters do meet points that no single coefficient decides
        return None


def _coefficient(curve: CriticalCurve, x: Array) -> float:
    form = _form(curve, x)
    return np.nan if form is None else form.coefficient


def _other_moduli(curve: CriticalCurve, x: Array) -> Array:
    return np.abs(curve.others(x))


def _events(path: Path) -> tuple[BoundaryEvent, ...]:
    """Points of codimension two, in the order of the path."""
    kind = path.curves[0].kind
    found = [
        (left, x, at, _meeting(kind, at.others(x)[place]))
        for x, at, place, left in crossings(path, _other_moduli)
    ]
    found += [(left, x, at, DEGENERATE[kind]) for x, at, left in sign_changes(path, _coefficient)]
    if kind == "neimark_sacker":
        for name, cosine in RESONANCES.items():
            passed = sign_changes(path, lambda at, x, c=cosine: at.cosine(x) - c)
            found += [(left, x, at, name) for x, at, left in passed]
        for end in (0, len(path.points) - 1):
            x, at = path.points[end], path.curves[end]
            if abs(at.cosine(x)) > 1 - REAL:
                found.append((end, x, at, f"1:{1 if at.cosine(x) > 0 else 2} resonance"))

    def position(item: tuple[int, Array, Any, str]) -> tuple[int, float]:
        return item[0], float(np.linalg.norm(item[1] - path.points[item[0]]))

    return tuple(_event(*item[1:]) for item in sorted(found, key=position))


def _meeting(kind: str, other: complex) -> str:
    """What it is called where another multiplier is on the unit circle, too."""
    angle = abs(np.angle(other))
    second = "fold" if angle < MET else "flip" if angle > np.pi - MET else "neimark_sacker"
    if kind == second:
        return {"fold": "1:1 resonance", "flip": "1:2 resonance"}.get(kind, "double Neimark-Sacker")
    both = [word for word in ("fold", "flip", "neimark_sacker") if word in (kind, second)]
    return "-".join(both).replace("neimark_sacker", "Neimark-Sacker")


def _event(x: Array, curve: CriticalCurve, kind: str) -> BoundaryEvent:
    states, log_policies = curve.cycles.cycle(x)
    one, other = curve.cycles.values(x).tolist()
    return BoundaryEvent(
        kind, (one, other), np.exp(log_policies), states, curve.cycles.multipliers(x)
    )
