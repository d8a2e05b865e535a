"""Fixed points of a rule, stable or not, by Newton's method and continuation."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from prefdyn._errors import NoOptimum
from prefdyn.rules._rule import Rule, a_rule

TOLERANCE = 1e-12
"""Largest accepted residual, relative to the largest of 1, the Jacobian's norm and a thousandth
of the state."""
NEWTON_STEPS = 60
ESCAPED = 1e10
"""Logits beyond this belong to no fixed point: without one, Newton's method runs off."""


@dataclass(frozen=True)
class FixedPoint:
    """A policy that a rule leaves where it is.

    Attributes
    ----------
    policy, log_policy
        Shape (..., K).
    state
        The rule's state there, (..., n).
    residual
        Largest move of the state in one step, relative to the largest of 1, the
        Jacobian's norm and a thousandth of the state (what rounding in one step can do), (...,).
    method
        How it was found, in words.
    """

    policy: np.ndarray
    log_policy: np.ndarray
    state: np.ndarray
    residual: np.ndarray
    method: str


def fixed_point(rule: Rule, start: Any = None) -> FixedPoint:
    """Fixed point of a rule, found where the iteration itself would not converge to it too.

    Damped Newton on the rule's Jacobian, modulo its neutral directions; where that fails and the
    rule offers ``easier(strength)``, continuation in the strength from (almost) 0.  For MRS-IPO
    with alpha < 1 the fixed point exists and is unique, the logit equilibrium at temperature
    ``(1 - alpha) beta``, and both Newton's matrix and the path to it are never singular (MRS-3).

    Parameters
    ----------
    rule
        Any `Rule`; batched rules give batched fixed points.
    start
        Probabilities (..., K) to start Newton from; by default the rule's own start, or uniform.

    Raises
    ------
    NoOptimum
        If none is found, e.g. at alpha = 1, where a rule may have none.
    """
    rule = a_rule(rule).skeleton
    state = rule.own_start if start is None else None
    if state is None:
        state = rule.init(np.full(rule.K, 1 / rule.K) if start is None else start)
    found = solve(rule, state)
    log_policy = rule.log_policy(found.state)
    return FixedPoint(np.exp(log_policy), log_policy, found.state, found.residual, found.method)


class Solution(NamedTuple):
    """Where a search ended.

    Attributes
    ----------
    state, residual, method
        As of `FixedPoint`.
    jacobian, first_jacobian
        Of one step there, and where the search started, on the directions that carry dynamics:
        (..., n - m, n - m).
    """

    state: np.ndarray
    residual: np.ndarray
    jacobian: np.ndarray
    first_jacobian: np.ndarray
    method: str = "Newton's method"

    @property
    def found(self) -> bool:
        """Whether all of the batch are fixed points, as far as the residual can tell."""
        return bool(np.all(self.residual <= TOLERANCE))


def tangent(rule: Rule) -> np.ndarray:
    """Orthonormal basis (n, n - m) of the directions that do carry dynamics."""
    neutral = np.asarray(rule.neutral, dtype=float)
    return _complement(neutral.tobytes(), neutral.shape)


@lru_cache(maxsize=32)
def _complement(directions: bytes, shape: tuple[int, int]) -> np.ndarray:
    """Orthonormal basis of what is orthogonal to the columns of an array, read-only."""
    basis = np.linalg.svd(np.frombuffer(directions).reshape(shape))[0][:, shape[1] :]
    basis.flags.writeable = False
    return basis


def solve(rule: Rule, state: np.ndarray) -> Solution:
    """The fixed point that Newton reaches from a state.

    Raises
    ------
    NoOptimum
        If none is found.
    """
    if rule.twin is not None:
        near = solve(rule.twin, rule.twin.init_log(rule.log_policy(state)))
        state = rule.init_log(rule.twin.log_policy(near.state))
    direct = _newton(rule, state)
    if direct.found:
        _refuse_flat(direct)
        return direct
    if rule.easier(1.0) is not None:
        continued = _continuation(rule, state)
        if continued is not None:
            return continued
    worst = float(np.max(direct.residual))
    raise NoOptimum(
        f"no fixed point found (relative residual {worst:.1e}): at alpha = 1 a rule may have none, "
        "below (1 - alpha) beta = 1e-10 its logits are too large, else try another start."
    )


