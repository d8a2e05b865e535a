"""Rounds with memory: heavy-ball momentum on the logits."""

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
class Momentum(Wrapper):
    r"""Heavy-ball momentum around a rule on logits.

    .. math:: \theta_{t+1} = F(\theta_t) + m\,(\theta_t - \theta_{t-1})

    The state is ``(theta_t, theta_{t-1})``, 2K numbers; it starts at rest.  A multiplier x of the
    wrapped rule becomes the two roots of ``z^2 - (x + m) z + m = 0``.

    Parameters
    ----------
    rule
        A rule whose state is the logits.
    momentum
        m in [0, 1); may be an array, which broadcasts.
    """

    rule: LogitRule
    momentum: ArrayLike

    def __post_init__(self):
        if not isinstance(self.rule, LogitRule):
            raise InputError(f"Momentum needs a rule on logits, not {type(self.rule).__name__}.")
        self.momentum = share(self.momentum, "momentum")
        if np.any(self.momentum == 1):
            raise InputError("momentum is 1: without any friction nothing settles; give less.")

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Common shape of the wrapped rule's parameters and the momentum."""
        return np.broadcast_shapes(self.rule.batch_shape, np.shape(self.momentum))

    @property
    def neutral(self) -> np.ndarray:
        """The all-ones direction of either half."""
        return np.kron(np.eye(2), self.rule.neutral)

    def init_log(self, log_policy: Array) -> Array:
        """At rest: both halves are the start."""
        theta = self.rule.init_log(log_policy)
        shape = np.broadcast_shapes(self.batch_shape, theta.shape[:-1])
        theta = np.broadcast_to(theta, (*shape, self.K))
        return np.concatenate([theta, theta], axis=-1)

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """The wrapped rule's step plus m times the last move."""
        now, before = state[..., : self.K], state[..., self.K :]
        momentum = like(np.asarray(self.momentum)[..., None], state)
        following = self.rule.step(now, t, rng) + momentum * (now - before)
        if isinstance(state, np.ndarray):
            return np.concatenate([following, now], axis=-1)
        import torch

        return torch.cat([following, now], dim=-1)

    def log_policy(self, state: Array) -> Array:
        """``log_softmax`` of the newer half."""
        return log_softmax(state[..., : self.K])

    def jacobian(self, state: Array) -> Jacobian:
        """``[[DF + m I, -m I], [I, 0]]``."""
        inner = self.rule.jacobian(state[..., : self.K])
        momentum = np.asarray(self.momentum)[..., None, None]
        identity = np.broadcast_to(np.eye(self.K), (inner.matrix + momentum).shape)
        top = np.concatenate([inner.matrix + momentum * identity, -momentum * identity], -1)
        bottom = np.concatenate([identity, 0 * identity], -1)
        return Jacobian(np.concatenate([top, bottom], axis=-2), inner.by)
