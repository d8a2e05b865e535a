"""Policy gradients against a mixture with the reference."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._inputs import nonnegative, share
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.policies.softmax import softmax
from prefdyn.rules._pair_gradient import PairGradient, pairs_of
from prefdyn.rules._rule import like
from prefdyn.rules._votes import Votes
from prefdyn.rules.best_response import BestResponse

Array = Any


@dataclass(eq=False)
class NashMDPG(PairGradient):
    r"""Nash-MD-PG: one policy-gradient step against the mixture (arXiv 2312.00886; GAME-6).

    .. math:: \theta_i \leftarrow \theta_i + \rho\,\pi_i\,(Q_i - \pi\cdot Q),\qquad
              Q = A\,\mathrm{mix} - \tau u,\qquad \mathrm{mix} \propto \pi^{1-m}\,\mathrm{ref}^{m}

    the gradient of ``pi^T P mix - tau KL(pi || ref)`` with the mixture held fixed.  On votes, a
    response of the policy meets one of the mixture and the score ``vote - 1/2 - tau u`` weighs its
    log-likelihood.  At rest the policy is the best response at tau to the mixture, and the mixture
    the equilibrium at temperature ``tau/(1 - m)``; m = 0 is policy-gradient self-play.

    Parameters
    ----------
    game
        Who beats whom; a batch of games gives a batch of orbits.
    rate
        Learning rate rho, > 0; may be an array, which broadcasts.
    tau
        KL strength, >= 0.
    mixture
        m, the geometric share of the reference in the opponent, in [0, 1]; TRL's ``mixture_coef``.
    reference, log_reference, votes
        As in `prefdyn.rules.PairGradient`.
    """

    game: PreferenceMatrix
    rate: ArrayLike
    tau: ArrayLike
    mixture: ArrayLike

    def __post_init__(self):
        self.tau, self.mixture = nonnegative(self.tau, "tau"), share(self.mixture, "mixture")
        self._check(tau=self.tau, mixture=self.mixture)

    @property
    def twin(self) -> BestResponse | None:
        """The best response itself; none in the plain game."""
        if np.any(self.tau == 0):
            return None
        return BestResponse(
            self.game, self.tau, self.mixture, self.reference, log_reference=self.log_reference
        )

    def pair_sampler(self, theta: Array) -> Array:
        """The policy against the mixture."""
        return pairs_of(softmax(theta), softmax(self.towards_reference(theta, self.mixture)))

    def ascent(self, theta: Array, votes: Votes) -> Array:
        """Scores on the responses' log-likelihoods."""
        tau = like(np.asarray(self.tau)[..., None], theta)
        score = votes.lead.sum(-1) - tau * self.log_ratio(theta) * votes.asked.sum(-1)
        return score - softmax(theta) * score.sum(-1)[..., None]
