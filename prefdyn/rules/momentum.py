"""Rounds with memory: heavy-ball momentum on the logits or parameters."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn._inputs import share
from prefdyn.rules._rule import Jacobian, LogitRule, like
from prefdyn.rules._two_halves import TwoHalves, block_jacobian, halves, joined
from prefdyn.rules.gradient_step import GradientStep

Array = Any


@dataclass(eq=False)
class Momentum(TwoHalves):
    r"""Heavy-ball momentum around a rule on logits, or around gradient descent on parameters.

    .. math:: \theta_{t+1} = F(\theta_t) + m\,(\theta_t - \theta_{t-1})

    The state is ``(theta_t, theta_{t-1})``; it starts at rest.  Around `GradientStep` it is
    ``torch.optim.SGD`` with ``momentum=m``.  A multiplier x of the wrapped rule becomes the two
    roots of ``z^2 - (x + m) z + m = 0``.

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

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """The wrapped rule's step plus m times the last move."""
        now, before = halves(state)
        momentum = like(np.asarray(self.momentum)[..., None], state)
        return joined(self.rule.step(now, t, rng) + momentum * (now - before), now)

    def jacobian(self, state: Array) -> Jacobian:
        """``[[DF + m I, -m I], [I, 0]]``."""
        inner = self.rule.jacobian(halves(state)[0])
        identity = np.eye(inner.matrix.shape[-1])
        pull = np.asarray(self.momentum)[..., None, None] * identity
        return block_jacobian([[inner.matrix + pull, -pull], [identity, 0 * identity]], inner.by)
