"""Rounds with memory: heavy-ball momentum on the logits or parameters."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn._inputs import share
from prefdyn.rules._rule import Jacobian, LogitRule, like
from prefdyn.rules._wrapper import Wrapper
from prefdyn.rules.gradient_step import GradientStep

Array = Any


@dataclass(eq=False)
class Momentum(Wrapper):
    r"""Heavy-ball momentum around a rule on logits, or around gradient descent on parameters.

    .. math:: \theta_{t+1} = F(\theta_t) + m\,(\theta_t - \theta_{t-1})

    The state is ``(theta_t, theta_{t-1})``; it starts at rest.  Around `GradientStep` it is
    ``torch.optim.SGD`` with ``momentum=m``.  A multiplier x of the
    wrapped rule becomes the two roots of ``z^2 - (x + m) z + m = 0``.

    Parameters
    ----------
    rule
        A rule whose state is the logits, or a `GradientStep` without optimiser of an objective
        without running statistics.
    momentum
        m in [0, 1); may be an array, which broadcasts.
    """

    rule: LogitRule | GradientStep
    momentum: ArrayLike

    def __post_init__(self):
        plain = isinstance(self.rule, GradientStep) and len(self.rule.own_start.T) == self.rule.size
        if not (isinstance(self.rule, LogitRule) or plain):
            raise InputError(
                f"Momentum needs a rule on logits, or a GradientStep without optimiser and without "
                f"running statistics: this {type(self.rule).__name__} is neither."
            )
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
        return self._at_rest(self.rule.init_log(log_policy))

    @property
    def own_start(self) -> Array | None:
        """At rest at the wrapped rule's own start, if it has one."""
        own = self.rule.own_start
        return None if own is None else self._at_rest(own)

    def _at_rest(self, theta: Array) -> Array:
        theta = self.spread(theta)
        return np.concatenate([theta, theta], axis=-1)

    def _halves(self, state: Array) -> tuple[Array, Array]:
        half = state.shape[-1] // 2
        return state[..., :half], state[..., half:]

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """The wrapped rule's step plus m times the last move."""
        now, before = self._halves(state)
        momentum = like(np.asarray(self.momentum)[..., None], state)
        following = self.rule.step(now, t, rng) + momentum * (now - before)
        if isinstance(state, np.ndarray):
            return np.concatenate([following, now], axis=-1)
        import torch

        return torch.cat([following, now], dim=-1)

    def log_policy(self, state: Array) -> Array:
        """That of the newer half."""
        return self.rule.log_policy(self._halves(state)[0])

    def jacobian(self, state: Array) -> Jacobian:
        """``[[DF + m I, -m I], [I, 0]]``."""
        inner = self.rule.jacobian(self._halves(state)[0])
        momentum = np.asarray(self.momentum)[..., None, None]
        identity = np.broadcast_to(np.eye(inner.matrix.shape[-1]), (inner.matrix + momentum).shape)
        top = np.concatenate([inner.matrix + momentum * identity, -momentum * identity], -1)
        bottom = np.concatenate([identity, 0 * identity], -1)
        return Jacobian(np.concatenate([top, bottom], axis=-2), inner.by)
