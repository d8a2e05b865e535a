"""The softmax policy: logits, log-probabilities, and the few maps between them.

Every function takes numpy arrays or torch tensors of shape (..., K), K responses in the
last axis, and returns the same kind.  Nothing here takes the logarithm of a computed
probability, so policies with probabilities far below 1e-300 lose nothing.
"""

from typing import Any

import numpy as np
from array_api_compat import array_namespace

Array = Any


def _namespace(theta: Array) -> Any:
    """The functions for an array; numpy's own are looked up at once, they run millions of times."""
    return np if isinstance(theta, np.ndarray) else array_namespace(theta)


def log_softmax(theta: Array) -> Array:
    """Log-probabilities ``theta - log sum exp theta`` of logits (..., K)."""
    xp = _namespace(theta)
    shifted = theta - xp.max(theta, axis=-1, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))


def softmax(theta: Array) -> Array:
    """Probabilities ``exp(theta) / sum exp(theta)`` of logits (..., K)."""
    xp = _namespace(theta)
    weights = xp.exp(theta - xp.max(theta, axis=-1, keepdims=True))
    return weights / xp.sum(weights, axis=-1, keepdims=True)


def centre(theta: Array) -> Array:
    """Logits with mean zero: softmax ignores the all-ones direction, comparisons must too."""
    xp = _namespace(theta)
    return theta - xp.mean(theta, axis=-1, keepdims=True)


def softmax_jacobian(policy: Array) -> Array:
    """Softmax Jacobian ``J(pi) = diag(pi) - pi pi^T`` (..., K, K) of probabilities (..., K)."""
    xp = _namespace(policy)
    identity = xp.eye(policy.shape[-1], dtype=policy.dtype)
    return policy[..., :, None] * (identity - policy[..., None, :])


def entropy(log_policy: Array) -> Array:
    """Shannon entropy ``-sum pi log pi`` in nats of log-probabilities (..., K)."""
    xp = array_namespace(log_policy)
    # p * log p -> 0 as p -> 0, but 0 * inf is NaN: a bound on the factor leaves the product at 0.
    return xp.sum(xp.exp(log_policy) * xp.clip(0.0 - log_policy, max=1e308), axis=-1)


def kl(log_p: Array, log_q: Array) -> Array:
    """Kullback-Leibler divergence ``sum p (log p - log q)`` in nats of log-probabilities."""
    xp = array_namespace(log_p, log_q)
    return xp.sum(xp.exp(log_p) * (log_p - log_q), axis=-1)
