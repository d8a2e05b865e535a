"""Many orbits of small tabular policies, some in every program, on-chip from the first round on.

Arrays have the orbit in the last axis, and the K x K numbers of an orbit are a tile [j, i, orbit]
that is summed over j.  Triton spreads the last axes of a tile over threads first: with few
responses a thread has an orbit to itself, with many a warp or more share one, and the sums over j
stay within a thread or nearly so.  Responses beyond K, up to the next power of two, have logit 0
and probability 0; orbits beyond n repeat the last one and are not written.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from prefdyn.llm.kernels._orbits import (
    MAX_NEWTON_STEPS,
    MOST_RESPONSES,
    NEWTON_TOLERANCE,
    Moved,
)

SETTLED = tl.constexpr(1e-15)
"""Largest relative step of a logit at which an orbit has stopped: nothing changes from there on."""
CHECK = tl.constexpr(16)
"""Rounds between two looks at whether the orbits of a program have settled."""
STEPS, TOLERANCE = tl.constexpr(MAX_NEWTON_STEPS), tl.constexpr(NEWTON_TOLERANCE)
LAUNCH = 2**36
"""Entries of tiles passed in one launch: a fraction of a second, so that no watchdog barks."""


class Launch(NamedTuple):
    """How a kernel is launched: padded responses, orbits in a program, and its warps."""

    padded: int
    orbits: int
    warps: int


def settings(K: int, *, tiles: int) -> Launch:
    """Settings for K responses and a number of tiles that live at once.

    A thread, of 255 registers, holds 32 numbers of one tile or 8 of each of several, but for four
    responses at most, whose whole orbit it holds, and for 64, where more warps would have fewer
    registers.
    """
    padded = max(2, 1 << (K - 1).bit_length())
    of_a_warp = 32 * (32 if tiles == 1 else 8)
    return Launch(
        padded,
        orbits=32 if padded <= 4 else max(1, of_a_warp // padded**2),
        warps=min(8, max(1, padded**2 // of_a_warp)),
    )


def mixed_orbits(
    games: Tensor,
    which: Tensor,
    theta: Tensor,
    rounds: int,
    *,
    gain: Tensor,
    alpha: Tensor,
    lam: Tensor,
    drift: Tensor,
    offline: Tensor,
    fitted: bool,
) -> Moved:
    """Triton kernel for `prefdyn.llm.kernels.mixed_orbits`."""
    K = theta.shape[1]
    launch = settings(K, tiles=3 if fitted else 1)
    fixed = (
        games.permute(1, 2, 0).contiguous(),
        which.contiguous(),
        gain.contiguous(),
        alpha.contiguous(),
        lam.contiguous(),
        drift.T.contiguous(),
        offline.T.contiguous(),
    )
    return _launches(_mixed_kernel, fixed, len(games), theta, rounds, launch, FITTED=fitted)


def pair_orbits(
    weights: Tensor, theta: Tensor, rounds: int, *, rate: Tensor, reference: Tensor, push: Tensor
) -> Moved:
    """Triton kernel for `prefdyn.llm.kernels.pair_orbits`."""
    launch = settings(theta.shape[1], tiles=3)
    fixed = (
        weights.contiguous(),
        rate.contiguous(),
        reference.T.contiguous(),
        push.contiguous(),
    )
    return _launches(_pair_kernel, fixed, 1, theta, rounds, launch)


def _launches(kernel, fixed, games: int, theta: Tensor, rounds: int, launch: Launch, **constants):
    """Run a kernel from launch to launch; the state stays on the device in between."""
    n, K = theta.shape
    if K > MOST_RESPONSES:
        raise ValueError(f"theta has {K} responses: a kernel holds at most {MOST_RESPONSES}.")
    state = theta.T.clone(memory_format=torch.contiguous_format)
    mean, deviations = torch.zeros_like(state), torch.zeros_like(state)
    failed = torch.zeros(n, dtype=torch.int32, device=theta.device)
    grid = (triton.cdiv(n, launch.orbits),)
    most = max(1, LAUNCH // max(1, n * launch.padded**2))
    constants |= {"K": K, "KP": launch.padded, "ORBITS": launch.orbits}
    with torch.cuda.device_of(theta):
        for before in range(0, rounds if n else 0, most):
            numbers = games, n, before, min(rounds, before + most)
            kernel[grid](
                *fixed,
                state,
                mean,
                deviations,
                failed,
                *numbers,
                **constants,
                num_warps=launch.warps,
            )
    return Moved(
        state.T.contiguous(), mean.T.contiguous(), deviations.T.contiguous(), failed.bool()
    )


# Nothing is compiled anew for a number of rounds or orbits that happens to be a multiple of 16 or 1
# (and so the spread of a tile over threads does not depend on it).
NUMBERS = ["games_count", "n", "before", "after"]


@triton.jit(do_not_specialize=NUMBERS)
def _mixed_kernel(
    games,
    which,
    gain,
    alpha,
    lam,
    drift,
    offline,
    theta,
    mean,
    deviations,
    failed,
    games_count,
    n,
    before,
    after,
    FITTED: tl.constexpr,
    K: tl.constexpr,
    KP: tl.constexpr,
    ORBITS: tl.constexpr,
):
    orbit, real, i, valid, at = _places(  # pyright: ignore[reportGeneralTypeIssues]
        n, K, KP, ORBITS
    )
    i_, j_ = i[None, :, None], i[:, None, None]
    own = tl.load(which + orbit).to(tl.int64)[None, None, :]
    inside = (i_ < K) & (j_ < K)
    game = tl.load(games + (i_ * K + j_) * games_count.to(tl.int64) + own, mask=inside, other=0.5)
    gains, alphas = tl.load(gain + orbit)[None, :], tl.load(alpha + orbit)[None, :]
    lams = tl.load(lam + orbit)[None, :]
    drifts = tl.load(drift + at, mask=valid, other=0.0)
    offlines = tl.load(offline + at, mask=valid, other=0.0)
    x = tl.load(theta + at, mask=valid, other=0.0)
    means = tl.load(mean + at, mask=valid, other=0.0)
    squares = tl.load(deviations + at, mask=valid, other=0.0)
    bad = tl.load(failed + orbit)
    scores = tl.zeros_like(x)
    if FITTED:
        turned = tl.load(
            games + (j_ * K + i_) * games_count.to(tl.int64) + own, mask=inside, other=0.5
        )
    policy = _softmax(x, valid)
    t = before
    while t < after:
        last = x
        for _ in range(tl.minimum(CHECK, after - t)):
            last = x
            mu = lams * policy + offlines
            if FITTED:
                scores, bad = _fit(game, turned, mu, scores, bad, i, valid, K, KP)
                drive = scores
            else:
                drive = tl.sum(game * mu[:, None, :], axis=0)
            x = alphas * x + drifts + gains * drive
            x = tl.where(valid, x, 0.0)
            x = tl.where(valid, x - (tl.sum(x, axis=0) * (1.0 / K))[None, :], 0.0)
            policy = _softmax(x, valid)
            means, squares = _note(means, squares, policy, t, t + 1)
            t += 1
        rest = (after - t) * _settled(last, x)
        means, squares = _note(means, squares, policy, t, t + rest)
        t += rest
    kept = valid & real[None, :]
    tl.store(theta + at, x, mask=kept)
    tl.store(mean + at, means, mask=kept)
    tl.store(deviations + at, squares, mask=kept)
    tl.store(failed + orbit, bad, mask=real)


@triton.jit(do_not_specialize=NUMBERS)
def _pair_kernel(
    weights,
    rate,
    reference,
    push,
    theta,
    mean,
    deviations,
    failed,
    games_count,
    n,
    before,
    after,
    K: tl.constexpr,
    KP: tl.constexpr,
    ORBITS: tl.constexpr,
):
    orbit, real, i, valid, at = _places(  # pyright: ignore[reportGeneralTypeIssues]
        n, K, KP, ORBITS
    )
    i_, j_ = i[None, :, None], i[:, None, None]
    inside = (i_ < K) & (j_ < K)
    # One table for all orbits; 0 where there is no pair, so that padding pushes nothing.
    up = tl.load(weights + i_ * K + j_, mask=inside, other=0.0)
    down = tl.load(weights + j_ * K + i_, mask=inside, other=0.0)
    rates = tl.load(rate + orbit)[None, :]
    n_ = n.to(tl.int64)
    constant = tl.load(push + orbit)[None, None, :]
    slope = tl.load(push + n_ + orbit)[None, None, :]
    height = tl.load(push + 2 * n_ + orbit)[None, None, :]
    steepness = tl.load(push + 3 * n_ + orbit)[None, None, :]
    origin = tl.load(reference + at, mask=valid, other=0.0)
    x = tl.load(theta + at, mask=valid, other=0.0)
    means = tl.load(mean + at, mask=valid, other=0.0)
    squares = tl.load(deviations + at, mask=valid, other=0.0)
    policy = _softmax(x, valid)
    t = before
    while t < after:
        last = x
        for _ in range(tl.minimum(CHECK, after - t)):
            last = x
            z = x - origin
            gap = z[None, :, :] - z[:, None, :]
            # sigmoid(-u) and sigmoid(u) from one exponential that cannot overflow.
            u = steepness * gap
            tail = tl.exp(-tl.abs(u))
            larger = _inverse(1 + tail)
            smaller = tail * larger
            linear = slope * gap
            won = constant - linear + height * tl.where(u < 0, larger, smaller)
            lost = constant + linear + height * tl.where(u < 0, smaller, larger)
            x += rates * tl.sum(up * won - down * lost, axis=0)
            policy = _softmax(x, valid)
            means, squares = _note(means, squares, policy, t, t + 1)
            t += 1
        rest = (after - t) * _settled(last, x)
        means, squares = _note(means, squares, policy, t, t + rest)
        t += rest
    kept = valid & real[None, :]
    tl.store(theta + at, x, mask=kept)
    tl.store(mean + at, means, mask=kept)
    tl.store(deviations + at, squares, mask=kept)


@triton.jit
def _places(n, K: tl.constexpr, KP: tl.constexpr, ORBITS: tl.constexpr):
    """Numbers of the program's orbits and which are real, of responses, and places in (K, n)."""
    numbers = tl.program_id(0).to(tl.int64) * ORBITS + tl.arange(0, ORBITS)
    orbit = tl.minimum(numbers, n - 1)
    i = tl.arange(0, KP)
    return orbit, numbers < n, i, (i < K)[:, None], i[:, None] * n.to(tl.int64) + orbit[None, :]


