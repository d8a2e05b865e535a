"""Row statistics and row gradients on a GPU: one program per row, which it reads once."""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from prefdyn.llm.kernels._rows import RowStats, narrowed


class Settings(NamedTuple):
    """How a row kernel is launched."""

    block: int
    num_warps: int


def settings(vocabulary: int, block: int | None = None) -> Settings:
    """Entries that a program reads at a time, a power of two, and its warps.

    16 entries per thread are four 16-byte loads in flight, and few enough registers for four
    programs on a multiprocessor: enough bytes on their way to keep its memory busy.
    """
    wanted = block or min(4096, max(vocabulary, 128))
    return Settings(1 << (wanted - 1).bit_length(), 8 if wanted > 2048 else 4)


def row_stats(logits: Tensor, targets: Tensor, block: int | None = None) -> RowStats:
    """Triton kernel of `prefdyn.llm.kernels.row_stats`."""
    rows, vocabulary = logits.shape
    columns = {name: logits.new_empty(rows) for name in RowStats._fields}
    found = RowStats(**columns | {"argmax": torch.empty_like(targets, dtype=torch.int64)})
    size, warps = settings(vocabulary, block)
    kernel: Any = _row_stats
    with torch.cuda.device_of(logits):
        kernel[(rows,)](
            logits,
            targets.contiguous(),
            *found,
            logits.stride(0),
            vocabulary,
            BLOCK=size,
            num_warps=warps,
        )
    return found


