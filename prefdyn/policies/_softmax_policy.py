"""What policies have in common that put one softmax over the responses of each prompt."""

from abc import abstractmethod
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from prefdyn.policies._policy import Policy
from prefdyn.policies.softmax import log_softmax

Array = Any


class SoftmaxPolicy(Policy):
    """One-token responses under a softmax per prompt: write `logits_at` and `back`."""

    n_prompts: int
    n_responses: int

    def _set_layout(self, n_prompts: int, n_responses: int) -> None:
        set_ = object.__setattr__
        set_(self, "n_prompts", n_prompts)
        set_(self, "n_responses", n_responses)
        set_(self, "mask", np.ones((n_prompts * n_responses, 1)))
        set_(self, "prompts", np.repeat(np.arange(n_prompts), n_responses))
        set_(self, "responses", tuple((k,) for _ in range(n_prompts) for k in range(n_responses)))

    @abstractmethod
    def logits_at(self, params: Array) -> Array:
        """Logits (..., prompts, responses)."""

    @abstractmethod
    def back(self, params: Array, by_logits: Array) -> Array:
        """Derivative by the parameters, (..., P), of one by logits (..., prompts, responses)."""

    def log_probs(self, params: Array | None = None) -> Array:
        """Log-probabilities (..., K), K = prompts x responses."""
        return self.by_response(log_softmax(self.logits_at(self.start(params))))

    def token_log_probs(self, params: Array | None = None) -> Array:
        """As `log_probs`, with a token axis of length 1."""
        return self.log_probs(params)[..., None]

    def direction(self, params: Array, pushes: Array) -> Array:
        """The pushes v less ``pi sum v`` per prompt, taken back to the parameters."""
        xp = array_namespace(params)
        v = self.by_prompt(pushes[..., 0])
        policy = xp.exp(log_softmax(self.logits_at(params)))
        return self.back(params, v - policy * xp.sum(v, axis=-1, keepdims=True))

    def token_gram(self, params: Array | None = None) -> np.ndarray:
        """As `gram`, with token axes of length 1."""
        return self.gram(params)[..., :, None, :, None]

    def log_sum_p2(self, params: Array | None = None) -> Array:
        """``log sum_k pi_k^2`` of the response's prompt, (..., K, 1)."""
        log_policy = log_softmax(self.logits_at(self.start(params)))
        xp = array_namespace(log_policy)
        top = xp.max(log_policy, axis=-1, keepdims=True)
        total = 2 * top + xp.log(xp.sum(xp.exp(2 * (log_policy - top)), axis=-1, keepdims=True))
        return self.by_response(total + 0 * log_policy)[..., None]

    def by_prompt(self, x: Array) -> Array:
        """(..., K) as (..., prompts, responses)."""
        return x.reshape(*x.shape[:-1], self.n_prompts, self.n_responses)

    def by_response(self, x: Array) -> Array:
        """(..., prompts, responses) as (..., K)."""
        return x.reshape(*x.shape[:-2], self.K)
