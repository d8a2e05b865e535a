"""Rounds that are only partly executed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn._inputs import common_shape, share
from prefdyn.rules._certificates import Certificate
from prefdyn.rules._mixed_reference_sampling import DrivenRule
from prefdyn.rules._rule import Jacobian, Rule, like
from prefdyn.rules._wrapper import Wrapper

Array = Any


@dataclass(eq=False)
class Inexact(Wrapper):
    r"""Move only a fraction kappa of each round: :math:`x' = x + \kappa\,(F(x) - x)` (RND-1).

    Under-training a round is such a step; for MRS-IPO and MRS-DPO it is an exact round with
    ``alpha_eff = 1 - kappa (1 - alpha)`` and ``beta_eff = beta / kappa``.

    Parameters
    ----------
    rule
        Any rule.
    kappa
        Fraction in (0, 1]; may be an array, which broadcasts.
    """

    rule: Rule
    kappa: ArrayLike

    def __post_init__(self):
        self.kappa = share(self.kappa, "kappa")
        if np.any(self.kappa == 0):
            raise InputError(
                "kappa is 0: a round that moves nothing has no dynamics; give kappa > 0."
            )
        common_shape(rule=self.rule.batch_shape, kappa=self.kappa.shape)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Common shape of the wrapped rule's parameters and kappa."""
        return np.broadcast_shapes(self.rule.batch_shape, np.shape(self.kappa))

    def init_log(self, log_policy: Array) -> Array:
        """As the wrapped rule, broadcast against kappa."""
        return self.spread(self.rule.init_log(log_policy))

    def certificates(self) -> tuple[Certificate, ...]:
        """Those of the exact rule with ``alpha_eff`` and ``beta_eff`` (RND-1), for driven rules."""
        if not isinstance(self.rule, DrivenRule):
            return ()
        kappa = np.asarray(self.kappa)
        alpha, beta = 1 - kappa * (1 - np.asarray(self.rule.alpha)), self.rule.beta / kappa
        return self.rule.replace(alpha=alpha, beta=beta).certificates()

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """A fraction kappa of the wrapped rule's step."""
        kappa = like(np.asarray(self.kappa)[..., None], state)
        return state + kappa * (self.rule.step(state, t, rng) - state)

    def jacobian(self, state: Array) -> Jacobian:
        """``(1 - kappa) I + kappa DF``."""
        inner = self.rule.jacobian(state)
        kappa = np.asarray(self.kappa)[..., None, None]
        return Jacobian((1 - kappa) * np.eye(state.shape[-1]) + kappa * inner.matrix, inner.by)
