"""Gradient steps of online IPO on responses from a mixture with the reference."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._inputs import positive, share
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.policies.softmax import softmax
from prefdyn.rules._pair_gradient import (
    PairGradient,
    gaps,
    pairs_of,
    pushed,
    squared_error_push,
)
from prefdyn.rules._rule import like
from prefdyn.rules._votes import Votes
from prefdyn.rules.best_response import BestResponse

Array = Any


@dataclass(eq=False)
class IPOMD(PairGradient):
    r"""IPO-MD: online IPO whose two responses come from the mixture (arXiv 2403.08635; GAME-6).

    .. math:: L = \mathbb E_{y,y'\sim\mathrm{mix}}\big(u_y - u_{y'} - A_{yy'}/\tau\big)^2,
              \qquad \mathrm{mix} \propto \pi^{1-m}\,\mathrm{ref}^{m}

    with the mixture held fixed in the gradient
    ``4 mix_i [u_i - E_mix u - (A mix)_i/tau]``.  At rest the policy is the best response at tau to
    the mixture, and the mixture the equilibrium at temperature ``tau/(1 - m)``: the point where
    `NashMD` with ``eta tau = m`` and `NashMDPG` rest as well.  m = 0 is `OnlineIPO`.

    Parameters
    ----------
    game
        Who beats whom; a batch of games gives a batch of orbits.
    rate
        Learning rate, > 0; may be an array, which broadcasts.
    tau
        KL strength, > 0; the tau of IPO.
    mixture
        m, the geometric share of the reference in the mixture, in [0, 1].
    reference, log_reference, votes
        As in `prefdyn.rules.PairGradient`.
    """

    game: PreferenceMatrix
    rate: ArrayLike
    tau: ArrayLike
    mixture: ArrayLike

    def __post_init__(self):
        self.tau, self.mixture = positive(self.tau, "tau"), share(self.mixture, "mixture")
        self._check(tau=self.tau, mixture=self.mixture)

    @property
    def twin(self) -> BestResponse:
        """The exact rounds."""
        return BestResponse(
            self.game, self.tau, self.mixture, self.reference, log_reference=self.log_reference
        )

    def pair_sampler(self, theta: Array) -> Array:
        """Both from the mixture."""
        mixture = softmax(self.towards_reference(theta, self.mixture))
        return pairs_of(mixture, mixture)

    def ascent(self, theta: Array, votes: Votes) -> Array:
        """Minus the gradient of the squared error."""
        tau = like(np.asarray(self.tau)[..., None, None], theta)
        return pushed(squared_error_push(gaps(self.log_ratio(theta)), votes, tau))
