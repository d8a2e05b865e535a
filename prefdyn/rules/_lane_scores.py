"""DPO scores of sixteen samplers at once: the Newton iteration of `mrs_dpo`, compiled.

Scores are counted in bits (nats divided by ln 2), for the sake of `exp2`.  A quantity is an array
(rows, 16), one row per response, or per entry of a matrix.
"""

import numpy as np

from prefdyn.rules import _simd
from prefdyn.rules._simd import (
    LOG2_E,
    WIDTH,
    all_less,
    exp2,
    if_less,
    larger,
    load,
    magnitude,
    repeated,
    smaller,
    store,
)
from prefdyn.rules.mrs_dpo import MAX_NEWTON_STEPS


def space(K: int) -> int:
    """Rows that `fit` works on."""
    return 2 * K * K + 3 * K


@_simd.compiled
def start_fit(scores, order, K):
    """Before the first of a row of fits."""
    for i in range(K):
        store(scores, i, 0.0)
        order[:, i] = i


@_simd.compiled
def fit(games, which, mu, scores, order, first, work, K):
    """Fit `scores` to the samplers `mu`, in place, mean 0; False if Newton does not settle.

    `order` (16, K) holds each sampler's responses by increasing share: the elimination wants them
    so.  It rarely changes from round to round, and the games are rearranged when it does.
    """
    game, rates, rest = work[: K * K], work[K * K : 2 * K * K], work[2 * K * K :]
    shares, values, step = rest[:K], rest[K : 2 * K], rest[2 * K :]
    for q in range(WIDTH):
        if _sort(order[q], mu[:, q], K) or first:
            for i in range(K):
                for j in range(K):
                    game[i * K + j, q] = games[which[q], order[q, i] * K + order[q, j]]
        for i in range(K):
            shares[i, q], values[i, q] = mu[order[q, i], q], scores[order[q, i], q]
    if not _newton(game, shares, values, step, rates, K):
        return False
    mean = repeated(0.0)
    for i in range(K):
        mean = mean + load(values, i)
    mean = mean / float(K)
    for i in range(K):
        store(values, i, load(values, i) - mean)
    for q in range(WIDTH):
        for i in range(K):
            scores[order[q, i], q] = values[i, q]
    return True


@_simd.compiled
def _sort(order, keys, K):
    """Insertion sort of `order` by increasing key; whether anything moved."""
    moved = False
    for i in range(1, K):
        response = order[i]
        while i > 0 and keys[order[i - 1]] > keys[response]:
            order[i] = order[i - 1]
            i -= 1
            moved = True
        order[i] = response
    return moved


@_simd.compiled
def _newton(game, mu, scores, step, rates, K):
    """Newton's method from `scores`, in place; False if it does not settle."""
    moving = repeated(1.0)
    for _ in range(MAX_NEWTON_STEPS):
        _newton_system(game, mu, scores, rates, step, K)
        _eliminate(rates, step, K)
        highest, lowest, scale = load(step, 0), load(step, 0), repeated(1.0)
        for i in range(K):
            highest, lowest = larger(highest, load(step, i)), smaller(lowest, load(step, i))
            scale = larger(scale, magnitude(load(scores, i)))
        spread = highest - lowest
        if not all_less(spread, np.inf):  # NaN too: the system was singular
            return False
        # log1p(d) / d is a safe step length; 2 / (2 + d) is just below it and costs no logarithm.
        length = moving * (2 * LOG2_E) / (2.0 + spread)
        for i in range(K):
            store(scores, i, load(scores, i) + load(step, i) * length)
        moving = if_less(1e-10 * scale, spread, moving, 0.0)  # the next error is its square
        if all_less(moving, 0.5):
            return True
    return False


@_simd.compiled
def _newton_system(game, mu, scores, rates, residual, K):
    """Off-diagonal weights of the Laplacian and the residual of the DPO equations."""
    for i in range(K):
        store(residual, i, 0.0)
    for i in range(K):
        for j in range(i):
            ij, ji = i * K + j, j * K + i
            a, b = load(scores, i), load(scores, j)
            tail = exp2(0.0 - magnitude(a - b))
            rarer = tail / (1.0 + tail)
            excess = if_less(a, b, load(game, ij) - rarer, rarer - load(game, ji))
            slope = rarer - rarer * rarer
            store(residual, i, load(residual, i) + excess * load(mu, j))
            store(residual, j, load(residual, j) - excess * load(mu, i))
            store(rates, ij, slope * load(mu, j))
            store(rates, ji, slope * load(mu, i))


@_simd.compiled
def _eliminate(rates, b, K):
    """Solve ``sum_j rates_ij (x_i - x_j) = b_i`` in place, with the last x at 0.

    Eliminating response c turns what the others lose to it into links among them: rates are only
    ever added, so no rate cancels, and no pivoting is needed as long as the rare responses go
    first (the equation of a frequent one is the sum of theirs, up to rounding).
    """
    for c in range(K - 1):
        total = load(rates, c * K + c + 1)
        for j in range(c + 2, K):
            total = total + load(rates, c * K + j)
        inverse = 1.0 / total
        for j in range(c + 1, K):
            store(rates, c * K + j, load(rates, c * K + j) * inverse)
        store(b, c, load(b, c) * inverse)
        for i in range(c + 1, K - 1):
            lost = load(rates, i * K + c)
            store(b, i, load(b, i) + lost * load(b, c))
            for j in range(c + 1, K):
                if j != i:
                    ij = i * K + j
                    store(rates, ij, load(rates, ij) + lost * load(rates, c * K + j))
    store(b, K - 1, 0.0)
    for c in range(K - 2, -1, -1):
        x = load(b, c)
        for j in range(c + 1, K - 1):
            x = x + load(rates, c * K + j) * load(b, j)
        store(b, c, x)
