"""Rounds with memory: heavy-ball momentum on the logits."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn.policies.softmax import log_softmax
from prefdyn.rules._rule import Jacobian, LogitRule
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
        m in [0, 1).
    """

    rule: LogitRule
    momentum: float

    def __post_init__(self):
        if not isinstance(self.rule, LogitRule):
            raise InputError(f"Momentum needs a rule on logits, not {type(self.rule).__name__}.")
        if not 0 <= self.momentum < 1:
            raise InputError(f"momentum is {self.momentum:g}: it must lie in [0, 1).")

    @property
    def neutral(self) -> np.ndarray:
        """The all-ones direction of either half."""
        return np.kron(np.eye(2), self.rule.neutral)

    def init_log(self, log_policy: Array) -> Array:
        """At rest: both halves are the start."""
        theta = self.rule.init_log(log_policy)
        return np.concatenate([theta, theta], axis=-1)

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """The wrapped rule's step plus m times the last move."""
        now, before = state[..., : self.K], state[..., self.K :]
        following = self.rule.step(now, t, rng) + self.momentum * (now - before)
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
        identity = np.broadcast_to(np.eye(self.K), inner.matrix.shape)
        top = np.concatenate(
            [inner.matrix + self.momentum * identity, -self.momentum * identity], -1
        )
        bottom = np.concatenate([identity, 0 * identity], -1)
        return Jacobian(np.concatenate([top, bottom], axis=-2), inner.by)
