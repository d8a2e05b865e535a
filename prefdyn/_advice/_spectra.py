"""Multipliers of cured rounds from those of the plain ones, in closed form.

Throughout x are multipliers (..., m) of the plain round, a the share of the logits that it carries
over and g = x - a the rest; settings broadcast against them.
"""

from typing import Any

import numpy as np

Array = Any


def smaller(x: Array, kappa: Array) -> Array:
    """A fraction kappa of a round: ``1 + kappa (x - 1)`` (RND-2); of the carried share, too."""
    return 1 + kappa * (x - 1)


def optimistic(x: Array, a: Array, strength: float = 1.0) -> Array:
    """Both roots of ``z^2 - (a + (1 + m) g) z + m g`` (CURE-2), (..., 2 m)."""
    g = x - a
    return _roots(a + (1 + strength) * g, strength * g)


def extragradient(x: Array, a: Array) -> Array:
    """``a + g x`` (CURE-3)."""
    return a + (x - a) * x


def averaged(x: Array, a: Array, rate: Array) -> Array:
    """Both roots of ``(z - a)(z - 1 + rate) = rate g z`` (CURE-4), (..., 2 m)."""
    kept = 1 - rate
    return _roots(a + kept + rate * (x - a), a * kept)


def radius(multipliers: Array) -> np.ndarray:
    """Spectral radius (...,)."""
    return np.abs(multipliers).max(axis=-1)


def _roots(total: Array, product: Array) -> Array:
    """Both roots of ``z^2 - total z + product``, in the last axis.

    The larger first, without cancellation; the smaller from the product.
    """
    total, product = np.broadcast_arrays(np.asarray(total, complex), product)
    root = np.sqrt(total**2 - 4 * product)
    root = np.where((np.conj(total) * root).real < 0, -root, root)
    large = (total + root) / 2
    small = np.divide(product, large, out=np.zeros_like(large), where=large != 0)
    return np.concatenate([large, small], axis=-1)
