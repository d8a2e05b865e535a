"""Unembeddings and hidden states, both free: the model of the displacement theorems."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn.policies._contexts import ContextPolicy, checked_responses
from prefdyn.policies._policy import numbers

Array = Any


@dataclass(frozen=True, eq=False)
class UnconstrainedFeatures(ContextPolicy):
    r"""``pi(v | context) = softmax(W h_context)_v`` with W and every h trainable.

    The setting of arXiv 2410.08847.  A context is a prompt with the tokens so far; responses that
    share a prefix share its hidden state.  The token Gram is (claim KER-3)

    .. math:: \kappa_W \langle e_y - \pi, e_z - \pi'\rangle\langle h, h'\rangle
              + \kappa_h 1[\text{same context}]\,\langle W^T(e_y - \pi), W^T(e_z - \pi)\rangle .

    Parameters
    ----------
    W
        Unembeddings (V, d), one row per token.
    h
        Hidden states: (d,) of one prompt or (prompts, d) for one-token responses; with `responses`
        one row per context, in the order of `contexts`.
    responses
        Token sequences; by default each of the V tokens is a response to each prompt.
    prompts
        Number of the prompt of each response; 0 by default.
    kappa_W, kappa_h
        Multipliers on the steps of W and of the hidden states; 0 freezes them.  Arrays are a batch.

    Raises
    ------
    InputError
        For shapes that do not fit, an unknown token, a response given twice, or a negative
        multiplier.
    """

    W: ArrayLike
    h: ArrayLike
    responses: Any = None
    prompts: Any = None
    kappa_W: ArrayLike = field(default=1.0, kw_only=True)
    kappa_h: ArrayLike = field(default=1.0, kw_only=True)

    def __post_init__(self):
        set_ = object.__setattr__
        W = numbers(self.W, "W", "unembeddings (V, d)", 2)
        h = np.atleast_2d(numbers(self.h, "h", "hidden states (d,) or (contexts, d)", 1, 2))
        vocabulary, d = W.shape
        responses, prompts = self.responses, self.prompts
        if responses is None:
            responses = [(v,) for _ in h for v in range(vocabulary)]
            prompts = np.repeat(np.arange(len(h)), vocabulary)
        responses, prompts = checked_responses(responses, prompts, vocabulary)
        contexts = self.contexts(responses, prompts)
        if h.shape != (len(contexts), d):
            raise InputError(
                f"h has shape {h.shape}: give one hidden state of {d} numbers for each of the "
                f"{len(contexts)} contexts, in the order of UnconstrainedFeatures.contexts."
            )
        for name in ("kappa_W", "kappa_h"):
            try:
                kappa = np.array(getattr(self, name), dtype=float)
            except (TypeError, ValueError):
                kappa = np.array(np.nan)
            if not np.all((kappa >= 0) & np.isfinite(kappa)):
                raise InputError(
                    f"{name} is {getattr(self, name)}: a step multiplier is a finite number >= 0."
                )
            set_(self, name, kappa)
        try:
            np.broadcast_shapes(np.shape(self.kappa_W), np.shape(self.kappa_h))
        except ValueError:
            raise InputError(
                f"kappa_W has shape {np.shape(self.kappa_W)} and kappa_h {np.shape(self.kappa_h)}: "
                "as one batch they must broadcast."
            ) from None
        set_(self, "W", W)
        set_(self, "h", h)
        set_(self, "params", np.concatenate([W.reshape(-1), h.reshape(-1)]))
        set_(self, "vocabulary", vocabulary)
        one_token = all(len(response) == 1 for response in responses)
        set_(self, "complete", one_token and len(responses) == len(contexts) * vocabulary)
        self._set_layout(contexts, responses, prompts, of=lambda prompt, prefix: (prompt, prefix))

    @staticmethod
    def contexts(
        responses: Sequence[Sequence[int]], prompts: ArrayLike | None = None
    ) -> list[tuple[int, tuple[int, ...]]]:
        """Every (prompt, prefix) that predicts a token, in order of first use."""
        of = np.zeros(len(responses), int) if prompts is None else np.asarray(prompts)
        if of.shape != (len(responses),):
            raise InputError(
                f"prompts has shape {of.shape}: give one number per response, {len(responses)} in "
                "all."
            )
        found = {
            (int(prompt), tuple(int(token) for token in response[:t])): None
            for prompt, response in zip(of, responses, strict=True)
            for t in range(len(response))
        }
        return list(found)

    @property
    def multipliers(self) -> np.ndarray:  # pyright: ignore[reportIncompatibleVariableOverride]
        """kappa_W for the entries of W, kappa_h for those of h, (..., P)."""
        kappa_W, kappa_h = np.broadcast_arrays(self.kappa_W, self.kappa_h)
        ones_W, ones_h = np.ones(np.size(self.W)), np.ones(np.size(self.h))
        return np.concatenate([kappa_W[..., None] * ones_W, kappa_h[..., None] * ones_h], axis=-1)

    @property
    def neutral(self) -> np.ndarray:
        """The same vector added to every row of W.

        Turning W one way and h the other leaves the log-probabilities alone too, but those
        directions depend on where the parameters are.
        """
        V, d = np.shape(self.W)
        return np.vstack([np.kron(np.ones((V, 1)), np.eye(d)), np.zeros((np.size(self.h), d))])

    def split(self, params: Array | None = None) -> tuple[Array, Array]:
        """``W (..., V, d)`` and ``h (..., contexts, d)`` of the parameters."""
        x = self.start(params)
        size, d = np.size(self.W), np.shape(self.W)[1]
        W, h = x[..., :size], x[..., size:]
        return W.reshape(*W.shape[:-1], -1, d), h.reshape(*h.shape[:-1], -1, d)

    def context_logits(self, params: Array) -> Array:
        """``h W^T``, (..., contexts, V)."""
        W, h = self.split(params)
        return h @ _transpose(W)

    def back(self, params: Array, by_logits: Array) -> Array:
        """``kappa_W g^T h`` for W and ``kappa_h g W`` for h, of the derivative g by the logits."""
        W, h = self.split(params)
        by_W, by_h = _transpose(by_logits) @ h, by_logits @ W
        xp = array_namespace(by_W)
        flat = [x.reshape(*x.shape[:-2], -1) for x in (by_W, by_h)]
        return xp.concat(flat, axis=-1) * self._like(self.multipliers, by_W)

    def token_gram(self, params: Array | None = None) -> np.ndarray:
        """The formula above for all pairs of tokens, (..., K, T, K, T)."""
        W, h = self.split(np.asarray(self.start(params)))
        residuals, at = self.residuals(params), self.positions.reshape(-1)
        states, by_state = h[..., at, :], residuals @ W
        kappa_W, kappa_h = (np.asarray(k)[..., None, None] for k in (self.kappa_W, self.kappa_h))
        gram = kappa_W * (residuals @ _transpose(residuals)) * (states @ _transpose(states))
        same = at[:, None] == at
        gram = gram + kappa_h * same * (by_state @ _transpose(by_state))
        return gram.reshape(*gram.shape[:-2], *self.mask.shape, *self.mask.shape)

    def hidden_states(self, response: int, params: Array | None = None) -> np.ndarray:
        """Hidden states (n, d) of the contexts that predict the response's tokens."""
        if not 0 <= response < self.K:
            raise InputError(f"response is {response}: there are 0 to {self.K - 1}.")
        _, h = self.split(np.asarray(self.start(params)))
        return h[..., self.positions[response, : int(self.lengths[response])], :]


def _transpose(x: Array) -> Array:
    return np.swapaxes(x, -1, -2) if isinstance(x, np.ndarray) else x.mT
