"""Row statistics and row gradients on a GPU, each in one read.

A program has a row to itself, or several where the vocabulary is small.
"""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from prefdyn.llm.kernels._backend import LAUNCH_OPTIONS
from prefdyn.llm.kernels._rows import RowStats, narrowed


class Settings(NamedTuple):
    """How a row kernel is launched: tiles of rows and entries, powers of two, and warps."""

    rows: int
    block: int
    num_warps: int


_TILE = 4096


def settings(vocabulary: int, block: int | None = None) -> Settings:
    """Rows of a program, and the entries of each that it reads at a time.

    A tile of 4096 entries gives each thread 16: four loads of 16 bytes in flight, and few enough
    registers for four programs on a multiprocessor, which together keep its memory busy.
    """
    wanted = block or min(vocabulary, _TILE)
    size = 1 << (wanted - 1).bit_length()
    return Settings(max(1, _TILE // size), size, num_warps=8)


def row_stats(logits: Tensor, targets: Tensor, block: int | None = None) -> RowStats:
    """Triton kernel of `prefdyn.llm.kernels.row_stats`."""
    columns = {name: logits.new_empty(len(logits)) for name in RowStats._fields}
    found = RowStats(**columns | {"argmax": torch.empty_like(targets, dtype=torch.int64)})
    at = settings(logits.shape[1], block)
    kernel: Any = _row_stats
    with torch.cuda.device_of(logits):
        kernel[_grid(logits, at)](
            logits,
            targets.contiguous(),
            *found,
            *logits.shape,
            logits.stride(0),
            ROWS=at.rows,
            BLOCK=at.block,
            num_warps=at.num_warps,
            **LAUNCH_OPTIONS,
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
    columns = (stats.maximum, stats.log_sum, stats.log_prob, targets, coefficients)
    at = settings(logits.shape[1])
    kernel: Any = _dz_row
    with torch.cuda.device_of(logits):
        kernel[_grid(logits, at)](
            logits,
            out,
            *(column.contiguous() for column in columns),
            *logits.shape,
            logits.stride(0),
            out.stride(0),
            float(scale),
            1.0 if cap is None else 1 / float(cap),
            CAPPED=cap is not None,
            ROWS=at.rows,
            BLOCK=at.block,
            num_warps=at.num_warps,
            **LAUNCH_OPTIONS,
        )
    return out


def _grid(logits: Tensor, at: Settings) -> tuple[int]:
    return (-(-len(logits) // at.rows),)


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
    high = tl.max(z, 1)
    larger = high > top
    if tl.max(larger.to(tl.int32), 0) > 0:  # one answer for all threads, and soon seldom yes
        unseen = top == float("-inf")
        shift = tl.where(larger, tl.where(unseen, 0.0, top - high), 0.0)
        factor = tl.where(unseen, 0.0, tl.exp(shift))
        slope = tl.where(larger, factor * (slope + shift * (1 + rest)), slope)
        rest = tl.where(larger, factor * (1 + rest), rest)
        squares = tl.where(larger, factor * factor * (1 + squares), squares)
        first = tl.min(tl.where(z == high[:, None], columns[None, :], 2147483647), 1)  # of equals
        place = tl.where(larger, first, place)
        top = tl.where(larger, high, top)
    # Everything masked out so far: z - 0 is -inf too, and has weight 0.
    x = z - tl.where(top == float("-inf"), 0.0, top)[:, None]
    e = tl.where(columns[None, :] == place[:, None], 0.0, tl.exp(x))
    rest += tl.sum(e, 1)
    slope += tl.sum(e * tl.maximum(x, -1e4), 1)  # no -inf times its weight 0
    squares += tl.sum(e * e, 1)
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
    rows,
    vocabulary,
    stride,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    # 64 bits, as rows times vocabulary may exceed 2^31.  Lanes without a row of their own read the
    # last one, so that whole blocks need no mask and their loads are as wide as they can be.
    mine = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    row = tl.minimum(mine, rows - 1)
    start = logits + row * stride
    lanes = tl.arange(0, BLOCK)
    top = tl.full((ROWS,), float("-inf"), tl.float32)
    place = tl.full((ROWS,), -1, tl.int32)
    rest = tl.full((ROWS,), 0.0, tl.float32)
    slope = tl.full((ROWS,), 0.0, tl.float32)
    squares = tl.full((ROWS,), 0.0, tl.float32)
    whole = vocabulary // BLOCK * BLOCK
    for first in range(0, whole, BLOCK):
        columns = first + lanes
        z = tl.load(start[:, None] + columns[None, :]).to(tl.float32)
        top, place, rest, slope, squares = _take_in(  # pyright: ignore[reportGeneralTypeIssues]
            z, columns, top, place, rest, slope, squares
        )
    if whole < vocabulary:
        columns = whole + lanes
        seen = (columns < vocabulary)[None, :]
        z = tl.load(start[:, None] + columns[None, :], mask=seen, other=float("-inf"))
        z = z.to(tl.float32)
        top, place, rest, slope, squares = _take_in(  # pyright: ignore[reportGeneralTypeIssues]
            z, columns, top, place, rest, slope, squares
        )
    place = tl.maximum(place, 0)
    target = tl.load(targets + row)
    # A target outside of the vocabulary reads nothing, and shows as NaN.
    named = (target >= 0) & (target < vocabulary)
    at_target = tl.load(start + target, mask=named, other=float("nan")).to(tl.float32) - top
    total = 1 + rest
    log_s = _log1p(rest)
    e = tl.exp(at_target)
    is_top = target == place
    missing = tl.where(is_top, rest, total - e) / total  # 1 - p_y, without cancellation
    others = tl.where(is_top, squares, squares + (1 - e * e)) / (total * total)
    own = mine < rows
    tl.store(maximum + row, top, mask=own)
    tl.store(log_sum + row, log_s, mask=own)
    tl.store(log_prob + row, tl.where(target < 0, 0.0, at_target - log_s), mask=own)
    tl.store(entropy + row, log_s - slope / total, mask=own)
    tl.store(sum_p2 + row, (1 + squares) / (total * total), mask=own)
    tl.store(residual + row, tl.where(target < 0, 0.0, missing * missing + others), mask=own)
    tl.store(argmax + row, place.to(tl.int64), mask=own)
    tl.store(argmax_prob + row, 1 / total, mask=own)


@triton.jit
def _dz_row(
    logits,
    out,
    maximum,
    log_sum,
    log_prob,
    targets,
    coefficients,
    rows,
    vocabulary,
    stride,
    out_stride,
    scale,
    inverse_cap,
    CAPPED: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    mine = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    row, own = tl.minimum(mine, rows - 1), (mine < rows)[:, None]
    start, out_start = (logits + row * stride)[:, None], (out + row * out_stride)[:, None]
    m = tl.load(maximum + row).to(tl.float32)[:, None]
    log_s = tl.load(log_sum + row).to(tl.float32)[:, None]
    target = tl.load(targets + row).to(tl.int32)[:, None]  # as the columns it is compared with
    c = tl.load(coefficients + row).to(tl.float32)[:, None]
    at_target = -c * _expm1(tl.load(log_prob + row).to(tl.float32))[:, None]
    lanes = tl.arange(0, BLOCK)[None, :]
    # `out` may be narrower than the logits and lie over them, in the first bytes of each row: block
    # b is then written where an earlier block was, or, for b = 0, the block itself; never where a
    # later one is, nor in another program's rows.  So all threads must have read a block before
    # any of them writes it, and that is all: hence the barrier between the two, and no load that
    # a pipeline makes ahead.  The target's entry goes with its block: one store to order.
    whole = vocabulary // BLOCK * BLOCK
    for first in tl.range(0, whole, BLOCK, num_stages=1):
        columns = first + lanes
        z = tl.load(start + columns).to(tl.float32)
        dz = _gradient(z, columns, m, log_s, target, c, at_target, scale, inverse_cap, CAPPED)
        tl.debug_barrier()
        tl.store(out_start + columns, dz.to(out.dtype.element_ty), mask=own)
    if whole < vocabulary:
        columns = whole + lanes
        seen = columns < vocabulary
        z = tl.load(start + columns, mask=seen, other=float("-inf")).to(tl.float32)
        dz = _gradient(z, columns, m, log_s, target, c, at_target, scale, inverse_cap, CAPPED)
        tl.debug_barrier()
        tl.store(out_start + columns, dz.to(out.dtype.element_ty), mask=seen & own)


@triton.jit
def _gradient(z, columns, m, log_s, target, c, at_target, scale, inverse_cap, CAPPED: tl.constexpr):
    """``c (e_y - p)`` by the product's entries, in single precision; 0 in an ignored row."""
    dz = tl.where(columns == target, at_target, -c * tl.exp((z - m) - log_s))
    if CAPPED:
        ratio = tl.maximum(z * inverse_cap, -1.0)  # what is masked off is -inf
        dz *= 1 - ratio * ratio
    return tl.where(target < 0, 0.0, dz * scale)
