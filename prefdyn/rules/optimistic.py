"""Rounds that anticipate: optimism, the last change of the drive counted once more."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._inputs import common_shape, finite
from prefdyn.policies.softmax import centre
from prefdyn.rules._carried import carried, check_on_logits, pull, pull_jacobian
from prefdyn.rules._rule import Jacobian, LogitRule, like
from prefdyn.rules._two_halves import TwoHalves, block_jacobian, halves, joined
from prefdyn.rules.inexact import Inexact

Array = Any


@dataclass(eq=False)
class Optimistic(TwoHalves):
    r"""Optimism: extrapolate what a round pulls towards (claims CURE-2 and CURE-6).

    .. math:: \theta_{t+1} = a\,\theta_t + (1 + m) H(\theta_t) - m H(\theta_{t-1}),
              \qquad F(\theta) = a\,\theta + H(\theta)

    with F the wrapped rule's round and a the share of the logits it carries over: ``alpha`` for MRS
    rules, so that for MRS-IPO and MRS-DPO the drive of round t becomes
    ``(1 + m) drive(mu_t) - m drive(mu_(t-1))``; 1 for other rules, whose whole displacement is
    extrapolated.  Fixed points stay.  One evaluation of F per round; the last pull is remembered.
    The idea is Popov's and that of optimistic mirror descent (arXiv 1311.1869), this form on logits
    is ours.

    The state is ``(theta_t, H(theta_(t-1)))``; it starts at rest, so that the first round is plain.
    A multiplier x = a + g of the wrapped rule becomes the two roots of
    ``z^2 - (a + (1 + m) g) z + m g = 0``.

    Parameters
    ----------
    rule
        A rule whose state is the logits, or `Inexact` around one: smaller rounds and optimism work
        best together.
    strength
        m; 1 is the usual optimism, 0 the plain rule, -1/2 the mean of the last two pulls.  May be
        an array, which broadcasts.

    Examples
    --------
    >>> from prefdyn import MRSIPO, Inexact, games, stability
    >>> plain = MRSIPO(games.rock_paper_scissors(0.4), beta=0.1, alpha=0.9, lam=1.0)
    >>> cured = Optimistic(Inexact(plain, 0.2))
    >>> [round(stability(rule).spectral_radius, 2) for rule in (plain, cured)]
    [2.48, 0.79]
    """

    rule: LogitRule | Inexact
    strength: ArrayLike = 1.0

    def __post_init__(self):
        check_on_logits(self.rule, "Optimistic")
        self.strength = finite(self.strength, "strength")
        common_shape(rule=self.rule.batch_shape, strength=self.strength.shape)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Common shape of the wrapped rule's parameters and the strength."""
        return np.broadcast_shapes(self.rule.batch_shape, np.shape(self.strength))

    def _at_rest(self, inner: Array) -> Array:
        inner = self.spread(inner)
        # Of a rule that draws votes, the pull in the limit of many: a start is not drawn.
        certain = self.rule.skeleton if self.rule.stochastic else self.rule
        return joined(inner, pull(certain, inner, 0, None))

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """The share carried over, plus the extrapolated pull."""
        now, before = halves(state)
        share = like(carried(self.rule)[..., None], state)
        strength = like(np.asarray(self.strength)[..., None], state)
        present = pull(self.rule, now, t, rng)
        # Centred, because rounding along the neutral direction would be extrapolated too.
        return joined(centre(share * now + present + strength * (present - before)), present)

    def jacobian(self, state: Array) -> Jacobian:
        """``[[a I + (1 + m) DH, -m I], [DH, 0]]``."""
        share, slope, by = pull_jacobian(self.rule, halves(state)[0])
        strength = np.asarray(self.strength)[..., None, None]
        remembered = -strength * np.eye(slope.shape[-1])
        blocks = [[share + (1 + strength) * slope, remembered], [slope, 0 * slope]]
        return block_jacobian(blocks, by)
