"""Rules that take one gradient step on pairs drawn from a sampler."""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._inputs import optional_count, positive
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.policies.softmax import centre
from prefdyn.rules._game_rule import VotingRule
from prefdyn.rules._rule import like
from prefdyn.rules._votes import Votes, ask, generator

Array = Any


@dataclass(eq=False)
class PairGradient(VotingRule):
    r"""A gradient step of a pair loss; subclasses say how pairs are drawn and what they push.

    Every round draws ordered pairs (i, j) with the probabilities
    `pair_sampler`, puts one Bernoulli vote
    on each, and moves the logits by ``rate * ascent``.  Without `votes` the round is the population
    limit, every expectation exact.  The sampler is held fixed in the gradient, as in the published
    losses, but not in the Jacobian of the round, which is that of the map.

    Parameters
    ----------
    game
        Who beats whom; a batch of games gives a batch of orbits.
    rate
        Learning rate, > 0; may be an array, which broadcasts.
    reference, log_reference
        As in `prefdyn.rules.GameRule`.
    votes
        Pairs drawn in a round, each with one vote; `FiniteSample` sets it.
    """

    game: PreferenceMatrix
    rate: Any
    reference: ArrayLike | None = field(default=None, kw_only=True)
    log_reference: ArrayLike | None = field(default=None, kw_only=True)
    votes: int | None = field(default=None, kw_only=True)

    def _check(self, **parameters: Any) -> None:
        """Check what all have, and broadcast with the subclass's own parameters."""
        self._check_game()
        self.rate = self._checked_rate()
        self.votes = optional_count(self.votes, "votes")
        shapes = {name: np.shape(value) for name, value in parameters.items()}
        self._set_batch(rate=() if self.rate is None else self.rate.shape, **shapes)

    def _checked_rate(self) -> np.ndarray | None:
        return positive(self.rate, "rate")

    @abstractmethod
    def pair_sampler(self, theta: Array) -> Array:
        """Probabilities (..., K, K) of ordered pairs."""

    @abstractmethod
    def ascent(self, theta: Array, votes: Votes) -> Array:
        """Direction (..., K) that the votes move the logits in, minus the gradient of the loss."""

    def ask(self, theta: Array, rng: np.random.Generator | None) -> Votes:
        """The round's votes, or their population limit."""
        sampler = self.pair_sampler(theta)
        if self.votes is not None:
            return ask(self.game.P, sampler, self.votes, generator(rng))
        return Votes(sampler, sampler * like(self.game.skew, theta))

    def update(self, theta: Array) -> Array:
        """The step in the population limit."""
        return self._moved(theta, self.skeleton.ask(theta, None))

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """One step on the round's votes."""
        return centre(self._moved(state, self.ask(state, rng)))

    def _moved(self, theta: Array, votes: Votes) -> Array:
        return theta + like(np.asarray(self.rate)[..., None], theta) * self.ascent(theta, votes)


def gaps(values: Array) -> Array:
    """``values_i - values_j`` (..., K, K)."""
    return values[..., :, None] - values[..., None, :]


def pairs_of(first: Array, second: Array) -> Array:
    """Probabilities (..., K, K) of independent draws from two policies (..., K)."""
    return first[..., :, None] * second[..., None, :]


def pushed(push: Array) -> Array:
    """Sum of ``push_ij (e_i - e_j)``, (..., K): pushes on log-ratio gaps as pushes on logits."""
    return push.sum(-1) - push.sum(-2)


def squared_error_push(gap: Array, votes: Votes, tau: Array) -> Array:
    """Minus the derivative of the IPO loss of voted pairs by their log-ratio gap."""
    return 2 * (votes.lead / tau - votes.asked * gap)
