"""A noisy rule and a long sweep of it, for tests and for the processes that these start."""

import time
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from prefdyn import LogitRule, sweep


@dataclass(eq=False)
class Shaken(LogitRule):
    """A user's rule that draws random numbers."""

    size: float
    stochastic: ClassVar[bool] = True
    K: ClassVar[int] = 3  # pyright: ignore[reportIncompatibleMethodOverride]

    def update(self, theta):
        return 0.5 * theta

    def step(self, state, t, rng):
        assert rng is not None
        return self.update(state) + self.size * rng.normal(size=state.shape)


def long_sweep(out=None, **changes):
    """Twenty-four blocks, each long enough to be killed in."""

    def slow(rule, seed):
        time.sleep(0.02)
        return float(seed % 1000)

    axes: dict[str, Any] = {"size": np.linspace(0.1, 1.0, 8), "repeat": 3}
    settings: dict[str, Any] = {"rounds": 50, "reducers": ["entropy", slow], "work": 1}
    return sweep(Shaken(1.0), axes, out=out, **(settings | changes))
