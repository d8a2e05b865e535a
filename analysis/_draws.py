"""Random instances that many checks share."""

import numpy as np

from prefdyn import PreferenceMatrix, games

MAX_DPO_STRENGTH = 0.48
"""Win rates stay inside (0.02, 0.98), where every DPO optimum exists."""


def responses(rng: np.random.Generator, low: int = 3, high: int = 6) -> int:
    """A number of responses, uniform in low..high."""
    return int(rng.integers(low, high + 1))


def policy(rng: np.random.Generator, K: int, size: int | tuple[int, ...] = ()) -> np.ndarray:
    """Distributions (size, K), ``0.9 Dirichlet(1, ..., 1) + 0.1/K``: no entry below 0.1/K."""
    return 0.9 * rng.dirichlet(np.ones(K), size) + 0.1 / K


def game(
    rng: np.random.Generator, K: int, size: int | tuple[int, ...] | None = None, *, dpo: bool = False
) -> PreferenceMatrix:
    """Games with independent entries; with `dpo` kept away from certain wins."""
    return games.random(K, rng, size=size, strength=MAX_DPO_STRENGTH if dpo else 0.5)


def log_uniform(
    rng: np.random.Generator, low: float, high: float, size: int | tuple[int, ...] | None = None
) -> np.ndarray:
    """Numbers whose logarithm is uniform."""
    return np.exp(rng.uniform(np.log(low), np.log(high), size))
