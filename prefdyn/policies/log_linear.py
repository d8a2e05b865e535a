"""Logits linear in features that the responses share."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn.policies._policy import numbers
from prefdyn.policies._softmax_policy import SoftmaxPolicy
from prefdyn.policies.softmax import log_softmax

Array = Any


@dataclass(frozen=True, eq=False)
class LogLinear(SoftmaxPolicy):
    r"""``log pi_i = theta . phi_i + offset_i - log Z``, one theta for all prompts.

    The Gram matrix is :math:`K_{ij} = \langle\phi_i - \bar\phi, \phi_j - \bar\phi\rangle` with
    :math:`\bar\phi = \sum_k\pi_k\phi_k` of the response's own prompt (claim KER-3); a step on one
    prompt moves the others.

    Parameters
    ----------
    features
        phi, (k, d) of one prompt or (prompts, k, d).
    theta
        Start parameters (d,); 0 by default.
    offset
        Fixed logits (k,) or (prompts, k); 0 by default.

    Raises
    ------
    InputError
        For shapes that do not fit, or a number that is not finite.
    """

    features: ArrayLike
    theta: ArrayLike | None = None
    offset: ArrayLike | None = None

    def __post_init__(self):
        features = numbers(self.features, "features", "features (k, d) or (prompts, k, d)", 2, 3)
        n_responses, d = features.shape[-2:]
        features = features.reshape(-1, n_responses, d)
        n_prompts = len(features)
        theta = np.zeros(d) if self.theta is None else self.theta
        theta = numbers(theta, "theta", f"{d} parameters, one per feature", 1)
        offset = np.zeros(features.shape[:2]) if self.offset is None else self.offset
        offset = np.atleast_2d(numbers(offset, "offset", "logits (k,) or (prompts, k)", 1, 2))
        if theta.shape != (d,) or offset.shape != features.shape[:2]:
            raise InputError(
                f"theta has shape {theta.shape} and offset {offset.shape}, which do not fit "
                f"features of {n_prompts} prompts, {n_responses} responses and {d} numbers each."
            )
        self._set_layout(n_prompts, n_responses)
        object.__setattr__(self, "params", theta)
        object.__setattr__(self, "_features", features)
        object.__setattr__(self, "_offset", offset)

    @property
    def neutral(self) -> np.ndarray:
        """Directions (d, m) along which the features of each prompt do not differ."""
        phi = self._features  # pyright: ignore[reportAttributeAccessIssue]
        differences = (phi - phi[:, :1]).reshape(-1, phi.shape[-1])
        _, scales, rows = np.linalg.svd(differences, full_matrices=len(differences) < phi.shape[-1])
        rank = int((scales > 1e-12 * scales.max(initial=1e-300)).sum())
        return rows[rank:].T

    def logits_at(self, params: Array) -> Array:
        """``features theta + offset``."""
        phi, offset = self._constants(params)
        # One flat product for all prompts: far faster than one small product for each.
        return self.by_prompt(params @ self._flat(phi).T) + offset

    def back(self, params: Array, by_logits: Array) -> Array:
        """``features^T`` times the derivative by the logits, summed over prompts."""
        phi, _ = self._constants(params)
        return self.by_response(by_logits) @ self._flat(phi)

    def gram(self, params: Array | None = None) -> np.ndarray:
        """Inner products of the centred features, (..., K, K)."""
        params = np.asarray(self.start(params))
        phi, _ = self._constants(params)
        policy = np.exp(log_softmax(self.logits_at(params)))
        centred = phi - policy[..., None, :] @ phi
        rows = centred.reshape(*centred.shape[:-3], self.K, phi.shape[-1])
        return rows @ np.swapaxes(rows, -1, -2)

    def _flat(self, phi: Array) -> Array:
        """Features as one row per response, (K, d)."""
        return phi.reshape(self.K, phi.shape[-1])

    def _constants(self, params: Array) -> tuple[Array, Array]:
        """Features (prompts, k, d) and offset (prompts, k) as the kind of array params is."""
        constants = (self._features, self._offset)  # pyright: ignore[reportAttributeAccessIssue]
        if isinstance(params, np.ndarray):
            return constants
        import torch

        return tuple(torch.tensor(value, dtype=params.dtype) for value in constants)  # pyright: ignore
