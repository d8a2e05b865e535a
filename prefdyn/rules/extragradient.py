"""Rounds that look ahead: a trial round first, then the round as seen from there."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn.policies.softmax import centre
from prefdyn.rules._carried import carried, check_on_logits, pull, pull_jacobian
from prefdyn.rules._rule import Jacobian, LogitRule, like
from prefdyn.rules._wrapper import Wrapper
from prefdyn.rules.inexact import Inexact

Array = Any


@dataclass(eq=False)
class Extragradient(Wrapper):
    r"""Extragradient: pull towards what is best against the policy of the next round (CURE-3).

    .. math:: \hat\theta = F(\theta_t), \qquad
              \theta_{t+1} = a\,\theta_t + H(\hat\theta),
              \qquad F(\theta) = a\,\theta + H(\theta)

    with F the wrapped rule's round and a the share of the logits it carries over: ``alpha`` for MRS
    rules, whose drive is thus taken at the half step (arXiv 2503.08942 does so for ``lam = 1``); 1
    for other rules, which is Korpelevich's method on their displacement.  Fixed points stay; where
    F is not one to one, new ones may appear, where F leads to an old one.
    Two evaluations of F per round, no memory.

    A multiplier x = a + g of the wrapped rule becomes ``a + g x``.

    Parameters
    ----------
    rule
        A rule whose state is the logits, or `Inexact` around one.

    Examples
    --------
    >>> from prefdyn import MRSIPO, games, stability
    >>> plain = MRSIPO(games.rock_paper_scissors(0.4), beta=0.3, alpha=0.9, lam=1.0)
    >>> [round(stability(rule).spectral_radius, 2) for rule in (plain, Extragradient(plain))]
    [1.18, 0.76]
    """

    rule: LogitRule | Inexact

    def __post_init__(self):
        check_on_logits(self.rule, "Extragradient")

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """The share carried over, plus the pull at the half step."""
        share = like(carried(self.rule)[..., None], state)
        half = self.rule.step(state, t, rng)
        return centre(share * state + pull(self.rule, half, t, rng))

    def jacobian(self, state: Array) -> Jacobian:
        """``a I + DH(F(theta)) DF(theta)``."""
        inner = self.rule.jacobian(state)
        share, slope, _ = pull_jacobian(self.rule, self.rule.step(state, 0, None))
        return Jacobian(share + slope @ inner.matrix, inner.by)
