"""Gradient steps of DPO on pairs from a sampler."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn._inputs import choice, positive
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.objectives._primitives import primitives
from prefdyn.policies.softmax import log_softmax, softmax
from prefdyn.rules._pair_gradient import PairGradient, gaps, pushed
from prefdyn.rules._rule import like
from prefdyn.rules._votes import Votes
from prefdyn.rules.mrs_dpo import MRSDPO

Array = Any

SAMPLERS = ("uniform", "on_policy", "mix_r", "mix_p", "mix_p_clipped", "pilaf")
MATCHED = ("uniform", "mix_r", "mix_p", "mix_p_clipped")
"""Samplers with a uniform base, for which one rate cancels the linear error of all pairs."""


@dataclass(eq=False)
class SampledDPO(PairGradient):
    r"""One gradient step of DPO on pairs from a sampler (arXiv 2409.19605; GAME-8, GAME-9).

    .. math:: \theta_i \leftarrow \theta_i + 2\rho\beta \sum_j w_{ij}
              \big(P_{ij} - \sigma(\beta(u_i - u_j))\big), \qquad \sum_{ij} w_{ij} = 1

    for any game; the weights are held fixed in the gradient.  Up to their sum they are

    ================= ==========================================================================
    ``uniform``       1
    ``on_policy``     ``pi_i pi_j``
    ``mix_r``         ``1/(P_ij P_ji)``; for a reward model ``2 + e^d + e^-d``, d the reward gap
    ``mix_p``         ``1/sigma'(beta (u_i - u_j))``: the policy's own rewards for the true ones
    ``mix_p_clipped`` the same with ``beta (u_i - u_j)`` clipped to [-clip, clip]
    ``pilaf``         ``pi_i pi_j/sigma'(beta (u_i - u_j))`` (arXiv 2502.04270)
    ================= ==========================================================================

    On reward models ``mix_r`` and ``mix_p`` converge quadratically at the matched rate.  On games
    that are none, samplers differ in where they go, not only in how fast.  The clipped form is
    reconstructed.

    Parameters
    ----------
    game
        Who beats whom; a batch of games gives a batch of orbits.
    rate
        Learning rate, > 0; may be an array, which broadcasts.  None is the matched rate of each
        round, see `matched_rate`.
    beta
        DPO's beta, > 0.
    sampler
        One of the names above.
    clip
        Bound of ``mix_p_clipped``, > 0; 1 where rewards are known to lie in [0, 1].
    reference, log_reference, votes
        As in `prefdyn.rules.PairGradient`.

    Raises
    ------
    InputError
        For an unknown sampler, ``mix_r`` on a certain win (its weight would be infinite), or the
        matched rate of a sampler that has none.
    """

    game: PreferenceMatrix
    rate: ArrayLike | None
    beta: ArrayLike
    sampler: str = "uniform"
    clip: ArrayLike = 1.0

    def __post_init__(self):
        self.beta, self.clip = positive(self.beta, "beta"), positive(self.clip, "clip")
        choice(self.sampler, SAMPLERS, "sampler")
        self._check(beta=self.beta, clip=self.clip)
        if self.sampler == "mix_r" and np.any(np.abs(self.game.skew) == 0.5):
            raise InputError(
                "sampler 'mix_r' draws a pair with a certain win with infinite weight: give win "
                "rates inside (0, 1)."
            )
        if self.rate is None and self.sampler not in MATCHED:
            raise InputError(
                f"sampler {self.sampler!r} has no matched rate, which would differ between "
                f"responses: give a rate, or one of {', '.join(MATCHED)}."
            )

    def _checked_rate(self) -> np.ndarray | None:
        return None if self.rate is None else super()._checked_rate()

    @property
    def twin(self) -> MRSDPO | None:
        """The exact optimum on pairs from the policy; nearby for "pilaf", none for fixed pairs."""
        if self.sampler not in ("on_policy", "pilaf"):
            return None
        return MRSDPO(
            self.game, self.beta, 0.0, 1.0, self.reference, log_reference=self.log_reference
        )

    def implicit_gaps(self, theta: Array) -> Array:
        """``beta (u_i - u_j)`` (..., K, K): the reward gaps that the policy stands for."""
        return like(np.asarray(self.beta)[..., None, None], theta) * gaps(self.log_ratio(theta))

    def log_weights(self, theta: Array) -> Array:
        """Logarithms (..., K, K) of the sampler's weights, before they are normalised."""
        gap = self.implicit_gaps(theta)
        xp = primitives(gap)
        weights = 0 * gap
        if self.sampler in ("on_policy", "pilaf"):
            policy = log_softmax(theta)
            weights = policy[..., :, None] + policy[..., None, :]
        if self.sampler == "mix_r":
            P = self.game.P
            weights = weights - like(np.log(P) + np.log(1 - P), theta)
        if self.sampler == "mix_p_clipped":
            clip = np.asarray(self.clip)[..., None, None]
            gap = like(clip, theta) * xp.clip(gap / like(clip, theta), -1.0, 1.0)
        if self.sampler in ("mix_p", "mix_p_clipped", "pilaf"):
            weights = weights - xp.log_sigmoid(gap) - xp.log_sigmoid(-gap)
        return weights

    def pair_sampler(self, theta: Array) -> Array:
        """The weights, normalised."""
        weights = self.log_weights(theta)
        return softmax(weights.reshape(*weights.shape[:-2], self.K**2)).reshape(weights.shape)

    def ascent(self, theta: Array, votes: Votes) -> Array:
        """Minus the gradient of the logistic loss."""
        gap = self.implicit_gaps(theta)
        beta = like(np.asarray(self.beta)[..., None, None], theta)
        return pushed(beta * (votes.lead + votes.asked * (0.5 - primitives(gap).sigmoid(gap))))

    def matched_rate(self, theta: Array) -> Array:
        """The rate ``Z/(2 beta^2 K)`` (...,) at which errors of the reward gaps vanish linearly.

        Z is the sum of the weights, which for "uniform" is taken as ``4 K^2``: there pairs of
        unequal rewards keep a linear error (claim GAME-8).
        """
        beta = like(np.asarray(self.beta), theta)
        if self.sampler == "uniform":
            return 2 * self.K / beta**2
        weights = self.log_weights(theta)
        return primitives(weights).safe_exp(weights).sum((-1, -2)) / (2 * beta**2 * self.K)

    def _moved(self, theta: Array, votes: Votes) -> Array:
        if self.rate is not None:
            return super()._moved(theta, votes)
        return theta + self.matched_rate(theta)[..., None] * self.ascent(theta, votes)
