"""What a row of logits says, in one read; and the row's gradient, written over it."""

from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

# Entries of a piece of the buffer, for each thread: with two temporaries they should stay near its
# core's second cache.  An accelerator wants few large launches instead.
_PIECE = 2**18
_LARGE_PIECE = 2**26


class RowStats(NamedTuple):
    """Statistics of N rows of logits z, with p = softmax(z); each (N,).

    Attributes
    ----------
    maximum, log_sum : torch.Tensor
        m = max z and log s = log sum exp(z - m), kept apart: their sum would round log s away
        where the logits are large.
    log_prob : torch.Tensor
        (z_y - m) - log s of the target y; 0 in ignored rows.
    entropy : torch.Tensor
        -sum p log p, in nats.
    sum_p2 : torch.Tensor
        sum p².
    residual : torch.Tensor
        ‖e_y - p‖² = 1 - 2 p_y + sum p², without its cancellation near p_y = 1; 0 in ignored rows.
    argmax, argmax_prob : torch.Tensor
        The likeliest entry, of equals the first, and its probability 1/s.
    """

    maximum: Tensor
    log_sum: Tensor
    log_prob: Tensor
    entropy: Tensor
    sum_p2: Tensor
    residual: Tensor
    argmax: Tensor
    argmax_prob: Tensor


class _Partial(NamedTuple):
    """Sums over a part of the vocabulary, relative to its largest logit, whose own 1 is left out.

    Without that 1 they keep their leading digits where one entry holds almost all probability.
    """

    top: Tensor  # m; -inf before anything is seen
    place: Tensor  # where
    rest: Tensor  # sum exp(z - m)
    slope: Tensor  # sum exp(z - m) (z - m)
    squares: Tensor  # sum exp(z - m)²


def row_stats(logits: Tensor, targets: Tensor, block: int | None = None) -> RowStats:
    """Plain-torch twin of `prefdyn.llm.kernels.row_stats`."""
    width = max(1, min(block or logits.shape[1], logits.shape[1]))
    firsts = range(0, logits.shape[1], width) if len(logits) else ()
    blocks = [_of_block(logits[:, first : first + width], first) for first in firsts]
    sums = reduce(_merge, blocks) if blocks else _nothing(logits)
    ignored = targets < 0
    log_sum, total = sums.rest.log1p(), 1 + sums.rest
    at_target = _entries(logits, targets) - sums.top
    log_prob = (at_target - log_sum).masked_fill(ignored, 0.0)
    own = torch.where(targets == sums.place, 0.0, 1 - at_target.exp().square())
    residual = torch.expm1(log_prob).square() + (sums.squares + own) / total.square()
    return RowStats(
        maximum=sums.top,
        log_sum=log_sum,
        log_prob=log_prob,
        entropy=log_sum - sums.slope / total,
        sum_p2=(1 + sums.squares) / total.square(),
        residual=residual.masked_fill(ignored, 0.0),
        argmax=sums.place,
        argmax_prob=1 / total,
    )


