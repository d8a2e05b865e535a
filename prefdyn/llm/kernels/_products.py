"""Matrix products of low-precision operands in the precision of what they go into."""

import torch
from torch import Tensor

_BLOCK = 2**24  # entries that a processor brings to a higher precision at a time
_LARGE_BLOCK = 2**28  # and an accelerator, whose products want to be large

# Before, the library wanted what is added to in the precision of the operands (pytorch#167931).
_WIDENS = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 10)


def add_product(out: Tensor, a: Tensor, b: Tensor, *, fresh: bool = False) -> Tensor:
    """Plain-torch twin of `prefdyn.llm.kernels.add_product`, and what a GPU's library can do."""
    if a.dtype == b.dtype == out.dtype:
        return out.addmm_(a, b, beta=0 if fresh else 1)
    if _WIDENS and out.is_cuda and a.dtype == b.dtype and out.dtype == torch.float32:
        return widening(out, a, b, fresh=fresh)
    a = a.to(out.dtype)
    size = _LARGE_BLOCK if out.is_cuda else _BLOCK
    columns = max(1, size // max(1, b.shape[0]))
    for first in range(0, b.shape[1], columns):
        part = slice(first, first + columns)
        out[:, part].addmm_(a, b[:, part].to(out.dtype), beta=0 if fresh else 1)
    return out


def widening(out: Tensor, a: Tensor, b: Tensor, *, fresh: bool) -> Tensor:
    """`add_product` of float16 or bfloat16 operands into float32, by tensor cores.

    They add up in single precision anyway: nothing is rounded on the way, no operand is copied,
    and with ``fresh=False`` the library adds to what is there, with no product of its own.
    """
    return torch.addmm(out, a, b, beta=0 if fresh else 1, out_dtype=out.dtype, out=out)
