"""Compiled advance of many MRS orbits: the same map as the rules, a lane of orbits at a time.

A kernel is what ``rule.compiled(K)`` returns, a function ``advance(rule, theta, rounds)`` that
moves the logits (..., K) forward and returns them with the mean and the summed squared deviations
of the policies it passed, so that no trajectory is stored.  Tests hold it to ``rule.step``.

Every quantity (the logit of response i, one entry of a game, ...) is a row with one number per
orbit of the lane.  All rows of a lane stay in the cache, and every inner loop runs along them, so
that the compiler turns each into vector instructions, whatever K is.  That is ten times as fast as
one orbit after another.  `_exp` is our own because a call into the system's library would stop it.
"""

from typing import Any, NamedTuple

import numba
import numpy as np

from prefdyn._errors import NoOptimum
from prefdyn.rules.mrs_dpo import MAX_NEWTON_STEPS

SETTLED = 1e-15
"""Largest relative step of a logit at which an orbit has stopped: nothing changes from there on."""
CHECK = 16
"""Rounds between two looks at whether a lane has settled."""
LANE, WORKSPACE = 64, 131_072
"""Orbits in a lane, fewer if their games would hold more numbers than this (1 MiB)."""

# Multiplying and adding may be fused; nothing else about the arithmetic is relaxed.
_compile = numba.njit(cache=True, fastmath={"contract"}, error_model="numpy")


