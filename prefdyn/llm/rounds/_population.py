"""The population loss of a round, as a function of the candidates' log-probabilities alone."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from prefdyn._errors import InputError
from prefdyn.objectives import Objective
from prefdyn.rules.mrs import every_pair

LONGEST_STEP = 2.0
"""Nats by which one Newton step moves a log-odds at most: where a loss is flat it would run off."""
FLAT = 1e-12
"""Curvatures below this share of the largest are rounding."""
ROUNDING = 1e-12
"""Slopes below this are rounding; a steeper one without curvature (a hinge) is followed."""


class Newton(NamedTuple):
    """Where a loss stands: its values, its slopes, and the way down.

    Attributes
    ----------
    loss
        Values (prompts,).
    gradient
        Derivatives (prompts, K) by the log-probabilities.
    step
        Newton's step (prompts, K), centred, no log-probability moving more than 2 nats.
    residual
        Largest entry (prompts,) of the step before it was shortened: the distance in nats that is
        left to the minimum, exact for a quadratic loss.
    """

    loss: np.ndarray
    gradient: np.ndarray
    step: np.ndarray
    residual: np.ndarray


@dataclass(frozen=True, eq=False)
class PopulationLoss:
    r"""What `prefdyn.rules.MRS` minimises in a round, prompt by prompt.

    .. math:: \sum_{ij}\mu_i\mu_j P_{ij}\,
              \ell(\log\pi_i, \log\pi_j;\ \log\mathrm{ref}_i, \log\mathrm{ref}_j)

    The policy is renormalised on the candidates, and each of them counts as one token.

    Parameters
    ----------
    objective
        From the shared loss core, with its beta set.
    win_probabilities
        P, (K, K) or (prompts, K, K).
    sampler
        mu, (prompts, K).
    log_reference
        The mixed reference as log-probabilities (prompts, K).
    """

    objective: Objective
    win_probabilities: np.ndarray
    sampler: np.ndarray
    log_reference: np.ndarray

    def __call__(self, log_probs: Tensor) -> Tensor:
        """Losses (prompts,) of log-probabilities (prompts, K); differentiable."""
        P, mu = (torch.tensor(x).to(log_probs) for x in (self.win_probabilities, self.sampler))
        pair = every_pair(
            self.objective,
            log_probs.log_softmax(-1),
            torch.tensor(self.log_reference).to(log_probs),
            (P @ mu[..., None])[..., 0],
        )
        weights = mu[..., :, None] * mu[..., None, :] * P
        return (weights * self.objective.loss(pair)).sum((-1, -2))

    def newton(self, log_probs: np.ndarray) -> Newton:
        """Newton's step from log-probabilities (prompts, K), downhill even where not convex.

        Raises
        ------
        InputError
            If the loss is not finite.
        """
        theta = torch.tensor(log_probs, dtype=torch.float64, requires_grad=True)
        loss = self(theta)
        options: dict[str, Any] = {"materialize_grads": True, "retain_graph": True}
        (slope,) = torch.autograd.grad(loss.sum(), theta, create_graph=True, **options)
        rows = [
            torch.autograd.grad(slope[:, k].sum(), theta, **options)[0]
            if slope.requires_grad
            else torch.zeros_like(theta)
            for k in range(theta.shape[-1])
        ]
        gradient, hessian = slope.detach().numpy(), torch.stack(rows, -2).numpy()
        if not np.all(np.isfinite(gradient)) or not np.all(np.isfinite(hessian)):
            raise InputError(
                "The loss of a round is not finite: the model's log-probabilities have run off, so "
                "lower the rate, or raise beta."
            )
        step = _descent(gradient, hessian)
        residual = np.abs(step).max(-1)
        shorter = np.minimum(1, LONGEST_STEP / np.maximum(residual, 1e-300))
        return Newton(loss.detach().numpy(), gradient, step * shorter[:, None], residual)


def _descent(gradient: np.ndarray, hessian: np.ndarray) -> np.ndarray:
    """Newton's step with every curvature taken positive, without the constant."""
    K = gradient.shape[-1]
    within = np.eye(K) - 1 / K
    curvature, directions = np.linalg.eigh(within @ (hessian + hessian.mT) / 2 @ within)
    size = np.abs(curvature)
    flat = size <= FLAT * size.max(-1, keepdims=True)
    along = (directions.mT @ (within @ gradient[..., None]))[..., 0]
    downhill = np.where(np.abs(along) > ROUNDING, LONGEST_STEP * np.sign(along), 0.0)
    along = np.where(flat, downhill, along / np.where(flat, 1.0, size))
    return -(directions @ along[..., None])[..., 0]
