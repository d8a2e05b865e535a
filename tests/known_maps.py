"""Maps with known answers, as rules: what the tools of dynamical systems are tested on.

The state is the map's own coordinate; the policy is a softmax of it, with one response more than
coordinates.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn.rules import Rule

Array = Any


class KnownMap(Rule):
    """A rule from a map of the plane or the line; subclasses give `size` and `step`."""

    size = 1

    @property
    def K(self) -> int:
        return self.size + 1

    @property
    def neutral(self) -> np.ndarray:
        return np.zeros((self.size, 0))

    def init_log(self, log_policy: Array) -> Array:
        return self.spread(log_policy[..., :-1] - log_policy[..., -1:])

    def log_policy(self, state: Array) -> Array:
        logits = np.concatenate([state, np.zeros((*state.shape[:-1], 1))], axis=-1)
        return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


@dataclass(eq=False)
class Logistic(KnownMap):
    """x' = r x (1 - x): fold of multipliers at 1, flips at 3 and 1 + sqrt 6, chaos at 4 (ln 2)."""

    r: Array

    def step(self, state: Array, t: int, rng: Any) -> Array:
        return self.r * state * (1 - state)


@dataclass(eq=False)
class Henon(KnownMap):
    """x' = 1 - a x^2 + y, y' = b x: exponents .419 and ln b - .419 at (1.4, .3)."""

    a: float = 1.4
    b: float = 0.3
    size = 2

    def step(self, state: Array, t: int, rng: Any) -> Array:
        x, y = state[..., 0], state[..., 1]
        return np.stack([1 - self.a * x**2 + y, self.b * x], axis=-1)


@dataclass(eq=False)
class DelayedLogistic(KnownMap):
    """x' = a x (1 - y), y' = x: supercritical Neimark-Sacker at a = 2, with angle pi/3."""

    a: float
    size = 2

    def step(self, state: Array, t: int, rng: Any) -> Array:
        x, y = state[..., 0], state[..., 1]
        return np.stack([self.a * x * (1 - y), x], axis=-1)


@dataclass(eq=False)
class CircleMap(KnownMap):
    """x' = x + omega - (k / 2 pi) sin 2 pi x, seen through (cos, sin): rotation and locking.

    At k = 0 the rotation number is omega; for small k the tongue of 0 has half-width k / 2 pi.
    """

    omega: float
    k: float = 0.0

    @property
    def K(self) -> int:
        return 3

    def init_log(self, log_policy: Array) -> Array:
        angle = np.arctan2(*np.moveaxis(log_policy[..., [1, 0]] - log_policy[..., [2]], -1, 0))
        return self.spread(angle[..., None] / (2 * np.pi))

    def step(self, state: Array, t: int, rng: Any) -> Array:
        return state + self.omega - self.k / (2 * np.pi) * np.sin(2 * np.pi * state)

    def log_policy(self, state: Array) -> Array:
        turn = 2 * np.pi * state
        logits = np.concatenate([np.cos(turn), np.sin(turn), np.zeros_like(turn)], axis=-1)
        return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


class HalfSeen(KnownMap):
    """z' = i z (1.3 - .3 |z|^2) + .05 i conj(z)^3, of whose plane the policy shows a line only.

    It turns by a quarter: on the axes |z| = r, with 1.3 - .3 r^2 + .05 r^2 = 1, in four rounds.
    """

    size = 2

    @property
    def K(self) -> int:
        return 2

    def init_log(self, log_policy: Array) -> Array:
        return np.stack([log_policy[..., 0] - log_policy[..., 1], 0.3 + 0 * log_policy[..., 0]], -1)

    def step(self, state: Array, t: int, rng: Any) -> Array:
        z = state[..., 0] + 1j * state[..., 1]
        after = 1j * z * (1.3 - 0.3 * np.abs(z) ** 2) + 0.05j * np.conj(z) ** 3
        return np.stack([after.real, after.imag], axis=-1)

    def log_policy(self, state: Array) -> Array:
        return super().log_policy(state[..., :1])
