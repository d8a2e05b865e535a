"""Matrix products of low-precision operands in the precision of what they go into."""

from torch import Tensor

_BLOCK = 2**24  # entries that are brought to a higher precision at a time


def add_product(out: Tensor, a: Tensor, b: Tensor, *, fresh: bool = False) -> Tensor:
    """Plain-torch twin of `prefdyn.llm.kernels.add_product`."""
    if a.dtype == b.dtype == out.dtype:
        return out.addmm_(a, b, beta=0 if fresh else 1)
    a = a.to(out.dtype)
    columns = max(1, _BLOCK // max(1, b.shape[0]))
    for first in range(0, b.shape[1], columns):
        part = slice(first, first + columns)
        out[:, part].addmm_(a, b[:, part].to(out.dtype), beta=0 if fresh else 1)
    return out
