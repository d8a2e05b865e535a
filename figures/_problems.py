"""Many independent problems as the prompts of one policy, with a pair each."""

import numpy as np

from prefdyn import DPO
from prefdyn.policies import LogLinear, Tabular
from prefdyn.rules import GradientStep


def log_linear(features: np.ndarray, theta: np.ndarray | None = None) -> LogLinear:
    """Problems with features (n, k, d), each with parameters of its own (n, d), 0 by default."""
    n, k, d = features.shape
    apart = np.zeros((n, k, n, d))
    apart[np.arange(n), :, np.arange(n)] = features
    theta = None if theta is None else theta.reshape(-1)
    return LogLinear(apart.reshape(n, k, n * d), theta)


def dpo(policy: LogLinear | Tabular, beta: float, rate: float = 1.0) -> GradientStep:
    """DPO with the first response of every problem chosen and the second rejected, summed."""
    first = np.arange(policy.n_prompts) * policy.n_responses
    pairs = np.stack([first, first + 1], axis=1)
    return GradientStep(DPO(beta), policy, pairs, rate, weights=np.ones(len(pairs)))
