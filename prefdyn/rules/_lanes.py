"""Compiled advance of many MRS orbits: the same map as the rules, sixteen orbits at a time.

A kernel is what ``rule.compiled(K)`` returns, a function ``advance(rule, theta, rounds, moments)``
that moves the logits (..., K) forward and returns them, with the mean and the summed squared
deviations of the policies it passed where these are wanted: no trajectory is stored.  Tests hold it
to ``rule.step``.

A lane of sixteen orbits (`prefdyn.rules._simd`) runs all its rounds with its rows in the first
cache.  Logits are counted in bits there (nats divided by ln 2), with mean 0.
"""

import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import numba
import numpy as np
from numba.core import config

from prefdyn._errors import NoOptimum
from prefdyn.rules import _lane_scores, _simd
from prefdyn.rules._lane_scores import fit, space, start_fit
from prefdyn.rules._mixed_reference_sampling import matvec
from prefdyn.rules._rule import Advanced
from prefdyn.rules._simd import (
    LOG2_E,
    WIDTH,
    all_less,
    exp2,
    larger,
    load,
    magnitude,
    repeated,
    store,
)

SETTLED = 1e-15
"""Largest relative step of a logit at which an orbit has stopped: nothing changes from there on."""
CHECK = 16
"""Rounds between two looks at whether a lane has settled."""
LARGEST_FIXED = 4
"""Responses up to which MRS-IPO has a kernel for each number of them, its loops written out.

That is 1.5 times as fast for 3 and 4, and no faster for 8.  One kernel serves the rest."""
ROWS = 10
"""Vectors (K, 16) that the rounds of a lane work on."""
THREADS: int = config.NUMBA_NUM_THREADS  # pyright: ignore[reportAttributeAccessIssue]
WORTH_THREADS = 1_000_000
"""Updated logits from which an advance is spread over numba's threads."""


def advance_ipo(rule: Any, theta: np.ndarray, rounds: int, moments: bool = True) -> Advanced:
    """Advance MRS-IPO orbits; `theta` has shape (..., K) and is not changed."""
    skew = rule.game.skew - rule.game.skew.mean(axis=-2, keepdims=True)
    offline = matvec(skew, (1 - rule.lam)[..., None] * rule.mu0) / np.asarray(rule.beta)[..., None]
    gain = rule.lam / rule.beta * LOG2_E
    drift = _log_reference(rule) + offline
    return _advance(rule, theta, rounds, moments, skew, gain, drift, None)


def advance_dpo(rule: Any, theta: np.ndarray, rounds: int, moments: bool = True) -> Advanced:
    """Advance MRS-DPO orbits; Newton starts from the last round's scores.

    Raises
    ------
    NoOptimum
        If Newton's method does not settle in some round.
    """
    offline = (1 - rule.lam)[..., None] * rule.mu0
    gain, drift = 1 / rule.beta, _log_reference(rule)
    return _advance(rule, theta, rounds, moments, rule.game.P, gain, drift, offline)


def _log_reference(rule) -> np.ndarray:
    log_ref = rule.log_ref - rule.log_ref.mean(axis=-1, keepdims=True)
    return (1 - rule.alpha)[..., None] * log_ref


def _advance(rule, theta, rounds, moments, games, gain, drift, offline) -> Advanced:
    """Advance by ``alpha theta + drift + gain * drive``; Newton's drive needs the offline part."""
    shape, K = theta.shape[:-1], theta.shape[-1]
    size = int(np.prod(shape, dtype=int))

    def flat(values, *last):
        return _plain(np.broadcast_to(values, (*shape, *last)).reshape(size, *last))

    newton = offline is not None
    games = _plain(games.reshape(-1, K * K))
    theta = flat(theta, K) * LOG2_E
    orbits = (
        flat(np.arange(len(games)).reshape(rule.game.batch_shape)),
        np.stack([flat(rule.alpha), flat(gain), flat(rule.lam)], axis=-1),
        flat(drift * LOG2_E, K),
        flat(offline, K) if newton else theta,  # MRS-IPO, which has it in the drift, only reads it
        theta,
        *(np.empty_like(theta if moments else theta[:0]) for _ in range(2)),  # empty: not counted
    )
    run = _kernel(0 if newton or K > LARGEST_FIXED else K, _checksum())

    def part(some: slice) -> bool:
        order = np.empty((WIDTH, K), int) if newton else None
        rows, work = _simd.rows(ROWS, K), _simd.rows(space(K) if newton else K * K)
        return run(games, *(values[some] for values in orbits), rounds, rows, order, work)

    if not all(_in_threads(part, size, size * K * rounds)):
        raise NoOptimum(
            "DPO's Newton iteration did not settle on some orbit: a preference is too close to 0 "
            "or 1; shrink P towards 1/2 or use IPO."
        )
    theta /= LOG2_E
    wanted = orbits[-3:] if moments else (theta,)
    return Advanced(*(values.reshape(*shape, K) for values in wanted))


def _plain(values: np.ndarray) -> np.ndarray:
    """As one kind of array: for each other kind, a read-only one say, numba would compile anew."""
    return np.require(values, requirements=["C", "A", "W"])


def _in_threads(part: Callable[[slice], bool], size: int, work: int) -> list[bool]:
    """Results of all parts; where they are cut does not matter, as lanes know nothing of others."""
    if THREADS == 1 or work < WORTH_THREADS:
        return [part(slice(0, size))]
    length = -(-size // (4 * THREADS * WIDTH)) * WIDTH  # four each: some lanes settle, some do not
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(part, [slice(i, i + length) for i in range(0, size, length)]))


