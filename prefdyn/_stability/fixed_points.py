"""Fixed points of a rule, stable or not, by Newton's method and continuation."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import NoOptimum
from prefdyn.rules._rule import Rule

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
    rule = rule.skeleton
    state = rule.own_start if start is None else None
    if state is None:
        state = rule.init(np.full(rule.K, 1 / rule.K) if start is None else start)
    return at_state(rule, *solve(rule, state))


def at_state(rule: Rule, state: np.ndarray, residual: np.ndarray, method: str) -> FixedPoint:
    """The fixed point at a solved state."""
    log_policy = rule.log_policy(state)
    return FixedPoint(np.exp(log_policy), log_policy, state, residual, method)


def tangent(rule: Rule) -> np.ndarray:
    """Orthonormal basis (n, n - m) of the directions that do carry dynamics."""
    neutral = rule.neutral
    return np.linalg.svd(neutral)[0][:, neutral.shape[1] :]


def solve(rule: Rule, state: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """State, residual and method of the fixed point that Newton reaches from a state.

    Raises
    ------
    NoOptimum
        If none is found.
    """
    solution, residual = _newton(rule, state)
    if np.all(residual <= TOLERANCE):
        _refuse_flat(rule, state, solution)
        return solution, residual, "Newton's method"
    if rule.easier(1.0) is not None:
        continued = _continuation(rule, state)
        if continued is not None:
            return continued
    worst = float(np.max(residual))
    raise NoOptimum(
        f"no fixed point found (relative residual {worst:.1e}): at alpha = 1 a rule may have none, "
        "below (1 - alpha) beta = 1e-10 its logits are too large, else try another start."
    )


def _refuse_flat(rule: Rule, start: np.ndarray, solution: np.ndarray) -> None:
    """Refuse a point where the rule only *seems* to rest, because it hardly does anything there.

    A loss without a finite minimum flattens out, and far enough away no step is left to see.
    """
    basis = tangent(rule)
    identity = np.eye(basis.shape[1])

    def slope(state: np.ndarray) -> np.ndarray:
        jacobian = basis.T @ rule.jacobian(state).matrix @ basis
        return np.abs(jacobian - identity).max(axis=(-1, -2), initial=0.0)

    if np.any(slope(solution) < 1e-9 * slope(start)):
        raise NoOptimum(
            "no fixed point found: the steps die out towards infinity, where the loss flattens "
            "without a minimum (one pair of DPO does that); run it with orbit instead."
        )


def _continuation(rule: Any, state: np.ndarray) -> tuple[np.ndarray, np.ndarray, str] | None:
    strength, factor, steps = 1e-6, 4.0, 0
    state, residual = _newton(rule.easier(strength), state)
    while np.all(residual <= TOLERANCE):
        if strength == 1.0:
            return state, residual, f"continuation in the strength of the drive, {steps} steps"
        following = min(1.0, strength * factor)
        trial, trial_residual = _newton(rule.easier(following), state)
        steps += 1
        if np.all(trial_residual <= TOLERANCE):
            state, residual, strength, factor = (
                trial,
                trial_residual,
                following,
                min(factor**1.5, 8),
            )
        elif factor < 1.001:
            return None
        else:
            factor = np.sqrt(factor)
    return None


def _newton(rule: Rule, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Damped Newton on ``step(x) - x = 0`` modulo neutral directions, batched."""
    basis = tangent(rule)
    identity = np.eye(basis.shape[1])

    def move(x):
        return (rule.step(x, 0, None) - x) @ basis

    current = move(state)
    best_state = state
    best = np.full(state.shape[:-1], np.inf)
    for _ in range(NEWTON_STEPS):
        if not np.all(np.isfinite(current)):
            break
        jacobian = basis.T @ rule.jacobian(state).matrix @ basis
        if not np.all(np.isfinite(jacobian)):
            break
        norm = np.abs(jacobian).sum(axis=-1).max(axis=-1, initial=1.0)
        reach = np.abs(state).max(axis=-1)
        scale = np.maximum(np.maximum(1.0, norm), 1e-3 * reach)
        size = np.where(reach < ESCAPED, np.abs(current).max(axis=-1), np.inf)
        better = size / scale < best
        best = np.where(better, size / scale, best)
        best_state = np.where(better[..., None], state, best_state)
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
    return best_state, best
