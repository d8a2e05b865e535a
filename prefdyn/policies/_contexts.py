"""What policies have in common that predict token after token, each from its context."""

import operator
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from prefdyn._errors import InputError
from prefdyn.policies._policy import Policy
from prefdyn.policies.softmax import log_softmax

Array = Any


class ContextPolicy(Policy):
    """Responses of one or more tokens, each drawn from a softmax that its context picks.

    Write `context_logits` and `back`.  `positions` (K, T) holds the context that predicts each
    token and `tokens` (K, T) the token; padding points at context and token 0.
    """

    n_contexts: int
    vocabulary: int
    positions: np.ndarray
    tokens: np.ndarray

    def _set_layout(
        self, contexts: Sequence[Any], responses: Sequence[tuple], prompts: Any, of: Any
    ) -> None:
        """Number the contexts; ``of(prompt, prefix)`` is the context after a prefix."""
        number = {context: i for i, context in enumerate(contexts)}
        shape = (len(responses), max(len(response) for response in responses))
        positions, tokens, mask = np.zeros(shape, int), np.zeros(shape, int), np.zeros(shape)
        for i, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
            for t, token in enumerate(response):
                positions[i, t] = number[of(prompt, response[:t])]
                tokens[i, t], mask[i, t] = token, 1.0
        set_ = object.__setattr__
        set_(self, "n_contexts", len(contexts))
        set_(self, "positions", positions)
        set_(self, "tokens", tokens)
        set_(self, "mask", mask)
        set_(self, "prompts", np.asarray(prompts, dtype=int))
        set_(self, "responses", tuple(responses))

    @abstractmethod
    def context_logits(self, params: Array) -> Array:
        """Logits (..., contexts, vocabulary) of the next token."""

    @abstractmethod
    def back(self, params: Array, by_logits: Array) -> Array:
        """Derivative by the parameters, (..., P), of one by the logits, multipliers included."""

    def token_log_probs(self, params: Array | None = None) -> Array:
        """Log-probability of each token under its context, (..., K, T)."""
        rows = log_softmax(self.context_logits(self.start(params)))
        return rows[..., self.positions, self.tokens] * self._like(self.mask, rows)

    def direction(self, params: Array, pushes: Array) -> Array:
        """Pushes gathered at their context's logits, less ``pi`` times their sum, taken back."""
        policy = array_namespace(params).exp(log_softmax(self.context_logits(params)))
        pushed = self._gather(pushes * self._like(self.mask, pushes))
        return self.back(params, pushed - policy * pushed.sum(-1)[..., None])

    def residuals(self, params: Array | None = None) -> np.ndarray:
        """``e_token - pi(context)`` for every token of every response, (..., K T, vocabulary)."""
        policy = np.exp(log_softmax(self.context_logits(np.asarray(self.start(params)))))
        residuals = np.eye(self.vocabulary)[self.tokens] - policy[..., self.positions, :]
        residuals = residuals * self.mask[..., None]
        return residuals.reshape(*residuals.shape[:-3], self.mask.size, self.vocabulary)

    def log_sum_p2(self, params: Array | None = None) -> Array:
        """``log sum_v pi(v)^2`` at the context of each token, (..., K, T); 0 where padded."""
        rows = log_softmax(self.context_logits(self.start(params)))
        xp = array_namespace(rows)
        top = xp.max(rows, axis=-1, keepdims=True)
        total = 2 * top + xp.log(xp.sum(xp.exp(2 * (rows - top)), axis=-1, keepdims=True))
        return total[..., 0][..., self.positions] * self._like(self.mask, rows)

    def _gather(self, pushes: Array) -> Array:
        """Pushes (..., K, T), summed where they meet, as (..., contexts, vocabulary)."""
        index = (self.positions * self.vocabulary + self.tokens).reshape(-1)
        flat = pushes.reshape(*pushes.shape[:-2], index.size)
        size = self.n_contexts * self.vocabulary
        if isinstance(pushes, np.ndarray):
            total = np.zeros((*flat.shape[:-1], size))
            np.add.at(total, (slice(None),) * (flat.ndim - 1) + (index,), flat)
        else:
            total = flat.new_zeros((*flat.shape[:-1], size))
            total = total.index_add(-1, flat.new_tensor(index).long(), flat)
        return total.reshape(*flat.shape[:-1], self.n_contexts, self.vocabulary)

    @staticmethod
    def _like(constant: np.ndarray, x: Array) -> Array:
        return constant if isinstance(x, np.ndarray) else x.new_tensor(constant)


def checked_responses(
    responses: Any, prompts: Any, vocabulary: int
) -> tuple[list[tuple[int, ...]], np.ndarray]:
    """Responses as tuples of token numbers and the prompt of each, or one clear sentence."""
    try:
        found = [tuple(operator.index(token) for token in response) for response in responses]
    except (TypeError, ValueError):
        raise InputError(
            "responses is not a list of token sequences, such as [(0, 3), (1,)]."
        ) from None
    if not found:
        raise InputError("responses is empty: give at least one sequence of tokens.")
    for i, response in enumerate(found):
        bad = [token for token in response if not 0 <= token < vocabulary]
        if not response or bad:
            what = f"has token {bad[0]}" if bad else "is empty"
            raise InputError(
                f"responses[{i}] {what}: give tokens from 0 to {vocabulary - 1}, at least one."
            )
    numbers = np.zeros(len(found), int) if prompts is None else np.asarray(prompts)
    if numbers.shape != (len(found),) or numbers.dtype.kind not in "iu" or np.any(numbers < 0):
        raise InputError(
            f"prompts is {prompts!r}: give one whole number of at least 0 per response, "
            f"{len(found)} in all."
        )
    seen = {}
    for i, key in enumerate(zip(numbers.tolist(), found, strict=True)):
        if key in seen:
            raise InputError(f"responses[{i}] is responses[{seen[key]}] again: give each once.")
        seen[key] = i
    return found, numbers
