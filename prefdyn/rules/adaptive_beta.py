"""Rounds whose beta follows the orbit: raised where it turns, lowered where it settles."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn._inputs import positive, share, single
from prefdyn.policies.softmax import centre, softmax
from prefdyn.rules._carried import check_on_logits
from prefdyn.rules._rule import Jacobian, LogitRule, Rule
from prefdyn.rules._wrapper import Wrapper
from prefdyn.rules.inexact import Inexact

Array = Any

RESOLUTION = 1e-12
"""Displacement, relative to max(1, |logits|), below which rounding says nothing about turning."""


@dataclass(eq=False)
class AdaptiveBeta(Wrapper):
    r"""Rounds of beta/kappa_t, with kappa_t estimated from the last two rounds (claim CURE-5).

    .. math:: \theta_{t+1} = \theta_t + \kappa_t r_t, \quad r_t = F(\theta_t) - \theta_t, \quad
              \kappa_t = -\frac{\langle r_{t-1}, \delta_t\rangle}{\langle\delta_t, \delta_t\rangle},
              \quad \delta_t = \frac{r_t - r_{t-1}}{\kappa_{t-1}}

    kappa_t is the fraction of a round that would have made the last displacement smallest, in the
    variance under the current policy, kept within [least, 1].  It falls at once and rises by no
    more than a factor `rise` per round: thrown far out, an orbit that seems calm for a moment would
    otherwise be thrown again.  A fraction kappa of a round is the
    whole round of ``alpha_t = 1 - kappa (1 - alpha)`` and ``beta_t = beta/kappa`` (RND-1): an orbit
    that turns raises beta, one that settles lowers it, and as ``(1 - alpha_t) beta_t`` does not
    change, neither does the fixed point.  One evaluation of F per round.

    Where displacements turn at one speed, ``F(theta) - theta* = (alpha +- i y)(theta - theta*)``,
    the estimate is ``(1 - alpha)/((1 - alpha)^2 + y^2)``, the best of all fixed fractions.  It
    depends on the direction of the displacement, which at the fixed point has none: there the map
    has no derivative.  Stability analysis therefore looks at `BestFraction`, its `skeleton`, which
    for MRS-IPO is what it settles to.

    The state is ``(theta_t, r_(t-1), log kappa_(t-1))``, 2K + 1 numbers.

    Parameters
    ----------
    rule
        A rule whose state is the logits, or `Inexact` around one.
    least
        Smallest fraction, in (0, 1]: beta is raised by no more than 1/least.
    first
        Fraction of the first round, in [least, 1].
    rise
        Largest ratio, >= 1, of a fraction to the last one.
    """

    rule: LogitRule | Inexact
    least: float = 1e-3
    first: float = 0.1
    rise: float = 1.1

    def __post_init__(self):
        check_on_logits(self.rule, "AdaptiveBeta")
        check_least(self.least)
        if single(share(self.first, "first"), "first") < self.least:
            raise InputError(f"first is {self.first:g}, below least, {self.least:g}: give more.")
        if not single(positive(self.rise, "rise"), "rise") >= 1:
            raise InputError(f"rise is {self.rise:g}: below 1 every round would be a smaller one.")

    @property
    def backends(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        """Numpy alone."""
        return ("numpy",)

    @property
    def skeleton(self) -> Rule:
        """What it settles to: the best fraction at every policy."""
        return BestFraction(self.rule.skeleton, self.least)  # pyright: ignore[reportArgumentType]

    @property
    def neutral(self) -> np.ndarray:
        """The wrapped rule's directions, in the policy and in the displacement."""
        directions = np.kron(np.eye(2), self.rule.neutral)
        return np.concatenate([directions, np.zeros((1, directions.shape[1]))])

    def init_log(self, log_policy: Array) -> Array:
        """No displacement yet."""
        theta = self.spread(self.rule.init_log(log_policy))
        log_kappa = np.full_like(theta[..., :1], np.log(self.first))
        return np.concatenate([theta, 0 * theta, log_kappa], axis=-1)

    def log_policy(self, state: Array) -> Array:
        """That of the logits."""
        return self.rule.log_policy(state[..., : self.K])

    def fraction(self, state: Array) -> Array:
        """``kappa`` (...,) of the round that led to a state: beta was beta/kappa."""
        return np.exp(state[..., -1])

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """The fraction of a round that suits the last two displacements."""
        theta, last = state[..., : self.K], state[..., self.K : -1]
        displacement = centre(self.rule.step(theta, t, rng) - theta)
        kappa = self._updated(theta, displacement, last, state[..., -1])
        following = centre(theta + np.exp(kappa)[..., None] * displacement)
        return np.concatenate([following, displacement, kappa[..., None]], axis=-1)

    def _updated(self, theta: Array, now: Array, last: Array, log_kappa: Array) -> Array:
        """Log of the next fraction; the last one where rounding hides the displacement."""
        policy = softmax(theta)

        def product(a: Array, b: Array) -> Array:
            mean = np.sum(policy * a, axis=-1, keepdims=True)
            return np.sum(policy * (a - mean) * b, axis=-1)

        change = (now - last) / np.exp(log_kappa)[..., None]
        size = np.abs(last).max(axis=-1)
        seen = size > RESOLUTION * np.maximum(1.0, np.abs(theta).max(axis=-1))
        bend = product(change, change)
        seen &= bend > 0
        best = -product(last, change) / np.where(seen, bend, 1.0)
        wanted = np.minimum(np.log(np.clip(best, self.least, 1.0)), log_kappa + np.log(self.rise))
        return np.where(seen, wanted, log_kappa)


