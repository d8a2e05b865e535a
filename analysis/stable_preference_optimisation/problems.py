"""Many independent problems in one policy, and small steps of it."""

import numpy as np

from prefdyn import Objective
from prefdyn.policies import LogLinear, Tabular
from prefdyn.rules import GradientStep

Array = np.ndarray


def tables(policies: Array) -> Tabular:
    """Tables of logits with these probabilities (n, k), one problem per prompt."""
    return Tabular(np.log(policies))


def log_linear(features: Array, theta: Array | None = None) -> LogLinear:
    """Problems with features (n, k, d), each with parameters of its own (n, d), 0 by default."""
    n, k, d = features.shape
    apart = np.zeros((n, k, n, d))
    apart[np.arange(n), :, np.arange(n)] = features
    return LogLinear(apart.reshape(n, k, n * d), None if theta is None else theta.reshape(-1))


def first_pairs(policy: LogLinear | Tabular) -> list[tuple[int, int]]:
    """The first response chosen and the second rejected, in every problem."""
    firsts = np.arange(policy.n_prompts) * policy.n_responses
    return [(int(i), int(i) + 1) for i in firsts]


def descent(
    policy: LogLinear | Tabular, objective: Objective, rate: float = 1.0, **more
) -> GradientStep:
    """Gradient descent on the sum of the problems' losses."""
    pairs = first_pairs(policy)
    return GradientStep(objective, policy, pairs, rate, weights=np.ones(len(pairs)), **more)


def by_problem(rule: GradientStep, x: Array) -> Array:
    """Numbers (..., n k) per response as (..., n, k)."""
    return x.reshape(*x.shape[:-1], len(rule.pairs), -1)


def speed(rule: GradientStep, params: Array | None = None, step: float = 1e-5) -> Array:
    """Change of the log-probabilities (n, k) per unit rate of a small step.

    By central differences: the error is step^2/6 of a third derivative of order 1.
    """
    policy = rule.policy
    params = policy.params if params is None else params
    move = policy.direction(params, rule.pushes(params))
    ahead, behind = policy.log_probs(params + step * move), policy.log_probs(params - step * move)
    return by_problem(rule, (ahead - behind) / (2 * step))
