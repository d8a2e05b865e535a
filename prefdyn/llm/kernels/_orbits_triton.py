"""Many orbits of small tabular policies, some in every program, on-chip from the first round on.

The K x K numbers of an orbit are a tile [j, i, orbit] that is summed over j.  Triton spreads a
tile over threads along the axis that is contiguous in memory first.  With few responses that is
the orbits': a thread has one to itself.  With many a program holds a single orbit, and i is
contiguous; then the sums over j stay within a thread or nearly so.  Responses beyond K, up to the
next power of two, have logit 0 and probability 0; orbits beyond n are not written.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from prefdyn.llm.kernels._backend import LAUNCH_OPTIONS
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
GAMES = 2**27
"""Numbers of games that lie in memory at a time, one game for each orbit (1 GiB)."""


class Launch(NamedTuple):
    """How a kernel is launched: padded responses, orbits in a program, and its warps."""

    padded: int
    orbits: int
    warps: int


def settings(K: int, *, tiles: int) -> Launch:
    """Settings for K responses and a number of tiles that live at once.

    Up to four responses a thread holds an orbit.  Of more it holds 32 numbers of one tile at most
    (64 registers of 255) or 8 of each of several, 16 where more warps would have fewer registers.
    """
    padded = max(2, 1 << (K - 1).bit_length())
    if padded <= 4:
        return Launch(padded, orbits=32, warps=1)
    if padded == 8 and tiles == 1:
        return Launch(padded, orbits=16, warps=1)
    of_a_warp = 32 * (16 if tiles == 1 else 8)
    return Launch(padded, orbits=1, warps=min(8, max(1, padded**2 // of_a_warp)))


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
    launch = settings(theta.shape[1], tiles=3 if fitted else 1)
    own = (gain, alpha, lam, drift, offline)
    return _run(_mixed_kernel, games, which, own, theta, rounds, launch, FITTED=fitted)


def pair_orbits(
    weights: Tensor, theta: Tensor, rounds: int, *, rate: Tensor, reference: Tensor, push: Tensor
) -> Moved:
    """Triton kernel for `prefdyn.llm.kernels.pair_orbits`."""
    launch = settings(theta.shape[1], tiles=3)
    which = torch.zeros(len(theta), dtype=torch.int64, device=theta.device)
    own = (rate, *push, reference)
    return _run(_pair_kernel, weights[None], which, own, theta, rounds, launch)


def _run(kernel, games, which, own, theta: Tensor, rounds: int, launch: Launch, **constants):
    """Run a kernel for as many orbits at a time as their games have room."""
    n, K = theta.shape
    if K > MOST_RESPONSES:
        raise ValueError(f"theta has {K} responses: a kernel holds at most {MOST_RESPONSES}.")
    size = max(1, GAMES // K**2)
    constants |= {"K": K, "KP": launch.padded, "ORBITS": launch.orbits}
    parts = [slice(first, first + size) for first in range(0, max(n, 1), size)]
    with torch.cuda.device_of(theta):
        moved = [
            _launches(
                kernel,
                games[which[part]],
                [values[part] for values in own],
                theta[part],
                rounds,
                launch,
                constants,
            )
            for part in parts
        ]
    return Moved(*map(torch.cat, zip(*moved, strict=True)))


def _launches(kernel, games, own, theta, rounds: int, launch: Launch, constants) -> Moved:
    """Launch after launch; the state stays on the device in between."""
    n = len(theta)
    given = [_arranged(values, launch) for values in (games.mT, games, *own)]
    state = [
        _arranged(values, launch) for values in (theta.clone(), *theta.new_zeros(2, *theta.shape))
    ]
    failed = torch.zeros(n, dtype=torch.int32, device=theta.device)
    grid = (triton.cdiv(n, launch.orbits),)
    options = constants | LAUNCH_OPTIONS | {"num_warps": launch.warps}
    most = max(1, LAUNCH // max(1, n * launch.padded**2))
    for before in range(0, rounds if n else 0, most):
        numbers = n, before, min(rounds, before + most)
        kernel[grid](*given, *state, failed, *numbers, **options)
    rows = state if launch.orbits == 1 else [values.T.contiguous() for values in state]
    x, mean, deviations = rows
    return Moved(x, mean, deviations, failed.bool())


def _arranged(values: Tensor, launch: Launch) -> Tensor:
    """Values (n, ...) with the orbits in the last axis, if a program has several."""
    return (values if launch.orbits == 1 else values.movedim(0, -1)).contiguous()


# Nothing is compiled anew for a number of rounds or orbits that happens to be a multiple of 16 or 1
# (and so the spread of a tile over threads does not depend on it).
NUMBERS = ["n", "before", "after"]


@triton.jit(do_not_specialize=NUMBERS)
def _mixed_kernel(
    game,
    turned,
    gain,
    alpha,
    lam,
    drift,
    offline,
    theta,
    mean,
    deviations,
    failed,
    n,
    before,
    after,
    FITTED: tl.constexpr,
    K: tl.constexpr,
    KP: tl.constexpr,
    ORBITS: tl.constexpr,
):
    orbit, real, valid, at, inside, entry = _places(  # pyright: ignore[reportGeneralTypeIssues]
        n, K, KP, ORBITS
    )
    kept = valid & real[None, :]
    games = tl.load(game + entry, mask=inside, other=0.5)
    gains = tl.load(gain + orbit, mask=real, other=0.0)[None, :]
    alphas = tl.load(alpha + orbit, mask=real, other=0.0)[None, :]
    lams = tl.load(lam + orbit, mask=real, other=0.0)[None, :]
    drifts = tl.load(drift + at, mask=kept, other=0.0)
    # Orbits beyond n sample all alike, so that they have a fit, too.
    offlines = tl.where(valid, tl.load(offline + at, mask=kept, other=1.0), 0.0)
    x = tl.load(theta + at, mask=kept, other=0.0)
    means = tl.load(mean + at, mask=kept, other=0.0)
    squares = tl.load(deviations + at, mask=kept, other=0.0)
    bad = tl.load(failed + orbit, mask=real, other=0)
    scores = tl.zeros_like(x)
    if FITTED:
        games_turned = tl.load(turned + entry, mask=inside, other=0.5)
    else:
        games = tl.where(inside, games, 0.0)
    policy = _softmax(x, valid)
    t = before
    while t < after:
        last = x
        for _ in range(tl.minimum(CHECK, after - t)):
            last = x
            mu = lams * policy + offlines
            if FITTED:
                scores, bad = _fit(games, games_turned, mu, scores, bad, valid, K, KP)
                drive = scores
            else:
                drive = tl.sum(games * mu[:, None, :], axis=0)
            x = alphas * x + drifts + gains * drive
            x = tl.where(valid, x - (tl.sum(x, axis=0) * (1.0 / K))[None, :], 0.0)
            policy = _softmax(x, valid)
            means, squares = _note(means, squares, policy, t, t + 1)
            t += 1
        rest = (after - t) * _settled(last, x)
        means, squares = _note(means, squares, policy, t, t + rest)
        t += rest
    tl.store(theta + at, x, mask=kept)
    tl.store(mean + at, means, mask=kept)
    tl.store(deviations + at, squares, mask=kept)
    tl.store(failed + orbit, bad, mask=real)


@triton.jit(do_not_specialize=NUMBERS)
def _pair_kernel(
    up,
    down,
    rate,
    constant,
    slope,
    height,
    steepness,
    reference,
    theta,
    mean,
    deviations,
    failed,
    n,
    before,
    after,
    K: tl.constexpr,
    KP: tl.constexpr,
    ORBITS: tl.constexpr,
):
    orbit, real, valid, at, inside, entry = _places(  # pyright: ignore[reportGeneralTypeIssues]
        n, K, KP, ORBITS
    )
    kept = valid & real[None, :]
    # Weights are 0 where there is no pair, so that padding pushes nothing.
    ups = tl.load(up + entry, mask=inside, other=0.0)
    downs = tl.load(down + entry, mask=inside, other=0.0)
    rates = tl.load(rate + orbit, mask=real, other=0.0)[None, :]
    constants = tl.load(constant + orbit, mask=real, other=0.0)[None, None, :]
    slopes = tl.load(slope + orbit, mask=real, other=0.0)[None, None, :]
    heights = tl.load(height + orbit, mask=real, other=0.0)[None, None, :]
    steep = tl.load(steepness + orbit, mask=real, other=0.0)[None, None, :]
    origin = tl.load(reference + at, mask=kept, other=0.0)
    x = tl.load(theta + at, mask=kept, other=0.0)
    means = tl.load(mean + at, mask=kept, other=0.0)
    squares = tl.load(deviations + at, mask=kept, other=0.0)
    policy = _softmax(x, valid)
    t = before
    while t < after:
        last = x
        for _ in range(tl.minimum(CHECK, after - t)):
            last = x
            z = x - origin
            gap = z[None, :, :] - z[:, None, :]
            # sigmoid(-u) and sigmoid(u) from one exponential that cannot overflow.
            u = steep * gap
            tail = tl.exp(-tl.abs(u))
            larger = _inverse(1 + tail)
            smaller = tail * larger
            linear = slopes * gap
            won = constants - linear + heights * tl.where(u < 0, larger, smaller)
            lost = constants + linear + heights * tl.where(u < 0, smaller, larger)
            x += rates * tl.sum(ups * won - downs * lost, axis=0)
            policy = _softmax(x, valid)
            means, squares = _note(means, squares, policy, t, t + 1)
            t += 1
        rest = (after - t) * _settled(last, x)
        means, squares = _note(means, squares, policy, t, t + rest)
        t += rest
    tl.store(theta + at, x, mask=kept)
    tl.store(mean + at, means, mask=kept)
    tl.store(deviations + at, squares, mask=kept)


@triton.jit
def _places(n, K: tl.constexpr, KP: tl.constexpr, ORBITS: tl.constexpr):
    """The program's orbits, which are real; responses, which are; places of vectors and tiles."""
    orbit = tl.program_id(0).to(tl.int64) * ORBITS + tl.arange(0, ORBITS)
    real = orbit < n
    i = tl.arange(0, KP)
    row, column = i[None, :, None], i[:, None, None]
    inside = (row < K) & (column < K) & real[None, None, :]
    if ORBITS == 1:
        at = orbit[None, :] * K + i[:, None]
        entry = orbit[None, None, :] * (K * K) + (column * K + row)
    else:
        n = n.to(tl.int64)
        at = i[:, None] * n + orbit[None, :]
        entry = (column * K + row) * n + orbit[None, None, :]
    return orbit, real, (i < K)[:, None], at, inside, entry


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
def _fit(game, turned, mu, scores, bad, valid, K: tl.constexpr, KP: tl.constexpr):
    """Newton's method for the scores that fit the game under mu, as in the twin."""
    # How many responses are rarer; padding comes last, and is never eliminated.
    i = tl.arange(0, KP)
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
