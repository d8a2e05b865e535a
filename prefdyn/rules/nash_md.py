"""Mirror descent towards the best response to a mixture with the reference."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn._inputs import common_shape, nonnegative, positive
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.policies.softmax import centre, softmax, softmax_jacobian
from prefdyn.rules._game_rule import GameRule
from prefdyn.rules._mixed_reference_sampling import matvec
from prefdyn.rules._rule import Jacobian, like

Array = Any


@dataclass(eq=False)
class NashMD(GameRule):
    r"""Nash-MD: a mirror step from, and against, a geometric mixture (arXiv 2312.00886; GAME-5).

    .. math:: \mathrm{mix} \propto \pi^{1-\eta\tau}\,\mathrm{ref}^{\eta\tau},\qquad
              \pi' \propto \mathrm{mix}\,\exp(\eta\, P\,\mathrm{mix})

    With the published step :math:`\eta_t = 2/(\tau(t+2))`, rounds counted from 0 (it never exceeds
    :math:`1/\tau`), ``KL(pi* || pi_T) <= 8/(tau^2 (T + 1))``.  A constant step stalls beside the
    equilibrium pi* of the game regularised by tau: there the *mixture* is exactly the equilibrium
    at temperature ``tau/(1 - eta tau)`` and the policy its best response at tau.

    Parameters
    ----------
    game
        Who beats whom; a batch of games gives a batch of orbits.
    eta
        Step size, > 0, with ``eta tau <= 1``; may be an array, which broadcasts.  None is the
        published decreasing step, whose rounds are no autonomous map: it can be run, but has no
        multipliers.
    tau
        KL strength of the regularised game, >= 0 (> 0 with the decreasing step).
    reference, log_reference
        As in `prefdyn.rules.GameRule`.

    Raises
    ------
    InputError
        For ``eta tau > 1``, where the mixture would leave the reference behind; and by whatever
        asks for fixed points or multipliers of the decreasing step.
    """

    game: PreferenceMatrix
    eta: ArrayLike | None
    tau: ArrayLike
    reference: ArrayLike | None = None
    log_reference: ArrayLike | None = field(default=None, kw_only=True)

    def __post_init__(self):
        self._check_game()
        if self.eta is None:
            self.tau = positive(self.tau, "tau")
        else:
            self.eta, self.tau = positive(self.eta, "eta"), nonnegative(self.tau, "tau")
            check_step(self.eta, self.tau)
        self._set_batch(eta=np.shape(self._eta(0)), tau=np.shape(self.tau))

    @property
    def skeleton(self) -> "NashMD":
        """The rule itself, if its step is constant."""
        if self.eta is None:
            raise InputError(
                "NashMD with a decreasing step is another map in every round, without multipliers: "
                "give a constant eta to analyse it."
            )
        return self

    def update(self, theta: Array) -> Array:
        """The step of round 0."""
        return self._step(theta, self._eta(0))

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """The step of round t + 1."""
        return centre(self._step(state, self._eta(t)))

    def jacobian(self, state: Array) -> Jacobian:
        """``m (I + eta A J(mix))`` of the step of round 0, up to the neutral direction."""
        eta = self._eta(0)
        mixture = softmax(self.towards_reference(state, eta * self.tau))
        kept = (1 - eta * np.asarray(self.tau))[..., None, None]
        drive = eta[..., None, None] * self.game.skew @ softmax_jacobian(mixture)
        return Jacobian(kept * (np.eye(self.K) + drive), "closed form")

    def _eta(self, t: int) -> np.ndarray:
        if self.eta is None:
            return 2 / (np.asarray(self.tau) * (t + 2))
        return np.asarray(self.eta)

    def _step(self, theta: Array, eta: np.ndarray) -> Array:
        mixture = self.towards_reference(theta, eta * self.tau)
        drive = matvec(like(self.game.skew, theta), softmax(mixture))
        return mixture + like(eta[..., None], theta) * drive


def check_step(eta: Any, tau: Any) -> None:
    """Refuse a step beyond the reference, ``eta tau > 1``, or shapes that do not broadcast."""
    common_shape(eta=np.shape(eta), tau=np.shape(tau))
    share = np.asarray(eta) * np.asarray(tau)
    if np.any(share > 1 + 1e-12):
        raise InputError(
            f"eta * tau is {share.max():g}: the share of the reference in a step is at most 1, so "
            "give a smaller eta."
        )
