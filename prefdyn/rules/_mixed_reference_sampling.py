"""What all MRS rules share: the mixed reference, the mixed sampler, and their checks."""

from abc import abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._inputs import distribution, positive, share
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.policies.softmax import log_softmax, softmax, softmax_jacobian
from prefdyn.rules._certificates import Certificate, collapse
from prefdyn.rules._game_rule import GameRule
from prefdyn.rules._rule import Jacobian, like

Array = Any


class MixedReferenceSampling(GameRule):
    r"""Checks and mixtures of iterated preference optimisation; the rules declare these fields.

    In round t the reference is :math:`\propto \pi_t^\alpha\,\mathrm{ref}^{1-\alpha}` and pairs are
    drawn from :math:`\mu_t = \lambda\pi_t + (1-\lambda)\mu_0`.

    Parameters
    ----------
    game
        Who beats whom; a batch of games gives a batch of orbits.
    beta
        Pull to the reference, > 0; larger stays closer.  May be an array, which broadcasts.
    alpha
        Geometric share of the current policy in the next reference, in [0, 1].
    lam
        Linear share of the current policy in the next sampler, in [0, 1]; 1 is fully on-policy.
    reference
        Fixed part of the reference, probabilities (..., K), all positive; uniform by default.
    offline
        Fixed part of the sampler, probabilities (..., K); uniform by default.
    log_reference
        The reference as log-probabilities, for what underflows; instead of `reference`.

    Raises
    ------
    InputError
        For a parameter outside its range, or shapes that do not broadcast.
    """

    game: PreferenceMatrix
    beta: ArrayLike
    alpha: ArrayLike
    lam: ArrayLike
    reference: ArrayLike | None
    offline: ArrayLike | None
    log_reference: ArrayLike | None

    def __post_init__(self):
        self._check_game()
        self.beta = self._checked_beta()
        self.alpha = share(self.alpha, "alpha")
        self.lam = share(self.lam, "lam")
        if self.offline is not None:
            self.offline = distribution(self.offline, self.K, "offline")
        self._set_batch(
            beta=np.shape(self.beta),  # pyright: ignore[reportArgumentType]
            alpha=self.alpha.shape,
            lam=self.lam.shape,
            offline=self.mu0.shape[:-1],
        )

    def _checked_beta(self) -> Any:
        return positive(self.beta, "beta")

    @cached_property
    def mu0(self) -> np.ndarray:
        """Probabilities (..., K) of the fixed, offline part of the sampler."""
        if self.offline is not None:
            return np.asarray(self.offline)
        return np.full(self.K, 1 / self.K)

    def mixed_reference(self, theta: Array) -> Array:
        """``alpha log pi + (1 - alpha) log ref`` (..., K), up to a constant, for logits."""
        alpha = like(np.asarray(self.alpha)[..., None], theta)
        return alpha * log_softmax(theta) + (1 - alpha) * like(self.log_ref, theta)

    def easier(self, strength: float) -> Self:
        """The same rule with its drive scaled by `strength` in (0, 1], for continuation.

        As strength tends to 0 the fixed point tends to the reference (claim MRS-3).
        """
        return self.replace(beta=np.asarray(self.beta) / strength)

    def sampler(self, theta: Array) -> Array:
        """``mu = lam pi + (1 - lam) mu0`` (..., K) for logits."""
        lam = like(np.asarray(self.lam)[..., None], theta)
        return lam * softmax(theta) + (1 - lam) * like(self.mu0, theta)


@dataclass(eq=False)
class DrivenRule(MixedReferenceSampling):
    r"""An MRS rule whose optimum is the reference plus a drive that depends on the sampler only.

    .. math:: \theta' = \alpha\theta + (1-\alpha)\log\mathrm{ref} + \mathrm{drive}(\mu_t)/\beta

    A subclass gives `drive` and its derivative; the Jacobian
    ``alpha I + (lam/beta) d drive/d mu J(pi)`` (claims MRS-4, DPO-6) follows.  Parameters are those
    of `MixedReferenceSampling`.
    """

    game: PreferenceMatrix
    beta: ArrayLike
    alpha: ArrayLike
    lam: ArrayLike
    reference: ArrayLike | None = None
    offline: ArrayLike | None = None
    log_reference: ArrayLike | None = field(default=None, kw_only=True)

    @abstractmethod
    def drive(self, mu: Array) -> Array:
        """Log-odds (..., K) that the sampler mu (..., K) induces at beta = 1, up to a constant."""

    @abstractmethod
    def certificates(self) -> tuple[Certificate, ...]:
        """Proved conditions for this recipe."""

    @abstractmethod
    def drive_along(self, mu: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Derivative of `drive` along directions (..., K, m), up to a constant per column."""

    def collapse_bound(self, gain: float, claim: str) -> tuple[Certificate, ...]:
        """The collapse bound as a tuple of one, or of none where it does not apply."""
        if self.batch_shape:
            return ()
        beta, alpha = float(np.asarray(self.beta)), float(np.asarray(self.alpha))
        bound = collapse(self.game, beta, alpha, self.log_ref, gain, claim)
        return () if bound is None else (bound,)

    def update(self, theta: Array) -> Array:
        """Logits of the next round."""
        beta = like(np.asarray(self.beta)[..., None], theta)
        return self.mixed_reference(theta) + self.drive(self.sampler(theta)) / beta

    def jacobian(self, state: Array) -> Jacobian:
        """Closed form, up to the neutral direction."""
        alpha, beta, lam = (
            np.asarray(x)[..., None, None] for x in (self.alpha, self.beta, self.lam)
        )
        through_policy = self.drive_along(self.sampler(state), softmax_jacobian(softmax(state)))
        return Jacobian(alpha * np.eye(self.K) + lam / beta * through_policy, "closed form")


def matvec(matrix: Array, vector: Array) -> Array:
    """``matrix @ vector`` over batches; one matrix for a large batch goes through one product."""
    if matrix.ndim == 2:
        return vector @ matrix.T
    return (matrix @ vector[..., None])[..., 0]
