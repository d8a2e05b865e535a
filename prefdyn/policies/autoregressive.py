"""Every sequence of a small vocabulary, token after token."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn._inputs import count
from prefdyn.policies._contexts import ContextPolicy
from prefdyn.policies._policy import numbers

Array = Any

MOST_SEQUENCES = 100_000
"""Sequences that are still enumerated; beyond, sampling would be the tool."""


@dataclass(frozen=True, eq=False)
class Autoregressive(ContextPolicy):
    r"""A table of next-token logits per context; all sequences, by exact enumeration.

    ``log pi(y) = sum_t log softmax(logits[context_t])[y_t]``; the context of a token is the last
    `order` tokens before it, the prompt counting as the token before the first.  The token Gram is
    :math:`1[\text{same context}]\,\langle e_y - \pi, e_z - \pi\rangle`: with the whole prefix as
    context responses interact through shared prefixes alone, with a short one everywhere.

    Parameters
    ----------
    vocabulary
        Number of tokens.
    length
        Length of the longest sequence.
    order
        Number of tokens of a context; None for the whole prefix, 0 for one table everywhere.
    eos
        Token that ends a sequence early; None gives sequences of one length.
    n_prompts
        Number of prompts, each with all sequences.
    logits
        Start logits (contexts, vocabulary) in the order of `contexts`; 0 by default.

    Raises
    ------
    InputError
        For more than 100,000 sequences, an unknown eos, or logits of another shape.
    """

    vocabulary: int
    length: int
    order: int | None = None
    eos: int | None = None
    n_prompts: int = 1
    logits: ArrayLike | None = None
    contexts: list[tuple] = field(init=False, repr=False)
    """The contexts, in the order of the rows of `logits`."""

    def __post_init__(self):
        count(self.vocabulary, "vocabulary", least=2)
        for name, least in (("length", 1), ("n_prompts", 1), ("order", 0)):
            if name != "order" or self.order is not None:
                count(getattr(self, name), name, least=least)
        if self.eos is not None and self.eos not in range(self.vocabulary):
            raise InputError(
                f"eos is {self.eos!r}: give a token from 0 to {self.vocabulary - 1}, or None."
            )
        if self.n_prompts * self.vocabulary**self.length > MOST_SEQUENCES:
            raise InputError(
                f"{self.vocabulary} tokens and length {self.length} make more than "
                f"{MOST_SEQUENCES:,} sequences: take fewer tokens or a shorter length."
            )
        sequences = self._sequences()
        responses = sequences * self.n_prompts
        prompts = np.repeat(np.arange(self.n_prompts), len(sequences))
        found = {
            self.context(prompt, response[:t]): None
            for prompt, response in zip(prompts.tolist(), responses, strict=True)
            for t in range(len(response))
        }
        object.__setattr__(self, "contexts", list(found))
        shape = (len(found), self.vocabulary)
        logits = np.zeros(shape) if self.logits is None else self.logits
        logits = numbers(logits, "logits", f"one row per context, {shape}", 2)
        if logits.shape != shape:
            raise InputError(f"logits has shape {logits.shape}: give one row per context, {shape}.")
        object.__setattr__(self, "params", logits.reshape(-1))
        self._set_layout(list(found), responses, prompts, of=self.context)

    def context(self, prompt: int, prefix: tuple[int, ...]) -> tuple:
        """The last `order` of (prompt, tokens so far), the prompt as ``("prompt", number)``."""
        whole = (("prompt", int(prompt)), *prefix)
        return whole if self.order is None else whole[len(whole) - min(self.order, len(whole)) :]

    def index(self, response: tuple[int, ...], prompt: int = 0) -> int:
        """Number of a response.

        Raises
        ------
        InputError
            If there is no such sequence.
        """
        own = np.flatnonzero(self.prompts == prompt)
        wanted = tuple(response) if isinstance(response, Iterable) else response
        for i in own:
            if self.responses[i] == wanted:
                return int(i)
        raise InputError(
            f"{wanted} is no response to prompt {prompt}: sequences have {self.length} "
            f"tokens{'' if self.eos is None else f', or fewer and end with {self.eos}'}."
        )

    def _sequences(self) -> list[tuple[int, ...]]:
        """All sequences: of full length, or ended by the first eos."""
        found = []
        for length in range(1, self.length + 1):
            for sequence in product(range(self.vocabulary), repeat=length):
                ended = sequence[-1] == self.eos
                if self.eos not in sequence[:-1] and (ended or length == self.length):
                    found.append(sequence)
        return found

    @property
    def neutral(self) -> np.ndarray:
        """The all-ones direction of each context's logits."""
        return np.kron(np.eye(self.n_contexts), np.ones((self.vocabulary, 1)))

    def context_logits(self, params: Array) -> Array:
        """The parameters, context by context."""
        return params.reshape(*params.shape[:-1], self.n_contexts, self.vocabulary)

    def back(self, params: Array, by_logits: Array) -> Array:
        """The same numbers in one row."""
        return by_logits.reshape(*by_logits.shape[:-2], -1)

    def token_gram(self, params: Array | None = None) -> np.ndarray:
        """Inner products of residuals that share a context, (..., K, T, K, T)."""
        residuals, at = self.residuals(params), self.positions.reshape(-1)
        gram = residuals @ np.swapaxes(residuals, -1, -2) * (at[:, None] == at)
        return gram.reshape(*gram.shape[:-2], *self.mask.shape, *self.mask.shape)
