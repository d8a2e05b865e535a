"""Fixed points along a ladder of drives, each found from the one before."""

from collections.abc import Callable, Iterator

import numpy as np

from prefdyn import Rule, Stability, fixed_point, stability
from prefdyn.policies import softmax


def follow(rule_at: Callable[[float], Rule], taus: np.ndarray) -> Iterator[Stability]:
    """Stability at alpha = 0 and beta = tau with a uniform reference, for falling tau.

    A map with (alpha, beta) moves a fraction 1 - alpha of the map with (0, (1 - alpha) beta)
    (claim RND-1): they share the fixed point, and a multiplier m of the latter is one of
    ``alpha + (1 - alpha) m`` of the former, see `moduli`.
    """
    start = None
    for k, tau in enumerate(taus):
        rule = rule_at(tau)
        found = stability(rule, fixed_point(rule, start))
        yield found
        # Log-ratios grow like 1/tau, so scaled they are close to the next ones; they are cut off
        # where probabilities would underflow.
        factor = tau / taus[min(k + 1, len(taus) - 1)]
        start = softmax(np.maximum(factor * found.point.log_policy, -600.0))


def moduli(found: Stability, alpha: np.ndarray) -> np.ndarray:
    """Spectral radius at each alpha (n,), shape (..., n), from multipliers at alpha = 0."""
    multipliers = found.multipliers[..., None, :]
    alpha = alpha[:, None]
    return np.abs(alpha + (1 - alpha) * multipliers).max(axis=-1)
