"""Inner products of gradients of linear layers, from inputs and output gradients."""

import torch
from torch import Tensor


def segmented_gram(
    a: Tensor,
    d: Tensor,
    segments: Tensor,
    count: int,
    block: int = 1024,
    a2: Tensor | None = None,
    d2: Tensor | None = None,
    segments2: Tensor | None = None,
    accumulate: torch.dtype = torch.float64,
) -> Tensor:
    """Plain-torch twin of `prefdyn.llm.kernels.segmented_gram`."""
    symmetric = a2 is None and d2 is None and segments2 is None
    left = _pieces(a, d, segments, block)
    right = (
        left
        if symmetric
        else _pieces(
            a if a2 is None else a2,
            d if d2 is None else d2,
            segments if segments2 is None else segments2,
            block,
        )
    )
    gram = torch.zeros(count, count, dtype=accumulate, device=a.device)
    for i, (a_i, d_i, s_i) in enumerate(left):
        names_i, local_i = torch.unique(s_i, return_inverse=True)
        for j, (a_j, d_j, s_j) in enumerate(right):
            if symmetric and j < i:
                continue
            names_j, local_j = torch.unique(s_j, return_inverse=True)
            products = ((a_i @ a_j.T) * (d_i @ d_j.T)).to(accumulate)
            rows = products.new_zeros(len(names_i), len(s_j)).index_add_(0, local_i, products)
            sums = rows.new_zeros(len(names_i), len(names_j)).index_add_(1, local_j, rows)
            gram[names_i[:, None], names_j] += sums
            if symmetric and j > i:
                gram[names_j[:, None], names_i] += sums.T
    # A block on the diagonal is summed by rows, then by columns, which rounds unevenly.
    return (gram + gram.T) / 2 if symmetric else gram


def _pieces(a: Tensor, d: Tensor, segments: Tensor, block: int) -> list[tuple[Tensor, ...]]:
    """Blocks of rows, in at least single precision."""
    a, d = (part.to(torch.promote_types(part.dtype, torch.float32)) for part in (a, d))
    return list(zip(a.split(block), d.split(block), segments.split(block), strict=True))