def dz_row(
    logits: Tensor,
    stats: RowStats,
    targets: Tensor,
    coefficients: Tensor,
    scale: float = 1.0,
    cap: float | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Triton kernel of `prefdyn.llm.kernels.dz_row`."""
    out = narrowed(logits, dtype)
    rows, vocabulary = logits.shape
    columns = (stats.maximum, stats.log_sum, stats.log_prob, targets, coefficients)
    size, warps = settings(vocabulary)
    kernel: Any = _dz_row
    with torch.cuda.device_of(logits):
        kernel[(rows,)](
            logits,
            out,
            *(column.contiguous() for column in columns),
            logits.stride(0),
            out.stride(0),
            vocabulary,
            float(scale),
            1.0 if cap is None else 1 / float(cap),
            CAPPED=cap is not None,
            BLOCK=size,
            num_warps=warps,
        )
    return out


@triton.jit
def _log1p(x):
    """Of x >= 0, with its leading digits where x is small."""
    s = x / (2 + x)  # log(1 + x) = 2 artanh(s)
    s2 = s * s
    series = 1 + s2 * (1 / 3 + s2 * (1 / 5 + s2 * (1 / 7 + s2 * (1 / 9 + s2 / 11))))
    return tl.where(x < 0.5, 2 * s * series, tl.log(1 + x))


@triton.jit
def _expm1(x):
    """Of x <= 0, with its leading digits where x is small."""
    tail = 1 + x / 6 * (1 + x / 7 * (1 + x / 8 * (1 + x / 9)))
    series = 1 + x / 2 * (1 + x / 3 * (1 + x / 4 * (1 + x / 5 * tail)))
    return tl.where(x > -0.5, x * series, tl.exp(x) - 1)


@triton.jit
def _take_in(z, columns, top, place, rest, slope, squares) -> Any:
    """Sums over a block more, relative to the largest logit, whose own 1 is left out.

    Without that 1 they keep their leading digits where one entry holds almost all probability.
    `place` is -1 until something above -inf is seen, and nothing is left out until then.
    """
    high = tl.max(z, 0)
    if high > top:  # one answer for the whole program, and seldom yes after the first blocks
        shift = tl.where(top == float("-inf"), 0.0, top - high)
        factor = tl.where(top == float("-inf"), 0.0, tl.exp(shift))
        slope = factor * (slope + shift * (1 + rest))
        rest = factor * (1 + rest)
        squares = factor * factor * (1 + squares)
        place = tl.min(tl.where(z == high, columns, 2147483647), 0)  # of equals the first
        top = high
    # Everything masked out so far: z - 0 is -inf too, and has weight 0.
    x = z - tl.where(top == float("-inf"), 0.0, top)
    e = tl.where(columns == place, 0.0, tl.exp(x))
    rest += tl.sum(e, 0)
    slope += tl.sum(e * tl.maximum(x, -1e4), 0)  # no -inf times its weight 0
    squares += tl.sum(e * e, 0)
    return top, place, rest, slope, squares


@triton.jit
def _row_stats(
    logits,
    targets,
    maximum,
    log_sum,
    log_prob,
    entropy,
    sum_p2,
    residual,
    argmax,
    argmax_prob,
    stride,
    vocabulary,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)  # rows times vocabulary may exceed 2^31
    start = logits + row * stride
    lanes = tl.arange(0, BLOCK)
    top = tl.full((), float("-inf"), tl.float32)
    place = tl.full((), -1, tl.int32)
    rest = tl.full((), 0.0, tl.float32)
    slope = tl.full((), 0.0, tl.float32)
    squares = tl.full((), 0.0, tl.float32)
    # Whole blocks without a mask, so that the loads are as wide as they can be.
    whole = vocabulary // BLOCK * BLOCK
    for first in range(0, whole, BLOCK):
        columns = first + lanes
        z = tl.load(start + columns).to(tl.float32)
        top, place, rest, slope, squares = _take_in(  # pyright: ignore[reportGeneralTypeIssues]
            z, columns, top, place, rest, slope, squares
        )
    if whole < vocabulary:
        columns = whole + lanes
        z = tl.load(start + columns, mask=columns < vocabulary, other=float("-inf"))
        z = z.to(tl.float32)
        top, place, rest, slope, squares = _take_in(  # pyright: ignore[reportGeneralTypeIssues]
            z, columns, top, place, rest, slope, squares
        )
    place = tl.maximum(place, 0)
    target = tl.load(targets + row)
    # A target outside of the vocabulary reads nothing, and shows as NaN.
    at_target = tl.load(
        start + target, mask=(target >= 0) & (target < vocabulary), other=float("nan")
    )
    at_target = at_target.to(tl.float32) - top
    total = 1 + rest
    log_s = _log1p(rest)
    is_top = target == place
    e = tl.exp(at_target)
    missing = tl.where(is_top, rest, total - e) / total  # 1 - p_y, without cancellation
    others = tl.where(is_top, squares, squares + (1 - e * e))
    tl.store(maximum + row, top)
    tl.store(log_sum + row, log_s)
    tl.store(log_prob + row, tl.where(target < 0, 0.0, at_target - log_s))
    tl.store(entropy + row, log_s - slope / total)
    tl.store(sum_p2 + row, (1 + squares) / (total * total))
    norm2 = missing * missing + others / (total * total)
    tl.store(residual + row, tl.where(target < 0, 0.0, norm2))
    tl.store(argmax + row, place.to(tl.int64))
    tl.store(argmax_prob + row, 1 / total)


@triton.jit
def _dz_row(
    logits,
    out,
    maximum,
    log_sum,
    log_prob,
    targets,
    coefficients,
    stride,
    out_stride,
    vocabulary,
    scale,
    inverse_cap,
    CAPPED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    start, out_start = logits + row * stride, out + row * out_stride
    m = tl.load(maximum + row).to(tl.float32)
    log_s = tl.load(log_sum + row).to(tl.float32)
    target = tl.load(targets + row)
    c = tl.load(coefficients + row).to(tl.float32)
    at_target = -c * _expm1(tl.load(log_prob + row).to(tl.float32))
    lanes = tl.arange(0, BLOCK)
    # `out` may be narrower than the logits and lie over them, in the first bytes of each row: block
    # b is then written where an earlier block was, or, for b = 0, the block itself; never where a
    # later one is.  So all threads must have read a block before any of them writes it, and that is
    # all: the barrier between the two, and no load that is made ahead of it by a pipeline.  The
    # target's entry goes with its block, which leaves one store to order.
    whole = vocabulary // BLOCK * BLOCK
    for first in tl.range(0, whole, BLOCK, num_stages=1):
        columns = first + lanes
        z = tl.load(start + columns).to(tl.float32)
        dz = _gradient(z, columns, m, log_s, target, c, at_target, scale, inverse_cap, CAPPED)
        tl.debug_barrier()
        tl.store(out_start + columns, dz.to(out.dtype.element_ty))
    if whole < vocabulary:
        columns = whole + lanes
        seen = columns < vocabulary
        z = tl.load(start + columns, mask=seen, other=float("-inf")).to(tl.float32)
        dz = _gradient(z, columns, m, log_s, target, c, at_target, scale, inverse_cap, CAPPED)
        tl.debug_barrier()
        tl.store(out_start + columns, dz.to(out.dtype.element_ty), mask=seen)


@triton.jit
def _gradient(z, columns, m, log_s, target, c, at_target, scale, inverse_cap, CAPPED: tl.constexpr):
    """``c (e_y - p)`` by the product's entries, in single precision; 0 in an ignored row."""
    dz = tl.where(columns == target, at_target, -c * tl.exp((z - m) - log_s))
    if CAPPED:
        ratio = tl.maximum(z * inverse_cap, -1.0)  # what is masked off is -inf
        dz *= 1 - ratio * ratio
    return tl.where(target < 0, 0.0, dz * scale)
