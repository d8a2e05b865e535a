"""What a row of logits says, in one read; and the row's gradient, written over it."""

from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

# Entries of a piece of the buffer: with its two temporaries it should stay in a processor's second
# cache; an accelerator wants few large launches instead.
_PIECE = {"cpu": 2**18}
_LARGE_PIECE = 2**26
_GROUP = 64  # entries whose maximum is taken first


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
    rows = _rows_of_a_piece(logits, width)
    # Two temporaries for all pieces: fresh ones would cost more than what is done with them.
    scratch = [logits.new_empty(min(rows, len(logits)) * width) for _ in range(2)]
    scanned = [_scan(z, width, scratch) for z in logits.split(rows)] if len(logits) else []
    sums = _Partial(*map(torch.cat, zip(*scanned, strict=True))) if scanned else _nothing(logits)
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
    columns = (stats.maximum, stats.log_sum, stats.log_prob, targets, coefficients)
    parts = (column.split(rows) for column in columns)
    pieces = zip(out.split(rows), logits.split(rows), *parts, strict=True)
    for to, z, m, log_s, log_p, y, c in pieces:
        slope = None if cap is None else (z / cap).square_().neg_().add_(1)
        z.sub_(m[:, None]).sub_(log_s[:, None]).exp_().mul_(-c[:, None])
        z.scatter_(1, y.clamp(min=0)[:, None], (-c * torch.expm1(log_p))[:, None])
        if slope is not None:
            z.mul_(slope)
        if scale != 1.0:
            z.mul_(scale)
        z[y < 0] = 0  # touches no other row
        if to.dtype != z.dtype:
            to.copy_(z.to(to.dtype))  # by way of a copy, as the two share their memory
    return out


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
    return max(1, _PIECE.get(logits.device.type, _LARGE_PIECE) // max(1, width))


def _nothing(z: Tensor) -> _Partial:
    """Of an empty part of the vocabulary; merging it changes nothing."""
    zero = z.new_zeros(len(z))
    return _Partial(torch.full_like(zero, -torch.inf), zero.long(), zero, zero, zero)


def _entries(z: Tensor, targets: Tensor) -> Tensor:
    """The target's logit in each row; anything in an ignored one."""
    if not z.shape[1]:
        return z.new_full((len(z),), -torch.inf)
    return z.gather(1, targets.clamp(min=0)[:, None])[:, 0]


def _scan(z: Tensor, width: int, scratch: list[Tensor]) -> _Partial:
    firsts = range(0, z.shape[1], width)
    blocks = [_of_block(z[:, first : first + width], first, scratch) for first in firsts]
    return reduce(_merge, blocks) if blocks else _nothing(z)


def _of_block(z: Tensor, first: int, scratch: list[Tensor]) -> _Partial:
    shifted, e = (part[: z.numel()].view(z.shape) for part in scratch)
    top, place = _largest(z)
    # A block that is masked out altogether has -inf as its maximum, and weight 0.
    torch.sub(z, torch.where(top == -torch.inf, 0.0, top)[:, None], out=shifted)
    torch.exp(shifted, out=e).scatter_(1, place[:, None], 0.0)
    rest = e.sum(-1)
    slope = shifted.mul_(e).sum(-1)
    if slope.isnan().any():  # -inf times its weight 0
        slope = torch.where(e == 0, 0.0, shifted).sum(-1)
    return _Partial(top, place + first, rest, slope, e.square_().sum(-1))


def _largest(z: Tensor) -> tuple[Tensor, Tensor]:
    """Maximum of each row and the first place where it is, in two steps.

    A maximum without its place is many times faster on a processor than one with.
    """
    width = z.shape[1]
    whole = width // _GROUP * _GROUP
    tops = z[:, :whole].unflatten(1, (-1, _GROUP)).amax(-1)
    if whole < width:
        tops = torch.cat((tops, z[:, whole:].amax(-1, keepdim=True)), 1)
    group = tops.argmax(-1, keepdim=True)
    near = (group * _GROUP + torch.arange(_GROUP, device=z.device)).clamp(max=width - 1)
    place = near.gather(1, z.gather(1, near).argmax(-1, keepdim=True))
    return tops.gather(1, group)[:, 0], place[:, 0]


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
