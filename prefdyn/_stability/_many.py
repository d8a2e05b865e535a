"""Newton's method from many starts at once, and what may be said about what it missed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InputError, NoOptimum
from prefdyn._inputs import count
from prefdyn._stability._reduced import ReducedMap
from prefdyn._stability.fixed_points import ESCAPED, NEWTON_STEPS, TOLERANCE
from prefdyn.rules._rule import Rule, a_rule

SAME = 1e-6
"""Log-probabilities this close, relative to the largest of 1 and themselves, are of one point."""
MOVES = 1e-8
"""A point that moves by more than this, relative to its scale, is no fixed point."""
CONFIDENCE = 0.95
HALVINGS = 12
"""Most halvings of a Newton step; a start that needs more is given up."""


def one_recipe(rule: Rule) -> Rule:
    """The deterministic skeleton of a rule without batch, or an error."""
    rule = a_rule(rule).skeleton
    if rule.batch_shape:
        raise InputError(
            f"the rule holds a batch of recipes of shape {rule.batch_shape}: pass one at a time."
        )
    return rule


def home(rule: Rule) -> np.ndarray:
    """The rule's own start (n,), or the state of the uniform policy."""
    own = rule.own_start
    return np.asarray(rule.init(np.full(rule.K, 1 / rule.K)) if own is None else own)


def refuse_moving(reduced: ReducedMap, y: np.ndarray, jacobian: np.ndarray) -> None:
    """Refuse a point (m,) that a map does not leave where it is, as one of other parameters."""
    move = np.abs(reduced.step(y) - y).max()
    if not move <= MOVES * max(1.0, np.abs(jacobian).sum(axis=-1).max(), np.abs(y).max()):
        raise InputError(
            f"the point given is no fixed point or cycle of this rule, which moves it by {move:.2g}"
            ": find one at these parameters, or give probabilities to search from."
        )


def random_starts(reduced: ReducedMap, starts: int, rounds: int, seed: int) -> np.ndarray:
    """Coordinates (starts, m), independent and alike: Dirichlet(1/2) policies, half of them run.

    Each starts as it is drawn or, with probability 1/2, after up to `rounds` rounds: cycles lie
    near the orbits of the rule, not everywhere on the simplex.
    """
    number = count(starts, "starts", least=8)
    rng = np.random.default_rng(seed)
    K = reduced.rule.K
    weights = np.log(np.maximum(rng.gamma(0.5, size=(number, K)), 1e-12))
    log_policies = weights - np.logaddexp.reduce(weights, axis=-1)[:, None]
    y = reduced.coordinates(reduced.rule.init_log(log_policies))
    wait = rng.integers(1, rounds + 1, number) * rng.integers(0, 2, number)
    for t in range(int(wait.max())):
        moving = np.flatnonzero(wait > t)
        following = one_by_one(reduced.round, y[moving])
        inside = np.abs(following).max(axis=-1) < ESCAPED  # who runs off stays where it last was
        y[moving[inside]] = following[inside]
        wait[moving[~inside]] = 0
    return y


