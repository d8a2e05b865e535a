"""Fixed points and cycles of a rule as its parameters vary: the curves to follow."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from prefdyn._stability._arclength import End
from prefdyn._stability._parameter import Axis
from prefdyn._stability._reduced import ReducedMap
from prefdyn._stability.multipliers import eigenvalues

Array = np.ndarray

SHIFT = 1e-5
"""Half-width of central differences along a parameter's coordinate, which has range 1."""


CHANGE = 0.5
"""Largest change of a multiplier from point to point, relative to the largest of them and 1."""
SHRUNK = 1e-4
"""A cycle this much smaller than at the last point is the shorter one that it was born from."""


@dataclass(frozen=True)
class PeriodicCurve:
    """``step(y; u) - y = 0`` for ``x = (y, u)``: coordinates y (m,), parameters u in [0, 1].

    With two axes there is one equation too few: see `CriticalCurve`, which adds it.

    Parameters
    ----------
    reduced
        The map of one period, at any values of the parameters.
    axes
        The parameters that vary.
    apart
        How far the cycle at the last point is from repeating early, (d, m); see `separations`.
    """

    reduced: ReducedMap
    axes: tuple[Axis, ...]
    apart: Any = None
    _known: dict[bytes, Array] = field(default_factory=dict, repr=False)

    @property
    def parameters(self) -> int:
        """Number of parameters that vary."""
        return len(self.axes)

    def split(self, x: Array) -> tuple[Array, Array]:
        """Coordinates of the state and of the parameters."""
        split = len(x) - len(self.axes)
        return x[:split], x[split:]

    def values(self, x: Array) -> Array:
        """The parameters' values."""
        _, u = self.split(x)
        return np.array([axis.value(c) for axis, c in zip(self.axes, u, strict=True)])

    def map_at(self, u: Array) -> ReducedMap:
        """The map at coordinates of the parameters."""
        rule = self.reduced.rule
        for axis, coordinate in zip(self.axes, u, strict=True):
            rule = axis.set(rule, axis.value(coordinate))
        return replace(self.reduced, rule=rule)

    def linear(self, x: Array) -> tuple[Array, Array]:
        """``step(y) - y`` (m,), and its derivative (m, m + parameters)."""
        y, u = self.split(x)
        here = self.map_at(u)
        along = self.differences(u, lambda v: self.map_at(v).step(y))
        return here.step(y) - y, np.column_stack([here.jacobian(y) - np.eye(len(y)), *along])

    def differences(self, u: Array, function: Any) -> list[Any]:
        """Central differences of a function of the parameters, kept inside the ranges."""
        centre = np.clip(u, SHIFT, 1 - SHIFT)  # at an end its neighbour's: Newton hardly minds
        shifts = SHIFT * np.eye(len(u))
        return [(function(centre + h) - function(centre - h)) / (2 * SHIFT) for h in shifts]

    def multipliers(self, x: Array) -> Array:
        """Multipliers (m,), largest modulus first; those of known points are kept."""
        known, key = self._known, x.tobytes()
        if key not in known:
            y, u = self.split(x)
            known[key] = eigenvalues(self.map_at(u).jacobian(y))
        return known[key]

    def cycle(self, x: Array) -> tuple[Array, Array]:
        """States (period, n) and log-policies (period, K) of the cycle at a point."""
        y, u = self.split(x)
        reduced = self.map_at(u)
        states = reduced.state(reduced.cycle(y))
        return states, reduced.rule.log_policy(states)

    @cached_property
    def _early(self) -> list[int]:
        """The periods that a cycle of this one may shrink to, one for each prime factor."""
        period = self.reduced.period
        primes = [q for q in range(2, period + 1) if period % q == 0 and _is_prime(q)]
        return [period // q for q in primes]

    def separations(self, x: Array) -> Array:
        """Way (d, m) that the state still goes after each shorter period; 0 if that is its own."""
        y, u = self.split(x)
        points = self.map_at(u).cycle(y)
        return np.array([points[d] - y for d in self._early]).reshape(-1, len(y))

    def resolved(self, before: Array, after: Array) -> bool:
        """Whether no multiplier has crossed the unit disc unseen, nor the cycle become a shorter.

        Sorted real and sorted imaginary parts are continuous, which multipliers in any one order
        are not.
        """
        one, other = self.multipliers(before), self.multipliers(after)
        change = max(
            np.abs(np.sort(part(one)) - np.sort(part(other))).max(initial=0)
            for part in (np.real, np.imag)
        )
        if change > CHANGE * max(1.0, np.abs(one).max(initial=0)):
            return False
        if self.apart is None:
            return True
        then, now = (np.linalg.norm(gap, axis=-1) for gap in (self.apart, self.separations(after)))
        return bool(np.all(now > SHRUNK * then))

    def passed(self, x: Array) -> Self:
        """With the separations at x to compare the next point's with."""
        return replace(self, apart=self.separations(x)) if self._early else self

    def end(self, x: Array) -> End | None:
        """A cycle ends where it closes early, beyond which its points have only changed places."""
        if self.apart is None:
            return None
        for k, (before, after) in enumerate(zip(self.apart, self.separations(x), strict=True)):
            if before @ after < 0:
                return End(
                    f"the cycle of period {self.reduced.period} shrinks to one of period "
                    f"{self._early[k]}",
                    lambda z, k=k, before=before: float(self.separations(z)[k] @ before),
                )
        return None

    def where(self, x: Array) -> str:
        """The parameters in words."""
        return words(self.axes, self.values(x))


def words(axes: tuple[Axis, ...], values: Array) -> str:
    """Parameters and values, as in "beta = 0.25 and alpha = 0.5"."""
    return " and ".join(
        f"{axis.parameter} = {value:.6g}" for axis, value in zip(axes, values, strict=True)
    )


def _is_prime(number: int) -> bool:
    return all(number % q for q in range(2, int(number**0.5) + 1))
