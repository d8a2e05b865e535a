"""Random instances that many checks share."""

import numpy as np

from prefdyn import PreferenceMatrix, games

Size = int | tuple[int, ...]


def responses(rng: np.random.Generator, least: int = 3, most: int = 6) -> int:
    """A number of responses, uniform in least..most."""
    return int(rng.integers(least, most + 1))


def interior(rng: np.random.Generator, K: int, size: Size = ()) -> np.ndarray:
    """Distributions (size, K), ``0.9 Dirichlet(1, ..., 1) + 0.1/K``: no entry below 0.1/K."""
    return 0.9 * rng.dirichlet(np.ones(K), size) + 0.1 / K


def game(
    rng: np.random.Generator, K: int, size: Size | None = None, strength: float = 0.5
) -> PreferenceMatrix:
    """Games with independent entries, A_ij uniform in [-strength, strength]."""
    return games.random(K, rng, size=size, strength=strength)


def log_uniform(rng: np.random.Generator, low: float, high: float, size: Size | None = None):
    """Numbers in [low, high] whose logarithm is uniform."""
    return np.exp(rng.uniform(np.log(low), np.log(high), size))