def _refuse_flat(found: Solution) -> None:
    """Refuse a point where the rule only *seems* to rest, because it hardly does anything there.

    A loss without a finite minimum flattens out, and far enough away no step is left to see.
    """
    identity = np.eye(found.jacobian.shape[-1])

    def slope(jacobian: np.ndarray) -> np.ndarray:
        return np.abs(jacobian - identity).max(axis=(-1, -2), initial=0.0)

    if np.any(slope(found.jacobian) < 1e-9 * slope(found.first_jacobian)):
        raise NoOptimum(
            "no fixed point found: the steps die out towards infinity, where the loss flattens "
            "without a minimum (one pair of DPO does that); run it with orbit instead."
        )


def _continuation(rule: Any, state: np.ndarray) -> Solution | None:
    strength, factor, steps = 1e-6, 4.0, 0
    here = _newton(rule.easier(strength), state)
    while here.found:
        if strength == 1.0:
            how = f"continuation in the strength of the drive, {steps} steps"
            return here._replace(method=how)
        following = min(1.0, strength * factor)
        trial = _newton(rule.easier(following), here.state)
        steps += 1
        if trial.found:
            here, strength, factor = trial, following, min(factor**1.5, 8)
        elif factor < 1.001:
            return None
        else:
            factor = np.sqrt(factor)
    return None


def _newton(rule: Rule, state: np.ndarray) -> Solution:
    """Damped Newton on ``step(x) - x = 0`` modulo neutral directions, batched.

    Jacobians are most of the work: that of the best state is handed on, not computed again.
    """
    basis = tangent(rule)
    identity = np.eye(basis.shape[1])

    def move(x):
        return (rule.step(x, 0, None) - x) @ basis

    current = move(state)
    best_state = state
    best = np.full(state.shape[:-1], np.inf)
    best_jacobian = first_jacobian = np.full((*best.shape, *identity.shape), np.nan)
    for turn in range(NEWTON_STEPS):
        if not np.all(np.isfinite(current)):
            break
        jacobian = basis.T @ rule.jacobian(state).matrix @ basis
        if not np.all(np.isfinite(jacobian)):
            break
        first_jacobian = first_jacobian if turn else jacobian
        norm = np.abs(jacobian).sum(axis=-1).max(axis=-1, initial=1.0)
        reach = np.abs(state).max(axis=-1)
        scale = np.maximum(np.maximum(1.0, norm), 1e-3 * reach)
        size = np.where(reach < ESCAPED, np.abs(current).max(axis=-1), np.inf)
        better = size / scale < best
        best = np.where(better, size / scale, best)
        best_state = np.where(better[..., None], state, best_state)
        best_jacobian = np.where(better[..., None, None], jacobian, best_jacobian)
        # Once all are at the tolerance, go on while Newton still gains: that polishes at no risk.
        if np.all(best <= TOLERANCE) and not np.any(better & (size > 1e-14 * scale)):
            break
        try:
            newton = np.linalg.solve(identity - jacobian, current[..., None])[..., 0]
        except np.linalg.LinAlgError:
            break
        for _ in range(40):
            trial = state + newton @ basis.T
            following = move(trial)
            size_after = np.abs(following).max(axis=-1)
            worse = ~(size_after <= np.maximum(size, TOLERANCE * scale))
            if not worse.any():
                break
            newton = np.where(worse[..., None], newton / 2, newton)
        state, current = trial, following
    return Solution(best_state, best, best_jacobian, first_jacobian)
