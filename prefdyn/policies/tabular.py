"""A free logit for every response."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn.policies._policy import numbers
from prefdyn.policies._softmax_policy import SoftmaxPolicy
from prefdyn.policies.softmax import log_softmax

Array = Any


@dataclass(frozen=True, eq=False)
class Tabular(SoftmaxPolicy):
    r"""``pi = softmax(theta)``, one table of logits per prompt.

    The Gram matrix within a prompt is :math:`K_{ij} = \delta_{ij} - \pi_i - \pi_j + \sum_k\pi_k^2`
    (claim KER-3), between prompts 0.

    Parameters
    ----------
    logits
        Start logits (k,) of one prompt, or (prompts, k).

    Raises
    ------
    InputError
        For another shape or a logit that is not finite.
    """

    logits: ArrayLike

    def __post_init__(self):
        logits = numbers(self.logits, "logits", "logits (k,) or (prompts, k)", 1, 2)
        self._set_layout(*np.atleast_2d(logits).shape)
        object.__setattr__(self, "params", logits.reshape(-1))

    @property
    def neutral(self) -> np.ndarray:
        """The all-ones direction of each prompt's logits."""
        return np.kron(np.eye(self.n_prompts), np.ones((self.n_responses, 1)))

    def logits_at(self, params: Array) -> Array:
        """The parameters, prompt by prompt."""
        return self.by_prompt(params)

    def back(self, params: Array, by_logits: Array) -> Array:
        """The same numbers in one row."""
        return self.by_response(by_logits)

    def gram(self, params: Array | None = None) -> np.ndarray:
        """``delta_ij - pi_i - pi_j + S`` within each prompt, (..., K, K)."""
        policy = np.exp(log_softmax(self.logits_at(np.asarray(self.start(params)))))
        square = (policy**2).sum(-1)[..., None, None]
        block = np.eye(self.n_responses) - policy[..., :, None] - policy[..., None, :] + square
        gram = np.zeros((*policy.shape[:-2], self.K, self.K))
        for p in range(self.n_prompts):
            own = slice(p * self.n_responses, (p + 1) * self.n_responses)
            gram[..., own, own] = block[..., p, :, :]
        return gram

    def params_of(self, log_probs: Array) -> np.ndarray:
        """The log-probabilities themselves are logits."""
        return np.asarray(log_probs, dtype=float)
