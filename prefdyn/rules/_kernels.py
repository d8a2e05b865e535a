"""Compiled advance of many MRS orbits: the same map as the rules, one orbit at a time, no arrays.

A kernel is what ``rule.compiled(K)`` returns, a function ``advance(rule, theta, rounds)`` that
moves the logits (B, K) forward and returns them with the mean and the summed squared deviations of
the policies it passed, so that no trajectory is stored.  Tests hold it to ``rule.step``.
"""

from typing import Any, NamedTuple

import numba
import numpy as np

from prefdyn._errors import NoOptimum
from prefdyn.rules.mrs_dpo import MAX_NEWTON_STEPS

SETTLED = 1e-15
"""Largest relative step of a logit at which an orbit has stopped: nothing changes from there on."""


class Advanced(NamedTuple):
    """Result of a kernel: logits, and mean and summed squared deviations of the policy, (B, K)."""

    theta: np.ndarray
    mean: np.ndarray
    deviations: np.ndarray


def advance_ipo(rule: Any, theta: np.ndarray, rounds: int) -> Advanced:
    """Advance MRS-IPO orbits; `theta` has shape (..., K) and is not changed."""
    return _advance(rule, theta, rounds, implicit=False)


def advance_dpo(rule: Any, theta: np.ndarray, rounds: int) -> Advanced:
    """Advance MRS-DPO orbits; Newton starts from the last round's scores.

    Raises
    ------
    NoOptimum
        If Newton's method does not settle in some round.
    """
    return _advance(rule, theta, rounds, implicit=True)


def _advance(rule, theta, rounds, implicit) -> Advanced:
    shape, K = theta.shape[:-1], theta.shape[-1]
    size = int(np.prod(shape, dtype=int))

    def vector(values):
        return np.ascontiguousarray(np.broadcast_to(values, (*shape, K)).reshape(size, K))

    def scalar(values):
        return np.ascontiguousarray(np.broadcast_to(values, shape).reshape(size))

    games = rule.game.P.reshape(-1, K, K)
    which = np.arange(len(games)).reshape(rule.game.batch_shape)
    theta = vector(theta).copy()
    mean, deviations = np.zeros_like(theta), np.zeros_like(theta)
    ok = _run(
        np.ascontiguousarray(games),
        scalar(which),
        scalar(rule.beta),
        scalar(rule.alpha),
        scalar(rule.lam),
        vector(rule.log_ref),
        vector(rule.mu0),
        theta,
        mean,
        deviations,
        rounds,
        implicit,
    )
    if not ok:
        raise NoOptimum(
            "DPO's Newton iteration did not settle on some orbit: a preference is too close to 0 "
            "or 1; shrink P towards 1/2 or use IPO."
        )
    full = (*shape, K)
    return Advanced(theta.reshape(full), mean.reshape(full), deviations.reshape(full))


@numba.njit(cache=True)
def _run(P, which, beta, alpha, lam, log_ref, mu0, theta, mean, deviations, rounds, implicit):
    size, K = theta.shape
    for b in range(size):
        game = P[which[b]]
        pi, mu, new, scores = np.empty(K), np.empty(K), np.empty(K), np.zeros(K)
        for t in range(rounds):
            x = theta[b]
            top = x.max()
            total = 0.0
            for i in range(K):
                pi[i] = np.exp(x[i] - top)
                total += pi[i]
            log_norm = top + np.log(total)
            for i in range(K):
                pi[i] /= total
                mu[i] = lam[b] * pi[i] + (1 - lam[b]) * mu0[b, i]
            if implicit:
                if not _fit_scores(game, mu, scores):
                    return False
                for i in range(K):
                    new[i] = scores[i]
            else:
                for i in range(K):
                    new[i] = 0.0
                    for j in range(K):
                        new[i] += (game[i, j] - 0.5) * mu[j]
            average = 0.0
            for i in range(K):
                mixed = alpha[b] * (x[i] - log_norm) + (1 - alpha[b]) * log_ref[b, i]
                new[i] = mixed + new[i] / beta[b]
                average += new[i] / K
            step, scale = 0.0, 1.0
            for i in range(K):
                new[i] -= average
                step = max(step, abs(new[i] - x[i]))
                scale = max(scale, abs(new[i]))
            stopped = step <= SETTLED * scale
            top = new.max()
            total = 0.0
            for i in range(K):
                x[i] = new[i]
                pi[i] = np.exp(new[i] - top)
                total += pi[i]
            # A stopped orbit stays: its remaining rounds enter the moments as one block.
            block = rounds - t if stopped else 1
            for i in range(K):
                delta = pi[i] / total - mean[b, i]
                mean[b, i] += delta * block / (t + block)
                deviations[b, i] += delta * delta * block * t / (t + block)
            if stopped:
                break
    return True


@numba.njit(cache=True)
def _fit_scores(P, mu, scores):
    """Newton's method for the DPO scores, in place; False if it does not settle (see mrs_dpo)."""
    K = len(mu)
    system, step = np.empty((K, K)), np.empty(K)
    for _ in range(MAX_NEWTON_STEPS):
        _newton_system(P, mu, scores, system, step)
        _solve(system, step)
        d = step.max() - step.min()
        if not d < np.inf:  # NaN too: the system was singular
            return False
        factor = np.log1p(d) / max(d, 1e-300)
        average, largest, scale = 0.0, 0.0, 1.0
        for i in range(K):
            largest = max(largest, abs(step[i]))
            scale = max(scale, abs(scores[i]))
            scores[i] += factor * step[i]
            average += scores[i] / K
        for i in range(K):
            scores[i] -= average
        if largest <= 1e-10 * scale:  # the next error is its square
            return True
    return False


@numba.njit(cache=True)
def _newton_system(P, mu, scores, system, residual):
    """Fill the regularised Laplacian and the residual of the DPO equations."""
    K = len(mu)
    for i in range(K):
        residual[i] = 0.0
        for j in range(K):
            system[i, j] = 0.0
    for i in range(K):
        for j in range(i):
            gap = scores[i] - scores[j]
            tail = np.exp(-abs(gap))
            smaller = tail / (1 + tail)
            excess = P[i, j] - smaller if gap < 0 else smaller - P[j, i]
            slope = smaller * (1 - smaller)
            residual[i] += excess * mu[j]
            residual[j] -= excess * mu[i]
            system[i, i] += slope * mu[j]
            system[j, j] += slope * mu[i]
            system[i, j] -= slope * mu[j]
            system[j, i] -= slope * mu[i]
    for i in range(K):
        scale = system[i, i] if system[i, i] > 0 else 1.0  # see mrs_dpo._laplacian
        for j in range(K):
            system[i, j] += scale * mu[j]


@numba.njit(cache=True, error_model="numpy")  # a singular system gives NaN, not an exception
def _solve(system, b):
    """Gaussian elimination with partial pivoting, in place; for small K it beats LAPACK."""
    K = len(b)
    for c in range(K):
        pivot = c
        for i in range(c + 1, K):
            if abs(system[i, c]) > abs(system[pivot, c]):
                pivot = i
        if pivot != c:
            for j in range(K):
                system[c, j], system[pivot, j] = system[pivot, j], system[c, j]
            b[c], b[pivot] = b[pivot], b[c]
        for i in range(c + 1, K):
            factor = system[i, c] / system[c, c]
            for j in range(c, K):
                system[i, j] -= factor * system[c, j]
            b[i] -= factor * b[c]
    for c in range(K - 1, -1, -1):
        for j in range(c + 1, K):
            b[c] -= system[c, j] * b[j]
        b[c] /= system[c, c]