def dz_row(
    logits: Tensor,
    stats: RowStats,
    targets: Tensor,
    coefficients: Tensor,
    scale: float = 1.0,
    cap: float | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Plain-torch twin of `prefdyn.llm.kernels.dz_row`."""
    out = narrowed(logits, dtype)
    rows = _rows_of_a_piece(logits, logits.shape[1])
    at_target = -coefficients * torch.expm1(stats.log_prob) * scale
    factor = -coefficients * stats.argmax_prob * scale
    columns = (stats.maximum, targets.clamp(min=0), at_target, factor)
    parts = (column[:, None].split(rows) for column in columns)
    pieces = zip(out.split(rows), logits.split(rows), *parts, strict=True)
    for to, z, top, y, picked, factor in pieces:
        slope = None if cap is None else (z / cap).square_().neg_().add_(1)
        z.sub_(top).exp_().mul_(factor).scatter_(1, y, picked)
        if slope is not None:
            z.mul_(slope)
        if to.dtype != z.dtype:
            to.copy_(z.to(to.dtype))  # by way of a copy, as the two share their memory
    # By their numbers: a mask would be compared with every entry.
    return out.index_fill_(0, (targets < 0).nonzero()[:, 0], 0.0)


def narrowed(logits: Tensor, dtype: torch.dtype | None) -> Tensor:
    """(N, V) of another dtype in the first bytes of each row; the logits themselves for None.

    Raises
    ------
    ValueError
        If the dtype is wider than the logits', so that a row has no room for it.
    """
    if dtype is None or dtype == logits.dtype:
        return logits
    if dtype.itemsize > logits.element_size():
        raise ValueError(f"dtype is {dtype}, wider than the logits' {logits.dtype}: give a lower.")
    return logits.view(dtype)[:, : logits.shape[1]]


def _rows_of_a_piece(logits: Tensor, width: int) -> int:
    on_cpu = logits.device.type == "cpu"
    entries = _PIECE * torch.get_num_threads() if on_cpu else _LARGE_PIECE
    return max(1, entries // max(1, width))


def _nothing(z: Tensor) -> _Partial:
    """Of an empty part of the vocabulary; merging it changes nothing."""
    zero = z.new_zeros(len(z))
    return _Partial(torch.full_like(zero, -torch.inf), zero.long(), zero, zero, zero)


def _entries(z: Tensor, targets: Tensor) -> Tensor:
    """The target's logit in each row; anything in an ignored one."""
    if not z.shape[1]:
        return z.new_full((len(z),), -torch.inf)
    return z.gather(1, targets.clamp(min=0)[:, None])[:, 0]


def _of_block(z: Tensor, first: int) -> _Partial:
    place = _first_largest(z)
    top = z.gather(1, place)
    # A block that is masked out altogether has -inf as its maximum, and weight 0.
    base = torch.where(top == -torch.inf, 0.0, top)
    rest, slope, norm = (z.new_empty(len(z)) for _ in range(3))
    rows = _rows_of_a_piece(z, z.shape[1])
    # Two temporaries for all pieces: fresh ones would cost more than what is done with them.
    temporaries = [z.new_empty(min(rows, len(z)), z.shape[1]) for _ in range(2)]
    pieces = zip(*(x.split(rows) for x in (z, base, place, rest, slope, norm)), strict=True)
    for z, base, own, rest_, slope_, norm_ in pieces:
        shifted, e = (x[: len(z)] for x in temporaries)
        torch.sub(z, base, out=shifted)
        torch.exp(shifted, out=e).scatter_(1, own, 0.0)
        torch.sum(e, -1, out=rest_)
        torch.linalg.vector_norm(e, dim=-1, out=norm_)
        torch.nansum(shifted.mul_(e), -1, out=slope_)  # not -inf times its weight 0
    return _Partial(top[:, 0], place[:, 0] + first, rest, slope, norm.square_())


def _first_largest(z: Tensor) -> Tensor:
    """First place of each row's maximum, (n, 1)."""
    if z.device.type == "cpu" and z.dtype in (torch.float32, torch.float64):
        # Ten times as fast as torch's own, and as fast as a maximum without its place.
        return torch.from_numpy(z.detach().numpy().argmax(-1, keepdims=True))
    return z.argmax(-1, keepdim=True)


def _merge(one: _Partial, two: _Partial) -> _Partial:
    other = ~(two.top <= one.top)  # so that NaN is never lost
    high, low = (
        _Partial(*(torch.where(which, b, a) for a, b in zip(one, two, strict=True)))
        for which in (other, ~other)
    )
    unseen = low.top == -torch.inf
    shift = torch.where(unseen, 0.0, low.top - high.top)
    factor = torch.where(unseen, 0.0, shift.exp())
    return _Partial(
        high.top,
        high.place,
        high.rest + factor * (1 + low.rest),
        high.slope + factor * (low.slope + shift * (1 + low.rest)),
        high.squares + factor.square() * (1 + low.squares),
    )