@dataclass(eq=False)
class BestFraction(Wrapper):
    r"""The fraction of a round that shrinks the slowest direction most, at every policy (CURE-5).

    .. math:: \theta' = \theta + \kappa(\theta)\,(F(\theta) - \theta), \qquad
              \kappa(\theta) = \arg\min_{\kappa} \max_k |1 + \kappa\,(x_k(\theta) - 1)|

    with x_k the eigenvalues of the round's own derivative at theta and kappa in [least, 1].  Fixed
    points stay, and as the displacement vanishes there, the multipliers are
    ``1 + kappa (x_k - 1)`` with that best kappa.  It asks for a derivative, which no trainer has:
    `AdaptiveBeta` estimates the fraction from the orbit.

    Parameters
    ----------
    rule
        A rule whose state is the logits, or `Inexact` around one.
    least
        Smallest fraction, in (0, 1].
    """

    rule: LogitRule | Inexact
    least: float = 1e-3

    def __post_init__(self):
        check_on_logits(self.rule, "BestFraction")
        check_least(self.least)

    @property
    def backends(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        """Numpy alone."""
        return ("numpy",)

    def fraction(self, state: Array) -> Array:
        """``kappa`` (...,) at logits (..., K)."""
        basis = np.linalg.svd(self.rule.neutral)[0][:, self.rule.neutral.shape[1] :]
        derivative = basis.T @ self.rule.jacobian(state).matrix @ basis
        return best_fraction(np.linalg.eigvals(derivative), self.least)

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """The best fraction of the wrapped rule's step."""
        kappa = self.fraction(state)[..., None]
        return state + kappa * (self.rule.step(state, t, rng) - state)

    def jacobian(self, state: Array) -> Jacobian:
        """``(1 - kappa) I + kappa DF``, and the slope of kappa times the displacement."""
        inner, kappa = self.rule.jacobian(state), self.fraction(state)[..., None, None]
        shifts = 1e-6 * np.eye(self.K).reshape(self.K, *(1,) * (state.ndim - 1), self.K)
        beside = self.fraction(np.stack([state + shifts, state - shifts]))
        slope = np.moveaxis((beside[0] - beside[1]) / 2e-6, 0, -1)
        displacement = self.rule.step(state, 0, None) - state
        matrix = (1 - kappa) * np.eye(self.K) + kappa * inner.matrix
        return Jacobian(matrix + displacement[..., :, None] * slope[..., None, :], inner.by)


def best_fraction(multipliers: np.ndarray, least: float = 1e-3) -> np.ndarray:
    """The kappa in [least, 1] with the smallest ``max_k |1 + kappa (x_k - 1)|``.

    The squares are parabolas in kappa: the lowest point of their upper envelope is the lowest of
    one of them, a crossing of two, or an end.

    Parameters
    ----------
    multipliers
        x_k, (..., m).
    least
        Lower end of the search.
    """
    away: Any = 1 - np.asarray(multipliers)
    u, square = away.real, np.abs(away) ** 2
    i, j = np.triu_indices(u.shape[-1], 1)
    ends = np.broadcast_to([least, 1.0], (*u.shape[:-1], 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        lowest, crossings = (
            u / square,
            2 * (u[..., i] - u[..., j]) / (square[..., i] - square[..., j]),
        )
    candidates = np.concatenate([lowest, crossings, ends], axis=-1)
    candidates = np.clip(np.nan_to_num(candidates, nan=1.0), least, 1.0)
    kappa = candidates[..., :, None]
    worst = (1 - 2 * kappa * u[..., None, :] + kappa**2 * square[..., None, :]).max(axis=-1)
    chosen = np.argmin(worst, axis=-1)[..., None]
    return np.take_along_axis(candidates, chosen, axis=-1)[..., 0]


def check_least(least: float) -> None:
    """Refuse a smallest fraction outside (0, 1]."""
    if single(share(least, "least"), "least") == 0:
        raise InputError("least is 0: beta would be raised without limit; give more than 0.")