@triton.jit
def _softmax(x, valid):
    x = tl.where(valid, x, float("-inf"))
    weight = tl.exp(x - tl.max(x, axis=0)[None, :])
    return weight * _inverse(tl.sum(weight, axis=0))[None, :]


@triton.jit
def _inverse(x):
    """``1 / x`` to rounding for x in [1, 2^60]: Newton's method from single precision.

    The division of double precision calls a routine for extreme operands, around which registers
    are spilled.
    """
    y = (1 / x.to(tl.float32)).to(tl.float64)
    y += y * (1 - x * y)
    return y + y * (1 - x * y)


@triton.jit
def _inverse_of_any(x):
    """``1 / x`` for any x > 0, as ``2^-k / (2^-k x)``; NaN for 0 and infinity."""
    power = x.to(tl.int64, bitcast=True) & 0x7FF0000000000000  # 2^k: the exponent's bits alone
    scale = (0x7FE0000000000000 - power).to(tl.float64, bitcast=True)
    return _inverse(x * scale) * scale


@triton.jit
def _note(mean, squares, policy, before, after):
    """Mean and squared deviations once rounds before .. after have all ended in one policy."""
    share = (after - before).to(tl.float64) * _inverse(tl.maximum(after, 1).to(tl.float64))
    delta = policy - mean
    return mean + delta * share, squares + delta * delta * (share * before.to(tl.float64))