def roots(reduced: ReducedMap, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fixed points (N, m) that damped Newton reaches from N starts, and residuals (N,).

    The residual is that of `FixedPoint`; infinite where the search failed: it left the domain, ran
    off to infinity, or came to where a flattening rule only seems to rest.
    """
    identity = np.eye(y.shape[-1])
    y = np.array(y)
    residual = np.full(len(y), np.inf)
    first, last = np.full((2, len(y)), np.nan)
    move = _move(reduced, y)
    active = np.asarray(np.isfinite(move).all(axis=-1))
    for turn in range(NEWTON_STEPS):
        lanes = np.flatnonzero(active)
        if not lanes.size:
            break
        slopes = one_by_one(reduced.jacobian, y[lanes], (*y.shape[-1:] * 2,))
        last[lanes] = np.abs(slopes - identity).max(axis=(-1, -2))
        if turn == 0:
            first[lanes] = last[lanes]
        norm = np.abs(slopes).sum(axis=-1).max(axis=-1)
        scale = np.maximum(np.maximum(1.0, norm), 1e-3 * np.abs(y[lanes]).max(axis=-1))
        size = np.abs(move[lanes]).max(axis=-1)
        before = residual[lanes].copy()
        residual[lanes] = size / scale
        # At the tolerance, go on while Newton still gains: that polishes at no risk.
        gains = ~((residual[lanes] <= TOLERANCE) & ~(residual[lanes] < 0.1 * before))
        gains &= (size > 1e-15 * scale) & np.isfinite(slopes).all(axis=(-1, -2))
        active[lanes[~gains]] = False
        lanes, slopes, size, scale = lanes[gains], slopes[gains], size[gains], scale[gains]
        # The pseudo-inverse makes of a singular system a step like any other.
        newton = (np.linalg.pinv(identity - slopes) @ move[lanes][..., None])[..., 0]
        active[lanes] = False
        for _ in range(HALVINGS):
            trial = y[lanes] + newton
            following = _move(reduced, trial)
            better = np.abs(following).max(axis=-1) <= np.maximum(size, TOLERANCE * scale)
            better &= np.abs(trial).max(axis=-1) < ESCAPED
            y[lanes[better]], move[lanes[better]] = trial[better], following[better]
            active[lanes[better]] = True
            lanes, newton = lanes[~better], newton[~better] / 2
            size, scale = size[~better], scale[~better]
            if not lanes.size:
                break
    # Where a loss has flattened out, slopes are the rounding of large states rather than 0.
    with np.errstate(invalid="ignore"):
        rounding = 1e-9 * np.maximum(1.0, np.abs(y).max(axis=-1))
        flat = (last < 1e-9 * first) | ((last < 1e-6 * first) & (last < rounding))
    residual[flat | ~(residual <= TOLERANCE)] = np.inf
    return y, residual


def _move(reduced: ReducedMap, y: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return one_by_one(reduced.step, y) - y


def one_by_one(function: Callable, points: np.ndarray, shape: tuple | None = None) -> np.ndarray:
    """A batched function of points; where it refuses the batch, NaN for the points to blame."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        try:
            return function(points)
        except NoOptimum:
            values = np.full((len(points), *(shape or points.shape[1:])), np.nan)
        for i, point in enumerate(points):
            try:
                values[i] = function(point)
            except NoOptimum:
                continue
    return values


def alike(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether log-policies (..., K) are the same up to the accuracy of a search."""
    scale = np.maximum(1.0, np.minimum(np.abs(one), np.abs(other)))
    return np.all(np.abs(one - other) <= SAME * scale, axis=-1)


def begun_later(cycles: np.ndarray, by: Any) -> np.ndarray:
    """Cycles (..., p, K) begun `by` (d,) rounds later, (..., d, p, K)."""
    p = cycles.shape[-2]
    return cycles[..., (np.asarray(by, dtype=int)[:, None] + np.arange(p)) % p, :]


@dataclass(frozen=True)
class Catch:
    """What of N random starts led where, and the bound that follows.

    Attributes
    ----------
    labels
        Index of what each start found, (N,); -1 where it found nothing.
    best
        For each thing found, the start that found it most accurately.
    """

    labels: np.ndarray
    best: tuple[int, ...]

    @property
    def hits(self) -> tuple[int, ...]:
        """How many starts found each thing."""
        return tuple(int(n) for n in np.bincount(self.labels + 1, minlength=len(self.best) + 1)[1:])

    @property
    def unseen(self) -> float:
        """Upper bound on the share of starts that would lead to something not in the list.

        The first half of the starts makes a list, the second half tests it: the share of new
        things among them is binomial, and Clopper and Pearson bound it with confidence 95 %.  The
        full list can only be better.
        """
        from scipy.stats import beta

        half = len(self.labels) // 2
        tests = self.labels[half:]
        new = int(np.sum(~np.isin(tests, [-1, *self.labels[:half]])))
        return 1.0 if new == len(tests) else float(beta.ppf(CONFIDENCE, new + 1, len(tests) - new))

    def sentence(self, what: str, elsewhere: int = 0) -> str:
        """The bound in words; `elsewhere` starts found what does not count."""
        failed = int(np.sum(self.labels < 0)) - elsewhere
        nothing = f"; {failed} starts led nowhere" if failed else ""
        return (
            f"{len(self.best)} {what} found from {len(self.labels)} random starts{nothing}. With "
            f"95 % confidence fewer than {100 * self.unseen:.2g} % of such starts lead to another; "
            "one that attracts next to no starts may exist."
        )


def sort_out(cycles: dict[int, np.ndarray], residual: np.ndarray) -> Catch:
    """Group what starts found, given as log-policies (p, K) of a cycle by number of the start.

    Two cycles are the same if one is the other, begun later.  One common policy is not enough:
    rules with memory may pass it in different states.
    """
    groups: list[list[int]] = []
    for i, cycle in cycles.items():
        for group in groups:
            if alike(begun_later(cycles[group[0]], range(len(cycle))), cycle).all(axis=-1).any():
                group.append(i)
                break
        else:
            groups.append([i])
    groups.sort(key=len, reverse=True)
    labels = np.full(len(residual), -1)
    for label, group in enumerate(groups):
        labels[group] = label
    return Catch(labels, tuple(min(group, key=lambda i: residual[i]) for group in groups))
