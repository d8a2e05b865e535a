"""Iterated DPO with mixed reference and sampler: the implicit optimum by Newton's method."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from array_api_compat import array_namespace

from prefdyn._errors import NoOptimum
from prefdyn.rules import _certificates
from prefdyn.rules._certificates import Certificate
from prefdyn.rules._mixed_reference_sampling import DrivenRule, matvec
from prefdyn.rules._rule import like

Array = Any

MAX_NEWTON_STEPS = 200
"""A win rate within 1e-16 of 1 costs about 40 steps; more than 200 means no optimum."""


LARGEST_COMPILED = 64
"""Responses up to which the kernel's plain elimination wins: one orbit to 48, many to 100."""


@dataclass(eq=False)
class MRSDPO(DrivenRule):
    r"""MRS-DPO: the DPO optimum, exactly, in every round (claims DPO-1, DPO-6).

    .. math:: \theta' = \alpha\theta + (1-\alpha)\log\mathrm{ref} + r(\mu_t)/\beta,\qquad
              \sum_j \mu_j\,\sigma(r_i - r_j) = (P\mu)_i

    The scores r are the Bradley-Terry fit to the pairs drawn from mu.  They exist when every
    response can be reached from every other by possible wins (P inside (0, 1) suffices).
    Parameters are those of `prefdyn.rules.MixedReferenceSampling`.

    Raises
    ------
    NoOptimum
        If the win graph is not strongly connected, so that some scores are infinite, or if the
        sampler misses a response altogether (lam = 0 and a zero in `offline`).
    """

    jacobian_claim: ClassVar[str] = "DPO-6"

    def __post_init__(self):
        super().__post_init__()
        _check_strongly_connected(self.game)
        missing = (np.asarray(self.lam)[..., None] == 0) & (self.mu0 == 0)
        if missing.any():
            response = int(np.argwhere(missing)[0][-1])
            raise NoOptimum(
                f"response {response} is never sampled (lam = 0 and offline[{response}] = 0), so "
                "DPO leaves its score undetermined: give it a positive offline probability."
            )

    def drive(self, mu: Array) -> Array:
        """Scores ``r(mu)`` (..., K) in nats, mean zero."""
        P = like(self.game.P, mu)
        if isinstance(mu, np.ndarray):
            return self._scores(mu)
        # The solver stays off the differentiated path: one Newton step from the solution leaves it
        # where it is and carries the implicit derivative.
        detached = mu.detach()
        guess = like(self._scores(detached.numpy()), mu)
        return guess + _newton_step(P, mu, guess)

    def drive_along(self, mu: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """``M^+ (P - sigmoid(r_i - r_j))`` times directions, M the weighted Laplacian (DPO-5)."""
        excess, slope = _fit(self.game.P, self._scores(mu))
        relative, peak = _others(mu)
        # Directions first: the factors alone can overflow where the product is harmless.
        return _laplacian_solve(slope, relative, mu, excess @ directions / peak)

    def _scores(self, mu: np.ndarray) -> np.ndarray:
        """The fit for mu; the last one is kept: a step and its Jacobian ask for the same."""
        last = self.__dict__.get("_last")
        if last is None or not np.array_equal(last[0], mu):
            self._last = last = (mu.copy(), bradley_terry_scores(self.game.P, mu))
        return last[1]

    def certificates(self) -> tuple[Certificate, ...]:
        """Contraction for a fixed sampler, and the collapse bound of a single game (DPO-4)."""
        if type(self) is not MRSDPO:  # a subclass may be another map
            return ()
        fixed = _certificates.fixed_sampler(np.asarray(self.alpha), np.asarray(self.lam))
        return (fixed, *self.collapse_bound(gain=4.0, claim="MRS-11, DPO-4"))

    def compiled(self, K: int, device: str = "cpu") -> Any:
        """Kernel that advances many orbits, see `prefdyn.rules._lanes`.

        None for a subclass, and for so many responses that LAPACK's elimination is faster.
        """
        if type(self) is not MRSDPO:
            return None
        if device != "cpu":
            from prefdyn.rules import _on_gpu

            return _on_gpu.kernel(_on_gpu.advance_dpo, K, device)
        if K > LARGEST_COMPILED:
            return None
        from prefdyn.rules import _lanes

        return _lanes.advance_dpo


def bradley_terry_scores(P: np.ndarray, mu: np.ndarray) -> np.ndarray:
    r"""Scores r with :math:`\sum_j\mu_j\sigma(r_i-r_j) = (P\mu)_i` and mean zero (claim DPO-1).

    Newton on the equations divided by mu_i, so that responses of vanishing probability keep
    well-scaled rows.

    Parameters
    ----------
    P
        Win probabilities (..., K, K).
    mu
        Sampler (..., K).

    Raises
    ------
    NoOptimum
        If Newton's method does not settle.
    """
    shape = np.broadcast_shapes(P.shape[:-2], mu.shape[:-1])
    mu = np.broadcast_to(mu, (*shape, mu.shape[-1]))
    scores = 4 * matvec(P - 0.5, mu)  # exact as P -> 1/2
    for _ in range(MAX_NEWTON_STEPS):
        try:
            step = _newton_step(P, mu, scores)
        except np.linalg.LinAlgError:  # a response of vanishing probability has lost its equation
            break
        scale = np.maximum(1.0, np.abs(scores).max(axis=-1))
        scores = scores + _damped(step)
        if np.all(np.abs(step).max(axis=-1) <= 1e-10 * scale):  # the next error is its square
            return scores - scores.mean(axis=-1, keepdims=True)
    raise NoOptimum(
        "DPO's Newton iteration did not settle: some scores are (nearly) infinite because a "
        "preference is too close to 0 or 1; shrink P towards 1/2 or use IPO."
    )


def _fit(P: Array, scores: Array) -> tuple[Array, Array]:
    """``P - sigmoid(r_i - r_j)`` and ``sigmoid'(r_i - r_j)``, both (..., K, K).

    The smaller of sigmoid(x), sigmoid(-x) is compared with the matching entry of P, so that
    preferences near 0 and 1 keep their relative accuracy.
    """
    xp = array_namespace(scores)
    gap = scores[..., :, None] - scores[..., None, :]
    tail = xp.exp(-xp.abs(gap))
    smaller = tail / (1 + tail)
    excess = xp.where(gap < 0, P - smaller, smaller - xp.matrix_transpose(P))
    return excess, smaller * (1 - smaller)


def _laplacian_solve(slope: Array, relative: Array, mu: Array, right: Array) -> Array:
    """``M^+ right`` (..., K, m) for ``M = diag(W 1) - W``, ``W_ij = relative_ij slope_ij``.

    Rows are divided by their totals.  Totals times mu span the left null space, so the added
    ``1 mu^T`` only fixes the free constant.  A row that is 0 altogether (mu at a vertex) is 0 on
    the right, too.
    """
    xp = array_namespace(slope)
    identity = xp.eye(mu.shape[-1], dtype=mu.dtype)
    weights = slope * relative
    totals = xp.sum(weights, axis=-1)[..., None]
    scale = xp.where(totals > 0, totals, 1.0)
    system = identity * (totals / scale) - weights / scale + mu[..., None, :]
    return xp.linalg.solve(system, right / scale)


def _others(mu: Array) -> tuple[Array, Array]:
    """The other responses' probabilities in each row, as shares of the largest, and that.

    Near a vertex a row knows only responses whose probabilities may be too small to multiply.
    """
    xp = array_namespace(mu)
    others = mu[..., None, :] * (1 - xp.eye(mu.shape[-1], dtype=mu.dtype))
    peak = xp.max(others, axis=-1)[..., None]
    peak = xp.where(peak > 0, peak, 1.0)
    return others / peak, peak


def _newton_step(P: Array, mu: Array, scores: Array) -> Array:
    xp = array_namespace(mu)
    excess, slope = _fit(P, scores)
    relative, _ = _others(mu)
    right = xp.sum(excess * relative, axis=-1)[..., None]
    return _laplacian_solve(slope, relative, mu, right)[..., 0]


def _damped(step: np.ndarray) -> np.ndarray:
    """Newton's step shortened by ``log(1 + d)/d``, d the largest change of a score difference.

    The logistic loss changes its curvature by at most a factor e per unit of difference
    (generalised self-concordance), for which this factor gives descent from anywhere and keeps
    quadratic convergence near the optimum (Sun and Tran-Dinh, arXiv 1703.04599).
    """
    d = np.ptp(step, axis=-1)[..., None]
    return step * np.log1p(d) / np.maximum(d, 1e-300)


def _check_strongly_connected(game) -> None:
    wins = game.P > 0
    if wins.all():
        return
    from scipy.sparse.csgraph import connected_components

    for index in np.ndindex(game.batch_shape):
        groups, labels = connected_components(wins[index], directed=True, connection="strong")
        if groups > 1:
            names = game.names or [str(i) for i in range(game.K)]
            parts = [[names[i] for i in np.flatnonzero(labels == g)] for g in range(groups)]
            where = f" in game {index}" if index else ""
            raise NoOptimum(
                f"DPO has no optimum{where}: wins never lead from some of the groups {parts} to "
                "others, so score differences are infinite; shrink P towards 1/2 or use IPO."
            )
