"""Statements a user can quote: proved conditions, with their value for a given recipe."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn.games.matrix import PreferenceMatrix


@dataclass(frozen=True)
class Certificate:
    """A proved condition, evaluated.

    Attributes
    ----------
    name
        ``"contraction"``, ``"mirror_descent"``, ``"local_boundary"`` or ``"collapse"``.
    value
        Number that the condition bounds, (...,); it holds below 1 (a collapse bound is the mass
        that can be left outside the top response, and always holds).
    holds
        Whether the condition is met, (...,).
    proves
        ``"global"``, ``"local"`` or ``"collapse"``: what follows where it holds.
    statement
        The condition and its consequence in words.
    claim
        Id of the claim behind it; empty for the linearisation of a rule without one.
    """

    name: str
    value: Any
    holds: Any
    proves: str
    statement: str
    claim: str


def contraction(A: np.ndarray, beta: Any, alpha: Any, lam: Any) -> Certificate:
    """``alpha + lam ||A||_2 / (2 beta) < 1``: MRS-IPO contracts centred logits (MRS-2)."""
    value = alpha + lam * np.linalg.norm(A, 2, axis=(-2, -1)) / (2 * beta)
    return Certificate(
        "contraction",
        value,
        value < 1,
        "global",
        "alpha + lam ||A||_2 / (2 beta) < 1: every round contracts centred logits by this factor, "
        "so every start converges",
        "MRS-2",
    )


def mirror_descent(A: np.ndarray, beta: Any, alpha: Any, lam: Any) -> Certificate:
    """``(lam max|A| / beta)^2 <= alpha (1 - alpha)``: KL to the fixed point shrinks (MRS-9)."""
    drive = (lam * np.abs(A).max(axis=(-2, -1)) / beta) ** 2
    room = alpha * (1 - alpha)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value = np.where(room > 0, drive / room, np.inf)
    # At alpha = 0 and lam = 0 drive and room vanish together; the contraction covers that case.
    return Certificate(
        "mirror_descent",
        value,
        value <= 1,
        "global",
        "(lam max|A| / beta)^2 <= alpha (1 - alpha): the divergence from the fixed point shrinks "
        "by alpha every round, so every start converges",
        "MRS-9",
    )


def fixed_sampler(alpha: Any, lam: Any) -> Certificate:
    """``lam = 0`` and ``alpha < 1``: the sampler never moves, so rounds contract by alpha."""
    value = np.where(np.asarray(lam) == 0, alpha, np.inf)
    return Certificate(
        "contraction",
        value,
        value < 1,
        "global",
        "lam = 0: the optimum's pull does not depend on the policy, so every round contracts "
        "centred logits by alpha, and every start converges",
        "MRS-2",
    )


def collapse(
    game: PreferenceMatrix, beta: float, alpha: float, log_ref: np.ndarray, gain: float, claim: str
) -> Certificate | None:
    """Bound on the mass outside a response that dominates row by row, for alpha < 1 (MRS-11).

    ``log(pi*_1/pi*_j) >= log(ref_1/ref_j) + gain delta_j / ((1 - alpha) beta)`` with
    ``delta_j = min_k (P_1k - P_jk)``, gain 1 for IPO and 4 for DPO (DPO-4).  None where no
    response dominates or alpha = 1.
    """
    P = game.P
    top = int(np.argmax(P.sum(axis=-1)))
    others = np.delete(np.arange(len(P)), top)
    lead = (P[top] - P[others]).min(axis=-1)
    if alpha >= 1 or lead.min() <= 0:
        return None
    log_odds = log_ref[top] - log_ref[others] + gain * lead / ((1 - alpha) * beta)
    name = game.names[top] if game.names else f"response {top}"
    outside = float(np.exp(-np.logaddexp(0, -np.logaddexp.reduce(-log_odds))))
    return Certificate(
        "collapse",
        outside,
        True,
        "collapse",
        f"{name} dominates row by row: in the limit at most {outside:.3g} of the mass is "
        "left to all others, whatever the start and lam",
        claim,
    )