class Advanced(NamedTuple):
    """Result of a kernel: logits, and mean and summed squared deviations of policies, (..., K)."""

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
    games = np.ascontiguousarray(rule.game.P.reshape(-1, K, K))
    which = np.arange(len(games)).reshape(rule.game.batch_shape)
    log_ref = rule.log_ref - rule.log_ref.mean(axis=-1, keepdims=True)

    def scalar(values):
        return np.ascontiguousarray(np.broadcast_to(values, shape).reshape(size))

    def vector(values):
        return np.ascontiguousarray(np.broadcast_to(values, (*shape, K)).reshape(size, K))

    theta = vector(theta).copy()
    mean, deviations = np.zeros_like(theta), np.zeros_like(theta)
    width = min(LANE, max(8, WORKSPACE // K**2), -(-size // 8) * 8)
    ok = _run(
        games if implicit else games - 0.5,
        scalar(which),
        scalar(1 / rule.beta),
        scalar(rule.alpha),
        scalar(rule.lam),
        vector((1 - rule.alpha)[..., None] * log_ref),
        vector((1 - rule.lam)[..., None] * rule.mu0),
        theta,
        mean,
        deviations,
        rounds,
        np.repeat(np.arange(K)[:, None], width, axis=1) if implicit else None,
        width,
    )
    if not ok:
        raise NoOptimum(
            "DPO's Newton iteration did not settle on some orbit: a preference is too close to 0 "
            "or 1; shrink P towards 1/2 or use IPO."
        )
    full = (*shape, K)
    return Advanced(theta.reshape(full), mean.reshape(full), deviations.reshape(full))


@_compile
def _run(games, which, gain, alpha, lam, drift, offline, theta, mean, deviations, rounds, order, L):
    size, K = theta.shape
    x, pi, mu, new = np.empty((K, L)), np.empty((K, L)), np.empty((K, L)), np.empty((K, L))
    drifts, offlines = np.empty((K, L)), np.empty((K, L))
    means, squares = np.empty((K, L)), np.empty((K, L))
    game, rates = np.empty((K * K, L)), np.empty((3, L))
    scores, work = np.empty((K, L)), np.empty((2 * K * K + 2 * K + 4, L))
    for first in range(0, size, L):
        for q in range(L):
            b = min(first + q, size - 1)  # spare lanes repeat the last orbit
            rates[0, q], rates[1, q], rates[2, q] = gain[b], alpha[b], lam[b]
            for i in range(K):
                x[i, q], drifts[i, q], offlines[i, q] = theta[b, i], drift[b, i], offline[b, i]
                means[i, q], squares[i, q], scores[i, q] = 0.0, 0.0, 0.0
                for j in range(K):
                    game[i * K + j, q] = games[which[b], i, j]
        _policy(x, pi, work)
        for t in range(rounds):
            for i in range(K):
                for q in range(L):
                    mu[i, q] = rates[2, q] * pi[i, q] + offlines[i, q]
            if order is None:  # pruned before compilation: MRS-IPO does not wait for Newton's
                _ipo_drive(game, mu, new)
            elif not _dpo_drive(game, mu, scores, order, new, work):
                return False
            _mix(x, new, drifts, rates, work)
            settled = t % CHECK == 0 and _settled(x, new)
            x, new = new, x
            _policy(x, pi, work)
            # A settled lane stays where it is: its remaining rounds enter the moments as one block.
            block = rounds - t if settled else 1
            share = block / (t + block)
            for i in range(K):
                for q in range(L):
                    delta = pi[i, q] - means[i, q]
                    means[i, q] += delta * share
                    squares[i, q] += delta * delta * (share * t)
            if settled:
                break
        for q in range(min(L, size - first)):
            for i in range(K):
                theta[first + q, i] = x[i, q]
                mean[first + q, i] = means[i, q]
                deviations[first + q, i] = squares[i, q]
    return True


@_compile
def _policy(x, pi, work):
    """Softmax of each lane."""
    K, L = x.shape
    top, total = work[0], work[1]
    for q in range(L):
        top[q], total[q] = x[0, q], 0.0
    for i in range(1, K):
        for q in range(L):
            top[q] = max(top[q], x[i, q])
    for i in range(K):
        for q in range(L):
            pi[i, q] = _exp(x[i, q] - top[q])
            total[q] += pi[i, q]
    for q in range(L):
        total[q] = 1 / total[q]
    for i in range(K):
        for q in range(L):
            pi[i, q] *= total[q]


@_compile
def _ipo_drive(game, mu, new):
    """``A mu``."""
    K, L = mu.shape
    for i in range(K):
        for q in range(L):
            new[i, q] = 0.0
        for j in range(K):
            for q in range(L):
                new[i, q] += game[i * K + j, q] * mu[j, q]


@_compile
def _mix(x, new, drifts, rates, work):
    """From the drive in `new` to the next logits there, mean zero."""
    K, L = x.shape
    average = work[0]
    for q in range(L):
        average[q] = 0.0
    for i in range(K):
        for q in range(L):
            new[i, q] = rates[1, q] * x[i, q] + drifts[i, q] + rates[0, q] * new[i, q]
            average[q] += new[i, q] / K
    for i in range(K):
        for q in range(L):
            new[i, q] -= average[q]


@_compile
def _settled(x, new):
    K, L = x.shape
    for q in range(L):
        step, scale = 0.0, 1.0
        for i in range(K):
            step = max(step, abs(new[i, q] - x[i, q]))
            scale = max(scale, abs(new[i, q]))
        if not step <= SETTLED * scale:
            return False
    return True


@_compile
def _dpo_drive(game, mu, scores, order, new, work):
    """DPO scores by `_fit`, with the responses of each orbit in order of their share in mu."""
    K, L = mu.shape
    sorted_game, rest = work[: K * K], work[K * K :]
    sorted_mu, sorted_scores = rest[:K], rest[K : 2 * K]
    for q in range(L):
        for i in range(1, K):  # insertion sort: the order rarely changes from round to round
            response = order[i, q]
            while i > 0 and mu[order[i - 1, q], q] > mu[response, q]:
                order[i, q] = order[i - 1, q]
                i -= 1
            order[i, q] = response
        for i in range(K):
            a = order[i, q]
            sorted_mu[i, q], sorted_scores[i, q] = mu[a, q], scores[a, q]
            for j in range(K):
                sorted_game[i * K + j, q] = game[a * K + order[j, q], q]
    if not _fit(sorted_game, sorted_mu, sorted_scores, new, rest[2 * K :]):
        return False
    for q in range(L):
        for i in range(K):
            scores[order[i, q], q] = new[order[i, q], q] = sorted_scores[i, q]
    return True


@_compile
def _fit(game, mu, scores, step, work):
    """Newton's method for the DPO scores, in place; False if it does not settle (see mrs_dpo)."""
    K, L = mu.shape
    rates, largest, spread = work[: K * K], work[K * K], work[K * K + 1]
    scale, moving = work[K * K + 2], work[K * K + 3]
    for q in range(L):
        moving[q] = 1.0
    for _ in range(MAX_NEWTON_STEPS):
        _newton_system(game, mu, scores, rates, step, largest, spread)
        _eliminate(rates, step, largest)
        for q in range(L):
            largest[q], spread[q], scale[q] = step[0, q], step[0, q], 1.0
        for i in range(K):
            for q in range(L):
                largest[q] = max(largest[q], step[i, q])
                spread[q] = min(spread[q], step[i, q])
                scale[q] = max(scale[q], abs(scores[i, q]))
        # log1p(d) / d is a safe step length; 2 / (2 + d) is just below it and costs no logarithm.
        for q in range(L):
            spread[q] = largest[q] - spread[q]
            largest[q] = moving[q] * 2 / (2 + spread[q])
        for i in range(K):
            for q in range(L):
                scores[i, q] += step[i, q] * largest[q]
        left = 0.0
        for q in range(L):
            if not spread[q] < np.inf:  # NaN too: the system was singular
                return False
            if spread[q] <= 1e-10 * scale[q]:  # the next error is its square
                moving[q] = 0.0
            left += moving[q]
        if left == 0:
            return True
    return False


@_compile
def _newton_system(game, mu, scores, rates, residual, excess, slope):
    """Off-diagonal weights of the Laplacian and the residual of the DPO equations."""
    K, L = mu.shape
    for i in range(K):
        for q in range(L):
            residual[i, q] = 0.0
    for i in range(K):
        for j in range(i):
            above, below, a, b = game[i * K + j], game[j * K + i], scores[i], scores[j]
            # Short loops with one output each: more, and the compiler gives up on vectors.
            for q in range(L):
                tail = _exp(-abs(a[q] - b[q]))
                slope[q] = tail / (1 + tail)
            for q in range(L):
                excess[q] = above[q] - slope[q] if a[q] < b[q] else slope[q] - below[q]
            for q in range(L):
                slope[q] -= slope[q] ** 2
            for q in range(L):
                residual[i, q] += excess[q] * mu[j, q]
            for q in range(L):
                residual[j, q] -= excess[q] * mu[i, q]
            for q in range(L):
                rates[i * K + j, q] = slope[q] * mu[j, q]
            for q in range(L):
                rates[j * K + i, q] = slope[q] * mu[i, q]


@_compile
def _eliminate(rates, b, inverse):
    """Solve ``sum_j rates_ij (x_i - x_j) = b_i`` in place, with the last x at 0.

    Eliminating response c turns what the others lose to it into links among them: rates are only
    ever added, so no rate cancels, and no pivoting is needed as long as the rare responses go
    first (the equation of a frequent one is the sum of theirs, up to rounding).
    """
    K, L = b.shape
    for c in range(K - 1):
        for q in range(L):
            inverse[q] = rates[c * K + c + 1, q]
        for j in range(c + 2, K):
            for q in range(L):
                inverse[q] += rates[c * K + j, q]
        for q in range(L):
            inverse[q] = 1 / inverse[q]
        for j in range(c + 1, K):
            for q in range(L):
                rates[c * K + j, q] *= inverse[q]
        for q in range(L):
            b[c, q] *= inverse[q]
        for i in range(c + 1, K - 1):
            for q in range(L):
                b[i, q] += rates[i * K + c, q] * b[c, q]
            for j in range(c + 1, K):
                if j != i:
                    for q in range(L):
                        rates[i * K + j, q] += rates[i * K + c, q] * rates[c * K + j, q]
    for q in range(L):
        b[K - 1, q] = 0.0
    for c in range(K - 2, -1, -1):
        for j in range(c + 1, K - 1):
            for q in range(L):
                b[c, q] += rates[c * K + j, q] * b[j, q]


LOG2_E = 1.4426950408889634
LN_2_HIGH, LN_2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
ROUND = 1.5 * 2.0**52
"""Adding this number rounds to an integer, which then stands in the last bits."""


@_compile
def _exp(x):
    """``exp(x)`` for x <= 0 within 1.1 units in the last place; 0 below -708.

    ``x = k ln 2 + r`` with ``|r| <= ln(2)/2``; the Taylor series of ``e^r`` to r^13 is exact to
    rounding; ``2^k`` is added to the exponent bits.
    """
    shifted = max(x, -708.0) * LOG2_E + ROUND
    k = shifted - ROUND
    r = (max(x, -708.0) - k * LN_2_HIGH) - k * LN_2_LOW
    p = 1 / 6227020800
    p = p * r + 1 / 479001600
    p = p * r + 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 1 / 2
    p = p * r + 1
    p = p * r + 1
    exponent = np.float64(shifted).view(np.int64) << 52
    power = np.int64(np.float64(p).view(np.int64) + exponent).view(np.float64)
    return power if x >= -708.0 else 0.0
