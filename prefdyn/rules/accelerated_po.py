"""Rounds that are extrapolated: accelerated preference optimisation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn._inputs import share
from prefdyn.rules._rule import Jacobian, LogitRule, like
from prefdyn.rules._two_halves import TwoHalves, block_jacobian, halves, joined

Array = Any


@dataclass(eq=False)
class AcceleratedPO(TwoHalves):
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

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """The wrapped rule's optimum, and the extrapolation beyond it."""
        now, before = halves(state)
        alpha = like(np.asarray(self.alpha)[..., None], state)
        optimum = self.rule.step(now, t, rng)
        return joined(optimum + alpha * (optimum - before), optimum)

    def jacobian(self, state: Array) -> Jacobian:
        """``[[(1 + a) DF, -a I], [DF, 0]]``."""
        inner = self.rule.jacobian(halves(state)[0])
        alpha, slope = np.asarray(self.alpha)[..., None, None], inner.matrix
        identity = np.eye(slope.shape[-1])
        blocks = [[(1 + alpha) * slope, -alpha * identity], [slope, 0 * slope]]
        return block_jacobian(blocks, inner.by)
