"""Games without a Condorcet winner, many at a time."""

from functools import cache

import numpy as np

from prefdyn import MRSIPO, PreferenceMatrix, critical, games


def cyclic_games(
    rng: np.random.Generator, K: int, number: int, strength: float = 0.48
) -> PreferenceMatrix:
    """The first `number` games of `games.random` in which every response is beaten by another.

    Without ties that says: the top cycle, or Smith set, has three responses or more.
    """
    kept: list[np.ndarray] = []
    found = 0
    while found < number:
        P = games.random(K, rng, size=2 * number, strength=strength).P
        cyclic = ((P > 0.5).sum(axis=-1) < K - 1).all(axis=-1)
        kept.append(P[cyclic])
        found += len(kept[-1])
    return PreferenceMatrix(np.concatenate(kept)[:number])


def regular_tournament(K: int, strength: float = 0.5) -> PreferenceMatrix:
    """K responses (odd) on a circle, each beating the (K - 1)/2 that follow it."""
    ahead = (np.arange(K)[None, :] - np.arange(K)[:, None]) % K
    sign = np.where(ahead == 0, 0, np.where(ahead <= K // 2, 1, -1))
    return PreferenceMatrix(0.5 + strength * sign)


def last_crossing(rule) -> np.ndarray:
    """beta_c: the largest unstable beta of every game of a batch, NaN where none is unstable."""
    found = critical(rule, "beta", range=(1e-3, 10), samples=60)
    return np.array([np.nan if one.value is None else one.value for one in found])


@cache
def collection(K: int, number: int, alpha: float) -> tuple[PreferenceMatrix, np.ndarray]:
    """Cyclic games, and beta_c of each under MRS-IPO with this alpha; those without one left out.

    The same games whatever alpha is.
    """
    drawn = cyclic_games(np.random.default_rng(K), K, number)
    beta_c = last_crossing(MRSIPO(drawn, 1.0, alpha, 1.0))
    found = np.isfinite(beta_c)
    return drawn[found], beta_c[found]
