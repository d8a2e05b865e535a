"""Extragradient steps in a regularised game."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._inputs import nonnegative, optional_count, positive
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.policies.softmax import centre, softmax, softmax_jacobian
from prefdyn.rules._game_rule import VotingRule
from prefdyn.rules._mixed_reference_sampling import matvec
from prefdyn.rules._rule import Jacobian, like
from prefdyn.rules._votes import generator, voted
from prefdyn.rules.nash_md import check_step

Array = Any


@dataclass(eq=False)
class EGPO(VotingRule):
    r"""Extragradient preference optimisation: look ahead, then step (arXiv 2503.08942; GAME-4).

    .. math:: \theta^{1/2} &= (1-\eta\tau)\,\theta + \eta\tau\log\mathrm{ref}
                             + \eta A\,\mathrm{softmax}(\theta) \\
              \theta' &= (1-\eta\tau)\,\theta + \eta\tau\log\mathrm{ref}
                             + \eta A\,\mathrm{softmax}(\theta^{1/2})

    Its fixed point is the equilibrium of the game regularised by ``tau KL(pi || ref)``, as that of
    `online_mirror_descent`, which takes the first line only.  With ``m = 1 - eta tau`` and the
    singular values s_k of ``J^(1/2) A J^(1/2)`` there, the multipliers are
    ``m - (eta s_k)^2 +- i m eta s_k``.

    Parameters
    ----------
    game
        Who beats whom; a batch of games gives a batch of orbits.
    eta
        Step size, > 0; may be an array, which broadcasts.
    tau
        KL strength of the regularised game, >= 0; 0 is the plain game.  ``eta tau`` is at most 1.
    reference, log_reference
        As in `prefdyn.rules.GameRule`.
    votes
        Where given, each half of a step sees a game estimated from so many fresh Bernoulli votes on
        each pair; `FiniteSample` sets it.

    Examples
    --------
    >>> from prefdyn.games import rock_paper_scissors
    >>> rule = EGPO(rock_paper_scissors(0.4), eta=1.0, tau=0.01)
    """

    game: PreferenceMatrix
    eta: ArrayLike
    tau: ArrayLike
    reference: ArrayLike | None = None
    log_reference: ArrayLike | None = field(default=None, kw_only=True)
    votes: int | None = field(default=None, kw_only=True)

    def __post_init__(self):
        self._check_game()
        self.eta, self.tau = positive(self.eta, "eta"), nonnegative(self.tau, "tau")
        check_step(self.eta, self.tau)
        self.votes = optional_count(self.votes, "votes")
        self._set_batch(eta=self.eta.shape, tau=self.tau.shape)

    def update(self, theta: Array) -> Array:
        """The step on the exact game."""
        skew = like(self.game.skew, theta)
        return self._step(theta, skew, skew)

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """The step, on estimated games where there are votes."""
        if self.votes is None:
            return super().step(state, t, rng)
        rng = generator(rng)
        shape = np.broadcast_shapes(self.game.batch_shape, state.shape[:-1])
        first, second = (voted(self.game.P, self.votes, rng, shape) - 0.5 for _ in range(2))
        return centre(self._step(state, first, second))

    def jacobian(self, state: Array) -> Jacobian:
        """``m I + eta A J(pi_half) (m I + eta A J(pi))``, up to the neutral direction."""
        eta = np.asarray(self.eta)[..., None, None]
        kept = (1 - eta * np.asarray(self.tau)[..., None, None]) * np.eye(self.K)
        pulled = self.towards_reference(state, np.asarray(self.eta) * self.tau)
        half = pulled + eta[..., 0] * matvec(self.game.skew, softmax(state))
        drive, ahead = (eta * self.game.skew @ softmax_jacobian(softmax(x)) for x in (state, half))
        return Jacobian(kept + ahead @ (kept + drive), "closed form")

    def _step(self, theta: Array, first: Array, second: Array) -> Array:
        eta = np.asarray(self.eta)
        pulled = self.towards_reference(theta, eta * self.tau)
        eta = like(eta[..., None], theta)
        half = pulled + eta * matvec(first, softmax(theta))
        return pulled + eta * matvec(second, softmax(half))
