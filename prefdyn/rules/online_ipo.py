"""Gradient steps of online IPO."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._inputs import choice, positive
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
from prefdyn.rules._votes import Votes, drawn, generator
from prefdyn.rules.best_response import BestResponse

Array = Any

SAMPLERS = ("on_policy", "uniform")


@dataclass(eq=False)
class OnlineIPO(PairGradient):
    r"""One gradient step of online IPO, in either of two loss forms (claim GAME-6).

    .. math:: L_{\text{on\_policy}} = \mathbb E_{y,y'\sim\pi}
              \big(u_y - u_{y'} - A_{yy'}/\tau\big)^2, \qquad
              L_{\text{uniform}} = \frac1{K^2}\sum_{yy'}
              \big(u_y - u_{y'} - ((A\pi)_y - (A\pi)_{y'})/\tau\big)^2

    with the log-ratios ``u = log pi - log ref`` and the sampling policy held fixed in the gradient.
    Both rest at the equilibrium of the game regularised by tau.  "uniform" (the generalised IPO of
    arXiv 2503.08942) *is* online mirror descent with ``eta tau = 4 rate/K``.  "on_policy"
    (arXiv 2403.08635) has the gradient ``4 pi_i [u_i - E u - (A pi)_i/tau]``, the same as
    Bernoulli labels with the target 1/(2 tau) give in expectation.

    Parameters
    ----------
    game
        Who beats whom; a batch of games gives a batch of orbits.
    rate
        Learning rate, > 0; may be an array, which broadcasts.
    tau
        KL strength of the regularised game, > 0; the tau of IPO.
    sampler
        "on_policy": both responses come from the policy and are compared with each other.
        "uniform": both are uniform, and each is compared with a third one, from the policy.
    reference, log_reference
        As in `prefdyn.rules.GameRule`.
    votes
        Pairs drawn in a round; "uniform" asks for two votes on each.  `FiniteSample` sets it.

    Raises
    ------
    InputError
        For a parameter outside its range.
    """

    game: PreferenceMatrix
    rate: ArrayLike
    tau: ArrayLike
    sampler: str = "on_policy"

    def __post_init__(self):
        self.tau = positive(self.tau, "tau")
        choice(self.sampler, SAMPLERS, "sampler")
        self._check(tau=self.tau)

    @property
    def twin(self) -> BestResponse:
        """The exact rounds."""
        return BestResponse(
            self.game, self.tau, 0.0, self.reference, log_reference=self.log_reference
        )

    def pair_sampler(self, theta: Array) -> Array:
        """Both from the policy, or both uniform."""
        policy = softmax(theta)
        if self.sampler == "uniform":
            policy = 0 * policy + 1 / self.K
        return pairs_of(policy, policy)

    def ask(self, theta: Array, rng: np.random.Generator | None) -> Votes:
        """Votes between the two, or of both against a third response."""
        if self.sampler == "on_policy":
            return super().ask(theta, rng)
        asked, policy = self.pair_sampler(theta), softmax(theta)
        if self.votes is None:
            win_rates = (like(self.game.skew, theta) @ policy[..., None])[..., 0]
            return Votes(asked, asked * gaps(win_rates))
        rng, K, P = generator(rng), self.K, self.game.P
        triples = asked[..., None] * policy[..., None, None, :]
        number = drawn(triples.reshape(*policy.shape[:-1], K**3), self.votes, rng)
        number = number.reshape(triples.shape)
        first = rng.binomial(number, np.broadcast_to(P[..., :, None, :], number.shape)).sum(-1)
        second = rng.binomial(number, np.broadcast_to(P[..., None, :, :], number.shape)).sum(-1)
        return Votes(number.sum(-1) / self.votes, (first - second) / self.votes)

    def ascent(self, theta: Array, votes: Votes) -> Array:
        """Minus the gradient of the squared error."""
        tau = like(np.asarray(self.tau)[..., None, None], theta)
        return pushed(squared_error_push(gaps(self.log_ratio(theta)), votes, tau))
