"""alpha = 1, the reference is the last iterate: collapse and its rate, or cycling and its speed.

Not the limit of alpha -> 1: nothing pulls back, so the policy either concentrates at a linear rate
in log-odds (MRS-12) or spirals outward to the boundary (MRS-10).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import NoOptimum
from prefdyn._simulate import orbit
from prefdyn._stability.multipliers import REAL, stability
from prefdyn.games.metrics import nash_equilibrium
from prefdyn.rules._rule import Rule

TIE = 1e-12
"""Log-odds per round, in units of 1/beta, below which two responses count as tied."""
COLLAPSED = 0.999
"""Mass on the top response from which the policy counts as collapsed."""


@dataclass(frozen=True)
class LastIterate:
    """What a rule with alpha = 1 does in the long run.

    Attributes
    ----------
    kind
        ``"collapse"`` onto `top`, ``"tie"`` (mass stays on `top` and what ties with it) or
        ``"cycling"`` outward.
    top
        The response that wins, or None.
    rate
        Collapse: log-odds (nats) that `top` gains per round on its closest rival, in the limit.
    rounds_to_collapse
        Simulated from the reference: first round with 99.9 % of the mass on `top`; None if that
        takes longer than the patience.
    rounds_per_turn, growth_per_round
        Cycling: speed and outward growth of a small cycle about the equilibrium (fully on-policy:
        among the responses that keep mass there); None where it has none that turns.
    """

    kind: str
    top: int | None = None
    rate: float | None = None
    rounds_to_collapse: int | None = None
    rounds_per_turn: float | None = None
    growth_per_round: float | None = None


def last_iterate(rule: Any, patience: int = 20_000) -> LastIterate:
    """Analyse a driven rule (MRS-IPO, MRS-DPO) with alpha = 1 on one game.

    A vertex attracts where all log-odds grow in its favour once the policy is there:
    ``(drive(mu)_i - drive(mu)_j) / beta > 0`` for all j, with ``mu = lam e_i + (1 - lam) mu0``.

    Parameters
    ----------
    rule
        A rule with ``drive``, ``beta``, ``lam`` and ``mu0``, without batch.
    patience
        Most rounds simulated to time a collapse.
    """
    K, beta, lam = rule.K, float(rule.beta), float(rule.lam)
    slopes = np.empty((K, K))
    for i in range(K):
        try:
            drive = rule.drive(lam * np.eye(K)[i] + (1 - lam) * rule.mu0)
        except NoOptimum:
            raise NoOptimum(
                f"on response {i} alone the scores are infinite, because a preference is 0 or 1: "
                "at alpha = 1 there is no rate; shrink P towards 1/2 or use IPO."
            ) from None
        slopes[i] = (drive[i] - drive) / beta
    slopes[np.diag_indices(K)] = np.inf
    slowest = slopes.min(axis=1)
    top = int(np.argmax(slowest))
    if slowest[top] * beta > TIE:
        return LastIterate(
            "collapse", top, float(slowest[top]), _time_to_collapse(rule, top, patience)
        )
    if slowest[top] * beta > -TIE:
        return LastIterate("tie", top)
    leading = _leading_multiplier(rule, lam)
    if leading is None or abs(np.angle(leading)) < REAL:
        return LastIterate("cycling")
    return LastIterate(
        "cycling",
        rounds_per_turn=float(2 * np.pi / abs(np.angle(leading))),
        growth_per_round=float(abs(leading)),
    )


def _leading_multiplier(rule: Any, lam: float) -> complex | None:
    """Leading multiplier at the equilibrium, on the responses that keep mass there.

    Fully on-policy that is a Nash equilibrium of the game, so the others are dropped first.
    """
    if lam == 1:
        support = np.flatnonzero(nash_equilibrium(rule.game) > 1e-9)
        if len(support) < 2:
            return None
        rule = rule.replace(
            game=rule.game.restrict(support), reference=None, log_reference=None, offline=None
        )
    try:
        return complex(stability(rule).multipliers[0])
    except NoOptimum:
        return None


def _time_to_collapse(rule: Rule, top: int, patience: int) -> int | None:
    done = 0
    log_policy = rule.log_ref  # pyright: ignore[reportAttributeAccessIssue]
    while done < patience:
        rounds = min(500, patience - done)
        run = orbit(rule, log_start=log_policy, rounds=rounds, tolerance=0)
        reached = np.flatnonzero(run.policies[:, top] >= COLLAPSED)
        if reached.size:
            return done + int(reached[0])
        log_policy, done = run.log_policies[-1], done + rounds
    return None
