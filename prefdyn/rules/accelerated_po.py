"""Rounds that are extrapolated: accelerated preference optimisation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn._inputs import share
from prefdyn.policies.softmax import log_softmax
from prefdyn.rules._rule import Jacobian, LogitRule, like
from prefdyn.rules._wrapper import Wrapper

Array = Any


@dataclass(eq=False)
class AcceleratedPO(Wrapper):
    r"""Nesterov's extrapolation from optimum to optimum (arXiv 2410.06293).

    .. math:: \hat\theta_{t+1} = F(\theta_t), \qquad
              \theta_{t+1} = \hat\theta_{t+1} + a\,(\hat\theta_{t+1} - \hat\theta_t),
              \qquad \hat\theta_0 = \theta_0

    that is :math:`\pi_{t+1} \propto \hat\pi_{t+1} (\hat\pi_{t+1}/\hat\pi_t)^a`.  In the paper the
    inner optimum is regularised towards the current policy: wrap ``MRS(..., alpha=1)`` or one of
    its specialisations.  Where every such round adds ``r/beta`` to the logits (a Bradley-Terry
    game) the accelerated ones tend to add ``(r/beta)/(1 - a)``; a = 0 is the plain iteration.  The
    idea is the paper's, this form on logits was reconstructed.

    The state is ``(theta_t, hat theta_t)``, 2K numbers.  A multiplier x of the wrapped rule becomes
    the two roots of ``z^2 - (1 + a) x z + a x = 0``.

    Parameters
    ----------
    rule
        A rule whose state is the logits: the inner optimum as a function of the current policy.
    alpha
        a in [0, 1); may be an array, which broadcasts.  The wrapped rule's own ``alpha`` is
        ``"rule.alpha"``.
    """

    rule: LogitRule
    alpha: ArrayLike = 0.3

    def __post_init__(self):
        if not isinstance(self.rule, LogitRule):
            raise InputError(
                f"AcceleratedPO needs a rule on logits, not {type(self.rule).__name__}."
            )
        self.alpha = share(self.alpha, "alpha")
        if np.any(self.alpha == 1):
            raise InputError("alpha is 1: extrapolation without friction runs off; give less.")

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Common shape of the wrapped rule's parameters and alpha."""
        return np.broadcast_shapes(self.rule.batch_shape, np.shape(self.alpha))

    @property
    def neutral(self) -> np.ndarray:
        """The all-ones direction of either half."""
        return np.kron(np.eye(2), self.rule.neutral)

    def init_log(self, log_policy: Array) -> Array:
        """Policy and last optimum are both the start."""
        theta = self.spread(self.rule.init_log(log_policy))
        return np.concatenate([theta, theta], axis=-1)

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """The wrapped rule's optimum, and the extrapolation beyond it."""
        now, before = state[..., : self.K], state[..., self.K :]
        alpha = like(np.asarray(self.alpha)[..., None], state)
        optimum = self.rule.step(now, t, rng)
        following = optimum + alpha * (optimum - before)
        if isinstance(state, np.ndarray):
            return np.concatenate([following, optimum], axis=-1)
        import torch

        return torch.cat([following, optimum], dim=-1)

    def log_policy(self, state: Array) -> Array:
        """``log_softmax`` of the extrapolated half."""
        return log_softmax(state[..., : self.K])

    def jacobian(self, state: Array) -> Jacobian:
        """``[[(1 + a) DF, -a I], [DF, 0]]``."""
        inner = self.rule.jacobian(state[..., : self.K])
        alpha = np.asarray(self.alpha)[..., None, None]
        slope, identity = inner.matrix + 0 * alpha, np.eye(self.K)
        top = np.concatenate([(1 + alpha) * slope, -alpha * identity + 0 * slope], -1)
        bottom = np.concatenate([slope, 0 * slope], -1)
        return Jacobian(np.concatenate([top, bottom], axis=-2), inner.by)
