"""Inner products of gradients of linear layers, from inputs and output gradients."""

from functools import reduce
from itertools import product
from math import isqrt

import torch
from torch import Tensor

_ENTRIES = 2**24  # of gradients that are held at a time
_TERMS = 2**15  # of an inner product that are summed in the precision of the operands

# How many times faster an accelerator multiplies halves than single-precision numbers, which
# gradients are kept in: the ratio of the data sheets of A100 and H100, 16 and 15.
_LEAD_OF_HALVES = 16


def segmented_gram(
    a: Tensor,
    d: Tensor,
    segments: Tensor,
    count: int,
    a2: Tensor | None = None,
    d2: Tensor | None = None,
    segments2: Tensor | None = None,
    accumulate: torch.dtype = torch.float64,
    block: int = 1024,
) -> Tensor:
    """Plain-torch twin of `prefdyn.llm.kernels.segmented_gram`, over pairs of rows."""
    same = a2 is None and d2 is None and segments2 is None
    left = _blocks(a, d, segments, block)
    right = left if same else _blocks(*_second(a, d, segments, a2, d2, segments2), block)
    gram = torch.zeros(count, count, dtype=accumulate, device=a.device)
    for (i, (a_i, d_i, s_i)), (j, (a_j, d_j, s_j)) in product(enumerate(left), enumerate(right)):
        if same and j < i:
            continue
        names_i, own_i = _owners(s_i, accumulate)
        names_j, own_j = _owners(s_j, accumulate)
        products = (a_i @ a_j.T).mul_(d_i @ d_j.T).to(accumulate)
        sums = own_i.T @ products @ own_j
        # What is counted half here is added to its transpose below, so that bits agree.
        gram[names_i[:, None], names_j] += sums / 2 if same and i == j else sums
    return gram + gram.T if same else gram


def through_gradients(
    a: Tensor,
    d: Tensor,
    segments: Tensor,
    count: int,
    a2: Tensor | None = None,
    d2: Tensor | None = None,
    segments2: Tensor | None = None,
    accumulate: torch.dtype = torch.float64,
) -> Tensor:
    """The same sums over entries of the segments' gradients, a part of the weight at a time."""
    same = a2 is None and d2 is None and segments2 is None
    left = _of_segments(a, d, segments)
    right = left if same else _of_segments(*_second(a, d, segments, a2, d2, segments2))
    side = max(1, isqrt(_ENTRIES // max(1, count)))
    gram = torch.zeros(count, count, dtype=accumulate, device=a.device)
    for rows in _parts(d.shape[1], side):
        for columns in _parts(a.shape[1], side * side // max(1, rows.stop - rows.start)):
            one = _gradients(left, count, rows, columns)
            two = one if same else _gradients(right, count, rows, columns)
            for x, y in zip(one.split(_TERMS, 1), two.split(_TERMS, 1), strict=True):
                gram += (x @ y.T).to(accumulate)
    return (gram + gram.T) / 2 if same else gram


def gradients_are_cheaper(
    a: Tensor, d: Tensor, count: int, a2: Tensor | None, d2: Tensor | None, segments2: Tensor | None
) -> bool:
    """Whether going through gradients takes fewer flop than going through pairs of rows.

    ``2 (N + N2) d_in d_out + 2 R² d_in d_out`` against ``2 N N2 (d_in + d_out)``, half of it and N
    alone if the factors are one: about where segments are longer than √d.
    """
    d_in, d_out = a.shape[1], d.shape[1]
    n, n2 = len(a), len(a if a2 is None else a2)
    same = a2 is None and d2 is None and segments2 is None
    over_rows = n * n2 * (d_in + d_out) * (1 if same else 2)
    over_entries = 2 * d_in * d_out * (n + (0 if same else n2) + count * count)
    low = all(torch.finfo(x.dtype).bits < 32 for x in (a, d))
    return over_entries * (_LEAD_OF_HALVES if low and a.is_cuda else 1) < over_rows


def _second(
    a: Tensor,
    d: Tensor,
    segments: Tensor,
    a2: Tensor | None,
    d2: Tensor | None,
    segments2: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The second factor: the first one's where it is left out."""
    return (
        a if a2 is None else a2,
        d if d2 is None else d2,
        segments if segments2 is None else segments2,
    )


def _exact(*parts: Tensor) -> list[Tensor]:
    """In at least single precision, and in one."""
    dtype = reduce(torch.promote_types, (part.dtype for part in parts), torch.float32)
    return [part.to(dtype) for part in parts]


def _blocks(a: Tensor, d: Tensor, segments: Tensor, block: int) -> list[tuple[Tensor, ...]]:
    a, d = _exact(a, d)
    return list(zip(a.split(block), d.split(block), segments.split(block), strict=True))


def _owners(segments: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The segments that occur, (r,), and which of them each row is of, (n, r), as 0 and 1."""
    names, local = segments.unique(return_inverse=True)
    return names, local[:, None].eq(torch.arange(len(names), device=local.device)).to(dtype)


def _of_segments(a: Tensor, d: Tensor, segments: Tensor) -> list[tuple[int, Tensor, Tensor]]:
    """Rows of each segment that has some."""
    ordered, order = segments.sort(stable=True)
    names, lengths = ordered.unique_consecutive(return_counts=True)
    parts = (part[order].split(lengths.tolist()) for part in (a, d))
    return list(zip(names.tolist(), *parts, strict=True))


def _parts(size: int, step: int) -> list[slice]:
    step = max(1, step)
    return [slice(first, min(first + step, size)) for first in range(0, size, step)]


def _gradients(
    rows: list[tuple[int, Tensor, Tensor]], count: int, of_d: slice, of_a: slice
) -> Tensor:
    """A part of the gradient of every segment, (R, entries)."""
    found = None
    for name, a, d in rows:
        a, d = _exact(a[:, of_a], d[:, of_d])
        if found is None:
            found = a.new_zeros(count, d.shape[1], a.shape[1])
        torch.mm(d.T, a, out=found[name])
    return torch.zeros(count, 0) if found is None else found.flatten(1)
