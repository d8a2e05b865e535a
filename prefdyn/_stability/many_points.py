"""All fixed points of a rule that many starts can find, and how many may be missing."""

from dataclasses import dataclass

import numpy as np

from prefdyn._stability._many import home, one_by_one, one_recipe, random_starts, roots, sort_out
from prefdyn._stability._reduced import ReducedMap
from prefdyn._stability.fixed_points import FixedPoint
from prefdyn._stability.multipliers import Stability, stability
from prefdyn.rules._rule import Rule

DEGENERATE = 1e-6
"""A multiplier this close to 1 may belong to a curve of fixed points, and has no index."""
DIRECTIONS = 256
"""In which the pull from far away is looked at."""


@dataclass(frozen=True)
class FixedPoints:
    """Fixed points found from many starts.

    Attributes
    ----------
    points
        The distinct ones, the most often hit first.
    stabilities
        One `Stability` each.
    hits
        How many random starts led to each.
    starts
        Random starts tried.
    unseen
        Upper bound (95 % confidence) on the share of random starts that lead to a point not listed.
    index_sum
        Sum of the points' indices, ``sign det(I - M)``.  It is 1 for the full list of a continuous
        rule that pulls back from far away (Brouwer's degree); None where some direction was seen in
        which this rule does not, or where a multiplier is 1, and nothing follows.
    complete
        What all this says about completeness, in words.
    """

    points: tuple[FixedPoint, ...]
    stabilities: tuple[Stability, ...]
    hits: tuple[int, ...]
    starts: int
    unseen: float
    index_sum: int | None
    complete: str


def fixed_points(rule: Rule, starts: int = 256, *, seed: int = 0) -> FixedPoints:
    r"""Fixed points, stable or not, by Newton's method from many starts.

    Points whose log-policies agree to 1e-6 are one.  Points on the boundary of the simplex, where
    some log-probability is infinite, are not looked for.

    Parameters
    ----------
    rule
        Any `Rule` without batch; a stochastic one is looked at through its ``skeleton``.
    starts
        Random starts, at least 8: Dirichlet(1/2) policies, half of them after up to 20 rounds.
    seed
        Of the starts.

    Raises
    ------
    InputError
        For a rule with a batch.

    Examples
    --------
    >>> from prefdyn import MRSIPO
    >>> from prefdyn.games import rock_paper_scissors
    >>> found = fixed_points(MRSIPO(rock_paper_scissors(0.4), 0.1, 0.5, 1.0), starts=32)
    >>> len(found.points), found.stabilities[0].kind
    (1, 'neimark_sacker')
    """
    rule = one_recipe(rule)
    reduced = ReducedMap(rule, home(rule))
    y, residual = roots(reduced, random_starts(reduced, starts, 20, seed))
    found = np.flatnonzero(np.isfinite(residual)).tolist()
    cycles = dict(zip(found, rule.log_policy(reduced.state(y[found, None])), strict=True))
    catch = sort_out(cycles, residual)
    points = tuple(_point(rule, reduced.state(y[i]), residual[i]) for i in catch.best)
    stabilities = tuple(stability(rule, point) for point in points)
    marginal = sum(np.abs(s.multipliers - 1).min(initial=1.0) < DEGENERATE for s in stabilities)
    index = None
    if not marginal and _pulls_back(reduced, y[list(catch.best)]):
        # det(I - M) is the product of 1 - multiplier; complex pairs give positive factors.
        index = int(sum(np.sign(np.prod(1 - s.multipliers).real) for s in stabilities))
    words = [catch.sentence("fixed points" if len(points) != 1 else "fixed point")]
    if marginal:
        words.append(
            f"{marginal} of them have a multiplier of 1 and may lie on a curve of fixed points, "
            "which no list completes."
        )
    if index is not None:
        words.append(
            "Their indices add up to 1, as they do if none is missing (or several whose indices "
            "cancel)."
            if index == 1
            else f"Their indices add up to {index} instead of 1: at least one is missing."
        )
    return FixedPoints(
        points, stabilities, catch.hits, len(y), catch.unseen, index, " ".join(words)
    )


def _point(rule: Rule, state: np.ndarray, residual: np.ndarray) -> FixedPoint:
    log_policy = rule.log_policy(state)
    method = "Newton's method from a random start"
    return FixedPoint(np.exp(log_policy), log_policy, state, residual, method)


def _pulls_back(reduced: ReducedMap, points: np.ndarray) -> bool:
    """Whether ``y . f(y) < |y|^2`` far outside all points, in every direction looked at.

    Then ``y - s f(y)`` has no zero there for s in [0, 1], and the degree of ``y - f(y)`` on the
    ball is that of y itself, 1.
    """
    size = points.shape[-1]
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(DIRECTIONS, size))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    radius = 1e3 * (1 + np.abs(points).max(initial=0.0))
    far = radius * directions
    inward = np.sum((one_by_one(reduced.step, far) - far) * directions, axis=-1)
    return bool(np.all(inward < -1e-9 * radius))
