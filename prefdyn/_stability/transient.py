"""What a small perturbation does before it dies: transient growth at a stable fixed point."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InputError, InsufficientData
from prefdyn._inputs import choice, count
from prefdyn._stability._many import one_recipe, refuse_moving
from prefdyn._stability._reduced import ReducedMap
from prefdyn._stability.fixed_points import FixedPoint, fixed_point
from prefdyn.rules._rule import Rule

ANGLES, RADII = 65, 24
"""Grid outside the upper half of the unit circle on which the Kreiss constant is looked for."""
DIFFERENCE = 1e-6
"""Step of the differences of log-probabilities; rounding and truncation are both about 1e-10."""


@dataclass(frozen=True)
class TransientGrowth:
    r"""Largest factor by which ``|delta|`` can have grown after t rounds.

    Attributes
    ----------
    growth
        ``||M^t||`` for t = 0, 1, ..., (rounds + 1,).
    peak, peak_round
        The largest of them, and its round; 1 in round 0 where nothing ever grows.
    reactivity
        ``log ||M||``, the fastest growth in the first round, in nats per round (Caswell and
        Neubert, J. Difference Equ. Appl. 11, 295, 2005); the asymptotic rate is
        ``log spectral_radius``.
    spectral_radius
        Of M.
    kreiss
        ``max (|z| - 1) ||(z I - M)^{-1}||`` over a grid of ``|z| > 1``: no more than the peak, by
        Kreiss' theorem.
    perturbation
        Unit direction (n,) in the rule's state that grows to the peak.
    norm
        ``"state"`` or ``"kl"``.
    """

    growth: np.ndarray
    peak: float
    peak_round: int
    reactivity: float
    spectral_radius: float
    kreiss: float
    perturbation: np.ndarray
    norm: str


def transient_growth(
    rule: Rule, point: Any = None, rounds: int = 200, *, norm: str = "state"
) -> TransientGrowth:
    r"""How much a small perturbation may grow before a stable fixed point draws it in.

    Multipliers inside the unit circle promise decay in the end.  If the Jacobian M is not normal,
    perturbations may grow first, :math:`\|M^t\| > 1`, and reach where linear analysis ends.

    Parameters
    ----------
    rule
        Any `Rule` without batch.
    point
        A `FixedPoint`, or probabilities (K,) to search from; by default from uniform.
    rounds
        Rounds looked at.
    norm
        ``"state"``: Euclidean, on the directions of the state that carry dynamics (for most rules
        the logits).  ``"kl"``: :math:`\sqrt{\sum_i\pi_i(\delta\log\pi_i)^2}`, whose square is twice
        the KL divergence from the fixed point, to lowest order; only for states that the policy
        shows in full.

    Raises
    ------
    InputError
        If the fixed point is none of this rule's, or not stable, so that growth never ends; or for
        the norm "kl" if directions of the state leave the policy alone (momentum, optimiser
        states).
    InsufficientData
        If perturbations are still growing, or still above their start, when the rounds are over.

    Examples
    --------
    >>> from prefdyn import MRSIPO, Momentum
    >>> from prefdyn.games import rock_paper_scissors
    >>> rule = Momentum(MRSIPO(rock_paper_scissors(0.4), 1.0, 0.5, 1.0), 0.5)
    >>> growth = transient_growth(rule)
    >>> round(growth.peak, 2), growth.peak_round
    (1.48, 1)
    """
    rule = one_recipe(rule)
    choice(norm, ("state", "kl"), "norm")
    rounds = count(rounds, "rounds")
    if not isinstance(point, FixedPoint):
        point = fixed_point(rule, point)
    reduced = ReducedMap(rule, point.state)
    basis, y = reduced.basis, reduced.coordinates(point.state)
    M = reduced.jacobian(y)
    refuse_moving(reduced, y, M)
    radius = float(np.abs(np.linalg.eigvals(M)).max())
    if radius >= 1:
        raise InputError(
            f"the fixed point is not stable (spectral radius {radius:.6g}), so perturbations grow "
            "without end and have no transient: look at stability(rule) instead."
        )
    back = np.eye(len(M)) if norm == "state" else np.linalg.inv(_fisher_root(rule, point, basis))
    M = np.linalg.solve(back, M @ back)
    growth, power, peak, best = np.ones(rounds + 1), np.eye(len(M)), 1.0, np.eye(len(M))[0]
    for t in range(1, rounds + 1):
        power = M @ power
        _, sizes, right = np.linalg.svd(power)
        growth[t] = sizes[0]
        if sizes[0] > peak or t == 1:
            peak, best = max(peak, sizes[0]), right[0]
    if growth[-1] > 1:
        raise InsufficientData(
            f"after {rounds} rounds perturbations are still {growth[-1]:.3g} times as large as at "
            "the start: allow more rounds."
        )
    direction = basis @ back @ best
    return TransientGrowth(
        growth=growth,
        peak=float(growth.max()),
        peak_round=int(growth.argmax()),
        reactivity=float(np.log(growth[1])),
        spectral_radius=radius,
        kreiss=_kreiss(M),
        perturbation=direction / np.linalg.norm(direction),
        norm=norm,
    )


def _fisher_root(rule: Rule, point: FixedPoint, basis: np.ndarray) -> np.ndarray:
    """Square R with ``|R delta|^2 = sum_i pi_i (delta log pi_i)^2`` for small moves delta."""
    moves = DIFFERENCE * basis.T
    slope = rule.log_policy(point.state + moves) - rule.log_policy(point.state - moves)
    weighted = np.sqrt(point.policy) * slope / (2 * DIFFERENCE)  # (m, K)
    root = np.asarray(np.linalg.qr(weighted.T, mode="r"))
    if len(root) < len(basis.T) or np.abs(np.diag(root)).min() < 1e-8 * np.abs(root).max():
        raise InputError(
            "norm 'kl' needs a state that the policy shows in full, but some directions of this "
            'one leave the policy where it is: use norm="state".'
        )
    return root


def _kreiss(M: np.ndarray) -> float:
    z = 1 + np.geomspace(1e-4, 10, RADII)[:, None]
    points = z * np.exp(1j * np.linspace(0, np.pi, ANGLES))
    shifted = points[..., None, None] * np.eye(len(M)) - M
    smallest = np.linalg.svd(shifted, compute_uv=False)[..., -1]
    return float(((z - 1) / smallest).max())
