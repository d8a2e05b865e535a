"""The segmented Gram matrix on a GPU: Hadamard tiles of sorted rows, summed where they are made."""

from functools import reduce
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from prefdyn.llm.kernels._backend import LAUNCH_OPTIONS

_GROUP = 8  # rows of tiles that run one after another, so that the second cache has their operands


def segmented_gram(
    a: Tensor,
    d: Tensor,
    segments: Tensor,
    count: int,
    a2: Tensor | None = None,
    d2: Tensor | None = None,
    segments2: Tensor | None = None,
    accumulate: torch.dtype = torch.float64,
) -> Tensor:
    """Kernel of `prefdyn.llm.kernels.segmented_gram`.

    Rows are sorted by segment through an index and packed into tiles without regard to where
    segments end, so that short ones waste nothing: N²(d_in + d_out) flop and half a diagonal of
    tiles if the factors are one, twice that if not, plus 4 * BLOCK / T additions for each of the N²
    products if segments have T rows.  Sums of a tile are in single precision, all others in double
    and in a fixed order.  Held at a time: (R + N / BLOCK)² sums.
    """
    same = a2 is None and d2 is None and segments2 is None
    a, d, a2, d2 = _alike(a, d, a if a2 is None else a2, d if d2 is None else d2)
    options = settings(a.dtype, len(a))
    left = _Slots.of(segments, options["BLOCK"])
    right = left if segments2 is None else _Slots.of(segments2, options["BLOCK"])
    shape = len(left.names), len(right.names)
    sums = torch.zeros(shape, dtype=torch.float64, device=a.device)
    pairs = _pairs(-(-len(a) // options["BLOCK"]), -(-len(a2) // options["BLOCK"]), same)
    if pairs.shape[1]:
        launch: Any = gram_tile[(pairs.shape[1],)]
        with torch.cuda.device_of(a):
            launch(
                a, d, left.order, left.slots, len(a), a.stride(0), d.stride(0),
                a2, d2, right.order, right.slots, len(a2), a2.stride(0), d2.stride(0),
                sums, shape[1], pairs.to(a.device), a.shape[1], d.shape[1],
                SAME=same, WIDTH=right.width, **options, **LAUNCH_OPTIONS,
            )  # fmt: skip
    of_left, of_right = (
        (torch.arange(count, device=a.device)[:, None] == part.names).double()
        for part in (left, right)
    )
    gram = of_left @ sums @ of_right.T
    return (gram + gram.T if same else gram).to(accumulate)


def settings(dtype: torch.dtype, rows: int) -> dict[str, Any]:
    """Block sizes and launch options for operands of a dtype.

    Single precision is multiplied as such: three products of halves (tf32x3) would be on the tensor
    cores, whose sums are cut off and not rounded, always downwards; over 14336 entries of one sign
    that alone is some 5e-5.
    """
    if dtype == torch.float32:
        return {"BLOCK": 64, "BLOCK_K": 16, "PRECISION": "ieee", "num_warps": 4, "num_stages": 3}
    tile = {"BLOCK_K": 64, "PRECISION": "tf32", "num_stages": 3}  # which halves do not look at
    if rows < 4096:  # smaller tiles, to be enough for all multiprocessors
        return tile | {"BLOCK": 64, "num_warps": 4}
    return tile | {"BLOCK": 128, "num_warps": 8}


class _Slots(NamedTuple):
    """Sorted rows, cut where a segment or a tile ends: a slot is what a tile has of a segment."""

    order: Tensor  # (N,) rows, sorted by segment
    slots: Tensor  # (N,) number of the slot of each sorted row
    names: Tensor  # (S,) segment of each slot
    width: int  # slots in a tile at most, rounded up to a power of 2

    @classmethod
    def of(cls, segments: Tensor, block: int) -> "_Slots":
        ordered, order = segments.sort(stable=True)
        starts = torch.ones_like(ordered, dtype=torch.bool)
        starts[1:] = ordered[1:] != ordered[:-1]
        starts[::block] = True
        slots = starts.cumsum(0, dtype=torch.int32) - 1
        in_tiles = starts.new_zeros(-(-len(starts) // block) * block)
        in_tiles[: len(starts)] = starts
        most = int(in_tiles.view(-1, block).sum(1).max()) if len(starts) else 1
        return cls(order, slots, ordered[starts], 1 << (most - 1).bit_length())


def _pairs(rows: int, columns: int, same: bool) -> Tensor:
    """Which tile of rows meets which, (2, programs), a few tiles of rows at a time."""
    i, j = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    kept = i <= j if same else torch.ones_like(i, dtype=torch.bool)
    i, j = i[kept], j[kept]
    order = ((i // _GROUP) * max(1, columns) + j).sort(stable=True).indices
    return torch.stack((i[order], j[order])).int()


def _alike(*operands: Tensor) -> list[Tensor]:
    """Operands in one precision, each row without gaps between its entries."""
    dtype = reduce(torch.promote_types, (x.dtype for x in operands))
    same = (x.to(dtype) for x in operands)
    return [x if x.stride(1) == 1 else x.contiguous() for x in same]


@triton.jit
def _inner(
    x, rows, row_kept, y, columns, column_kept, width,
    BLOCK: tl.constexpr, BLOCK_K: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """``<x_i, y_j>`` of the rows that begin at these offsets, (BLOCK, BLOCK)."""
    total = tl.zeros((BLOCK, BLOCK), tl.float32)
    lanes = tl.arange(0, BLOCK_K)
    for first in range(0, width, BLOCK_K):
        k = first + lanes
        left = tl.load(
            x + rows[:, None] + k[None, :],
            mask=row_kept[:, None] & (k < width)[None, :],
            other=0.0,
        )
        right = tl.load(
            y + columns[None, :] + k[:, None],
            mask=column_kept[None, :] & (k < width)[:, None],
            other=0.0,
        )
        total = tl.dot(left, right, total, input_precision=PRECISION)
    return total


@triton.jit
def gram_tile(
    a, d, order, slots, N, a_stride, d_stride,
    a2, d2, order2, slots2, N2, a2_stride, d2_stride,
    out, total, pairs, D_IN, D_OUT,
    SAME: tl.constexpr, WIDTH: tl.constexpr,
    BLOCK: tl.constexpr, BLOCK_K: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One tile of ``<a_i, a2_j> <d_i, d2_j>``, summed over the rows of each of its slots.

    A slot is what one tile of rows has of one segment.  Which tile of rows meets which is read
    from `pairs`; with `SAME` only one of (i, j) and (j, i) is in it, and tiles (i, i) count half.
    """
    program = tl.program_id(0)
    i = tl.load(pairs + program)
    j = tl.load(pairs + tl.num_programs(0) + program)
    lanes = tl.arange(0, BLOCK)
    at_i, at_j = i * BLOCK + lanes, j * BLOCK + lanes
    kept_i, kept_j = at_i < N, at_j < N2
    rows = tl.load(order + at_i, mask=kept_i, other=0).to(tl.int64)
    columns = tl.load(order2 + at_j, mask=kept_j, other=0).to(tl.int64)
    tile = _inner(
        a, rows * a_stride, kept_i, a2, columns * a2_stride, kept_j, D_IN,
        BLOCK, BLOCK_K, PRECISION,
    )  # fmt: skip
    tile *= _inner(
        d, rows * d_stride, kept_i, d2, columns * d2_stride, kept_j, D_OUT,
        BLOCK, BLOCK_K, PRECISION,
    )  # fmt: skip
    if SAME:
        tile *= tl.where(i == j, 0.5, 1.0)
    # Rows are sorted, so the slots of a tile are numbers in a row.
    first_j = tl.load(slots2 + j * BLOCK)
    slot_i = tl.load(slots + at_i, mask=kept_i, other=-1)
    slot_j = tl.load(slots2 + at_j, mask=kept_j, other=-1)
    names = first_j + tl.arange(0, WIDTH)
    own_j = slot_j[:, None] == names[None, :]
    written = names <= tl.max(slot_j, 0)
    for slot in range(tl.load(slots + i * BLOCK), tl.max(slot_i, 0) + 1):
        line = tl.sum(tl.where(slot_i[:, None] == slot, tile, 0.0), 0)
        sums = tl.sum(tl.where(own_j, line[:, None], 0.0), 0)
        tl.store(out + tl.cast(slot, tl.int64) * total + names, sums, mask=written)
