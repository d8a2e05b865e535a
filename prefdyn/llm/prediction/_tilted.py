"""Candidates that exclude each other, and all other responses as one more."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn.policies.kernel import LinearisedPolicy


@dataclass(frozen=True, eq=False)
class TiltedPolicy(LinearisedPolicy):
    r"""A model linearised in its unnormalised log-probabilities.

    .. math:: \log\pi_i = \log\pi_i(0) + \langle g_i, x\rangle
              - \log\sum_j \pi_j(0)\, e^{\langle g_j, x\rangle}

    The sum runs over a prompt's candidates and over the rest of all responses, whose gradient is
    known because probabilities sum to 1: :math:`g_{rest} = -\sum_i \pi_i g_i / \pi_{rest}`.  To
    first order it is the linearised policy itself; but its probabilities never exceed 1, and its
    kernel follows them, as that of a table does (claims KER-3, KER-5).  Made by `tilted`.
    """

    def __post_init__(self):
        super().__post_init__()
        set_, starts = object.__setattr__, np.exp(self.start_tokens)  # pyright: ignore
        numbers = np.unique(self.prompts)
        member = self.prompts == numbers[:, None]  # (prompts, K)
        rest = 1 - member @ starts
        set_(self, "_member", np.concatenate([member, np.eye(len(numbers), dtype=bool)], 1))
        set_(self, "_logits", np.concatenate([self.start_tokens, np.log(rest)]))  # pyright: ignore
        set_(
            self,
            "_rows",
            np.concatenate([self.rows, -(member * starts) @ self.rows / rest[:, None]]),
        )

    def token_log_probs(self, params: Any = None) -> np.ndarray:
        """Log-probabilities of the candidates, (..., K, 1)."""
        return self._all(self.start(params))[..., : self.K, None]

    def direction(self, params: Any, pushes: np.ndarray) -> np.ndarray:
        """``sum_i pushes_i (g_i - mean of g)``, (..., P)."""
        member: Any = self._member  # pyright: ignore[reportAttributeAccessIssue]
        flat = pushes[..., 0]
        total = flat @ member[:, : self.K].T
        weights = -(total @ member) * np.exp(self._all(params))
        weights[..., : self.K] += flat
        return weights @ self._rows  # pyright: ignore[reportAttributeAccessIssue]

    def _all(self, x: Any) -> np.ndarray:
        """Log-probabilities (..., K + prompts), the rests at the end."""
        member: Any = self._member  # pyright: ignore[reportAttributeAccessIssue]
        z = self._logits + (self._rows @ x[..., None])[..., 0]  # pyright: ignore
        among = np.where(member, z[..., None, :], -np.inf)
        return z - np.logaddexp.reduce(among, axis=-1) @ member


def held_at_one(log_probs: ArrayLike, change: ArrayLike) -> np.ndarray:
    r"""A linear prediction of changes (..., K) with the sum of all probabilities held at 1.

    It subtracts :math:`\log(\sum_i \pi_i e^{\Delta_i} + \pi_{rest} e^{-\sum_i \pi_i \Delta_i /
    \pi_{rest}})`, the same for all responses, to one prompt: under an objective of margins alone
    this is all that a `TiltedPolicy` predicts otherwise.
    """
    starts, change = np.exp(np.asarray(log_probs, dtype=float)), np.asarray(change, dtype=float)
    rest = 1 - starts.sum()
    drift = -(change @ starts) / rest
    all_ = np.concatenate([change, drift[..., None]], axis=-1)
    weights = np.log(np.append(starts, rest))
    return change - np.logaddexp.reduce(weights + all_, axis=-1)[..., None]


def tilted(
    log_probs: ArrayLike, gram: ArrayLike, gradients: ArrayLike | None, **common: Any
) -> TiltedPolicy:
    """The policy of log-probabilities (K,) and gradients (K, P), or any square root of the Gram.

    Raises
    ------
    InputError
        If the candidates leave nothing to the rest.
    """
    starts, prompts = np.exp(np.asarray(log_probs, dtype=float)), common["prompts"]
    for p in np.unique(prompts):
        total = starts[prompts == p].sum()
        if total >= 1 - 1e-9:
            raise InputError(
                f"The responses to prompt {p} have a total probability of {total:g}, which leaves "
                "nothing to others: predict with normalised=False, or leave out some of them."
            )
    if gradients is None:
        values, vectors = np.linalg.eigh(np.asarray(gram, dtype=float))
        rows = vectors * np.sqrt(values.clip(min=0))
    else:
        rows = np.asarray(gradients, dtype=float)
    return TiltedPolicy(log_probs, gram, rows=rows, scaled=rows, **common)
