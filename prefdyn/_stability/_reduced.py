"""A rule on the directions that carry dynamics: the map that dynamical-systems theory speaks of."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from prefdyn._stability.fixed_points import tangent
from prefdyn.rules._rule import Rule
from prefdyn.rules._wrapper import set_parameter


@dataclass(frozen=True)
class ReducedMap:
    """`period` rounds of a rule in coordinates ``y = basis^T state`` (..., m): no neutral parts.

    A multiplier of the rule is an eigenvalue of `jacobian`; a fixed point of this map with
    ``period = p`` is a point of a p-cycle of the rule.

    Parameters
    ----------
    rule
        A rule without batch and without randomness (its ``skeleton``).
    origin
        Any state (n,); its neutral part, which no step looks at, is given to every state.
    period
        Rounds that one application of the map takes.
    """

    rule: Rule
    origin: np.ndarray
    period: int = 1

    @cached_property
    def basis(self) -> np.ndarray:
        """Orthonormal directions (n, m) that carry dynamics."""
        return tangent(self.rule)

    @cached_property
    def _rest(self) -> np.ndarray:
        return self.origin - self.basis @ (self.basis.T @ self.origin)

    def coordinates(self, state: Any) -> np.ndarray:
        """Coordinates (..., m) of states (..., n)."""
        return np.asarray(state) @ self.basis

    def state(self, y: np.ndarray) -> np.ndarray:
        """States (..., n) of coordinates (..., m)."""
        return y @ self.basis.T + self._rest

    def round(self, y: np.ndarray) -> np.ndarray:
        """One round of the rule."""
        return self.coordinates(self.rule.step(self.state(y), 0, None))

    def step(self, y: np.ndarray) -> np.ndarray:
        """`period` rounds of the rule."""
        for _ in range(self.period):
            y = self.round(y)
        return y

    def cycle(self, y: np.ndarray) -> np.ndarray:
        """The points (period, ..., m) that one application passes, y first."""
        points = [y]
        for _ in range(self.period - 1):
            points.append(self.round(points[-1]))
        return np.stack(points)

    def jacobian(self, y: np.ndarray) -> np.ndarray:
        """Derivative (..., m, m) of `step`, by the chain rule over the rounds."""
        product = np.eye(self.basis.shape[1])
        for point in self.cycle(y):
            slope = self.basis.T @ self.rule.jacobian(self.state(point)).matrix @ self.basis
            product = slope @ product
        return product

    def at(self, **parameters: float) -> Self:
        """The map with some of the rule's parameters changed; names as in `set_parameter`."""
        rule = self.rule
        for name, value in parameters.items():
            rule = set_parameter(rule, name, value)
        return replace(self, rule=rule)
