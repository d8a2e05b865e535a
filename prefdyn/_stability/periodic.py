"""Periodic orbits of a given order, with their Floquet multipliers."""

from dataclasses import dataclass

import numpy as np

from prefdyn._inputs import count
from prefdyn._progress import working
from prefdyn._stability._many import (
    alike,
    begun_later,
    home,
    one_recipe,
    random_starts,
    roots,
    sort_out,
)
from prefdyn._stability._reduced import ReducedMap
from prefdyn._stability.multipliers import eigenvalues, kinds
from prefdyn.rules._rule import Rule

ROUNDS = 200
"""Most rounds that a start is run before Newton's method takes over."""


@dataclass(frozen=True)
class PeriodicOrbit:
    """A cycle of a rule.

    Attributes
    ----------
    period
        Rounds after which it returns, and not before.
    policies
        Shape (period, K), in the order of the rounds.
    states
        The rule's states there, (period, n).
    multipliers
        Floquet multipliers (m,), eigenvalues of `period` rounds, largest modulus first.
    spectral_radius
        Modulus of the first.
    kind
        ``"stable"``, or how the cycle repels: the words of `Stability`.
    residual
        As of `FixedPoint`, for `period` rounds.
    """

    period: int
    policies: np.ndarray
    states: np.ndarray
    multipliers: np.ndarray
    spectral_radius: float
    kind: str
    residual: float


@dataclass(frozen=True)
class PeriodicOrbits:
    """Cycles of one period found from many starts.

    Attributes
    ----------
    orbits
        The distinct ones, the most often hit first.
    hits
        How many random starts led to each.
    starts
        Random starts tried.
    unseen
        Upper bound (95 % confidence) on the share of random starts that lead to a cycle not listed.
    complete
        What this says about completeness, in words.
    """

    orbits: tuple[PeriodicOrbit, ...]
    hits: tuple[int, ...]
    starts: int
    unseen: float
    complete: str


@working("searching for cycles")
def periodic_orbits(rule: Rule, period: int, starts: int = 256, *, seed: int = 0) -> PeriodicOrbits:
    """Cycles of a given order, stable or not, by Newton's method on `period` rounds.

    What returns after fewer rounds already is left out; the same cycle found at another of its
    points counts once.

    Parameters
    ----------
    rule
        Any `Rule` without batch; a stochastic one is looked at through its ``skeleton``.
    period
        Number of rounds after which the cycle closes.
    starts
        Random starts, at least 8: Dirichlet(1/2) policies, half of them after up to 200 rounds.
    seed
        Of the starts.

    Raises
    ------
    InputError
        For a rule with a batch, or a period that is no whole number above 0.

    Examples
    --------
    >>> from prefdyn import MRSIPO
    >>> from prefdyn.games import rock_paper_scissors
    >>> found = periodic_orbits(MRSIPO(rock_paper_scissors(0.4), 0.1, 0.0, 1.0), 3, starts=64)
    >>> sorted(orbit.kind for orbit in found.orbits)
    ['fold', 'stable']
    """
    rule = one_recipe(rule)
    period = count(period, "period")
    reduced = ReducedMap(rule, home(rule), period)
    y, residual = roots(reduced, random_starts(reduced, starts, ROUNDS, seed))
    found = np.flatnonzero(np.isfinite(residual)).tolist()
    points = np.moveaxis(reduced.cycle(y[found]), 0, -2)  # (found, period, m)
    log_policies = rule.log_policy(reduced.state(points))
    divisors = [d for d in range(1, period) if period % d == 0]
    early = alike(begun_later(log_policies, divisors), log_policies[:, None]).all(axis=-1)
    shorter = early.any(axis=-1)
    kept = np.flatnonzero(~shorter)
    cycles = {found[k]: log_policies[k] for k in kept}
    catch = sort_out(cycles, residual)
    orbits = tuple(_orbit(reduced, reduced.cycle(y[i]), residual[i]) for i in catch.best)
    short = int(shorter.sum())
    note = f" {short} starts led to cycles of a period that divides {period}." if short else ""
    what = f"cycle{'' if len(orbits) == 1 else 's'} of period {period}"
    return PeriodicOrbits(
        orbits, catch.hits, len(y), catch.unseen, catch.sentence(what, short) + note
    )


def _orbit(reduced: ReducedMap, cycle: np.ndarray, residual: float) -> PeriodicOrbit:
    states = reduced.state(cycle)
    multipliers = eigenvalues(reduced.jacobian(cycle[0]))
    return PeriodicOrbit(
        reduced.period,
        np.exp(reduced.rule.log_policy(states)),
        states,
        multipliers,
        float(np.abs(multipliers[0])),
        str(kinds(multipliers[0])),
        float(residual),
    )