@triton.jit
def _settled(last, x):
    """1 where a round moved no orbit any more, else 0; NaN counts as moving."""
    scale = tl.maximum(tl.max(tl.abs(x), axis=0), 1.0)
    still = tl.abs(x - last) <= (scale * SETTLED)[None, :]
    return tl.min(tl.min(still.to(tl.int32), axis=0), axis=0)


@triton.jit
def _fit(game, turned, mu, scores, bad, i, valid, K: tl.constexpr, KP: tl.constexpr):
    """Newton's method for the scores that fit the game under mu, as in the twin."""
    # How many responses are rarer; padding comes last, and is never eliminated.
    share = tl.where(valid, mu, float("inf"))
    one, two = share[:, None, :], share[None, :, :]
    earlier = (one < two) | ((one == two) & (i[:, None, None] < i[None, :, None]))
    rank = tl.sum(earlier.to(tl.int32), axis=0)
    moving = bad == 0
    left = tl.max(moving.to(tl.int32), axis=0)
    steps = 0
    while (left > 0) & (steps < STEPS):
        gap = scores[None, :, :] - scores[:, None, :]
        tail = tl.exp(-tl.abs(gap))
        smaller = tail * _inverse(1 + tail)
        excess = tl.where(gap < 0, game - smaller, smaller - turned)
        # An orbit that has its scores is pulled no more.  (This also keeps the compiler from
        # holding mu in two layouts all the way, for which there are not enough registers.)
        right = tl.sum(excess * tl.where(moving[None, :], mu, 0.0)[:, None, :], axis=0)
        step = _solve(smaller - smaller * smaller, mu, right, rank, K)
        spread = tl.max(step, axis=0) - tl.min(step, axis=0)
        broken = tl.sum((step != step).to(tl.int32), axis=0) > 0
        scale = tl.maximum(tl.max(tl.abs(scores), axis=0), 1.0)
        broken = moving & (broken | (spread == float("inf")))
        scores += step * (2 * _inverse_of_any(2 + spread))[None, :]
        bad = tl.where(broken, 1, bad)
        moving = moving & (spread > scale * TOLERANCE) & (bad == 0)
        left = tl.max(moving.to(tl.int32), axis=0)
        steps += 1
    bad = tl.where(moving, 1, bad)
    scores = tl.where(valid, scores - (tl.sum(scores, axis=0) * (1.0 / K))[None, :], 0.0)
    return scores, bad


@triton.jit
def _solve(links, mu, right, rank, K: tl.constexpr):
    """The twin's `_solve`, with responses taken in the order of rank by masks."""
    column = rank[:, None, :]
    inverses = tl.zeros_like(mu)
    for c in range(K - 1):
        own = tl.sum(tl.where(column == c, links, 0.0), axis=0)
        own = tl.where(rank > c, own, 0.0)
        inverse = _inverse_of_any(tl.sum(own * mu, axis=0))[None, :]
        share = own * inverse
        inverses = tl.where(rank == c, inverse, inverses)
        picked = tl.where(rank == c, mu, 0.0)
        links += (tl.sum(picked, axis=0)[None, :] * own)[:, None, :] * share[None, :, :]
        right += tl.sum(picked * right, axis=0)[None, :] * share
    x = tl.zeros_like(mu)
    for step in range(K - 1):
        c = K - 2 - step
        known = tl.sum(links * (mu * x)[:, None, :], axis=0)
        x = tl.where(rank == c, (right + known) * inverses, x)
    return x