@cache
def _checksum() -> int:
    """Of the sources that go into a kernel: numba's disk cache looks at this file only."""
    files = [inspect.getsourcefile(module) for module in (_simd, _lane_scores)]
    return crc32(b"".join(Path(file).read_bytes() for file in files if file))


@cache
def _kernel(responses: int, sources: int) -> Callable[..., bool]:
    """The rounds, for so many responses; 0: for any number of them."""

    @numba.njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
    def run(
        games, which, rates, drift, offline, theta, mean, deviations, rounds, rows, order, work
    ):
        _ = sources  # what a function mentions is a part of its key in the cache
        K = responses or theta.shape[1]
        x, policy, before, drifts, offlines = rows[0], rows[1], rows[2], rows[3], rows[4]
        pivot, sums, squares, mu, scores = rows[5], rows[6], rows[7], rows[8], rows[9]
        mix, own = np.empty((3, WIDTH)), np.empty(WIDTH, np.int64)
        counts = len(mean) > 0
        for first in range(0, len(theta), WIDTH):
            number, shared = min(WIDTH, len(theta) - first), True
            for q in range(WIDTH):
                b = first + min(q, number - 1)  # spare places repeat the last orbit
                own[q] = which[b]
                shared &= own[q] == own[0]
                for i in range(3):
                    mix[i, q] = rates[b, i]
                for i in range(K):
                    x[i, q], drifts[i, q], offlines[i, q] = theta[b, i], drift[b, i], offline[b, i]
            if order is None:
                if not shared:
                    for q in range(WIDTH):
                        for k in range(K * K):
                            work[k, q] = games[own[q], k]
            else:
                start_fit(scores, order, K)
            alpha, gain, lam = load(mix, 0), load(mix, 1), load(mix, 2)
            inverse = _softmax(x, policy, K)
            for t in range(rounds):
                check = t % CHECK == 0
                if check:
                    for i in range(K):
                        store(before, i, load(x, i))
                if order is not None:  # pruned before compilation: MRS-IPO's has no Newton in it
                    for i in range(K):
                        store(mu, i, lam * inverse * load(policy, i) + load(offlines, i))
                    if not fit(games, own, mu, scores, order, t == 0, work, K):
                        return False
                    for i in range(K):
                        _move(x, i, alpha, drifts, gain * load(scores, i))
                elif shared:
                    _ipo_round(x, alpha, drifts, games[own[0]], policy, gain * inverse, K)
                else:
                    _ipo_round(x, alpha, drifts, work, policy, gain * inverse, K)
                inverse = _softmax(x, policy, K)
                settled = check and _settled(before, x, K)
                if counts and t == 0:
                    for i in range(K):
                        store(pivot, i, load(policy, i) * inverse)
                        store(sums, i, 0.0)
                        store(squares, i, 0.0)
                elif counts:  # a settled lane moves no more: its remaining rounds count as one
                    weight = float(rounds - t) if settled else 1.0
                    _count(policy, inverse, pivot, sums, squares, weight, K)
                if settled:
                    break
            for q in range(number):
                for i in range(K):
                    theta[first + q, i] = x[i, q]
            for q in range(number if counts else 0):
                for i in range(K):
                    shift = sums[i, q] / rounds
                    mean[first + q, i] = pivot[i, q] + shift
                    rest = squares[i, q] - shift * sums[i, q]
                    deviations[first + q, i] = 0.0 if rest < 0 else rest  # NaN stays NaN
        return True

    return run


@_simd.compiled
def _softmax(x, policy, K):
    """Set `policy` to multiples of the softmax, and return the factor that it lacks."""
    top = load(x, 0)
    for i in range(1, K):
        top = larger(top, load(x, i))
    total = repeated(0.0)
    for i in range(K):
        weight = exp2(load(x, i) - top)
        store(policy, i, weight)
        total = total + weight
    return 1.0 / total


@_simd.compiled
def _ipo_round(x, alpha, drifts, game, policy, scale, K):
    """Move x by the drive ``scale * game policy``, four rows at a time: one load, four products."""
    whole = K // 4 * 4
    for i in range(0, whole, 4):
        a, b, c, d = repeated(0.0), repeated(0.0), repeated(0.0), repeated(0.0)
        for j in range(K):
            p, k = load(policy, j), i * K + j
            a = a + load(game, k) * p
            b = b + load(game, k + K) * p
            c = c + load(game, k + 2 * K) * p
            d = d + load(game, k + 3 * K) * p
        _move(x, i, alpha, drifts, scale * a)
        _move(x, i + 1, alpha, drifts, scale * b)
        _move(x, i + 2, alpha, drifts, scale * c)
        _move(x, i + 3, alpha, drifts, scale * d)
    for i in range(whole, K):
        a = repeated(0.0)
        for j in range(K):
            a = a + load(game, i * K + j) * load(policy, j)
        _move(x, i, alpha, drifts, scale * a)


@_simd.compiled
def _move(x, i, alpha, drifts, drive):
    store(x, i, alpha * load(x, i) + load(drifts, i) + drive)


@_simd.compiled
def _count(policy, inverse, pivot, sums, squares, rounds, K):
    """Add these rounds to the moments, which are taken about the policy after the first round."""
    for i in range(K):
        shift = load(policy, i) * inverse - load(pivot, i)
        weighted = rounds * shift
        store(sums, i, load(sums, i) + weighted)
        store(squares, i, load(squares, i) + weighted * shift)


@_simd.compiled
def _settled(before, x, K):
    """Whether no logit of any orbit has moved."""
    step, scale = repeated(0.0), repeated(1.0)
    for i in range(K):
        step = larger(step, magnitude(load(x, i) - load(before, i)))
        scale = larger(scale, magnitude(load(x, i)))
    return all_less(step, SETTLED * scale)
