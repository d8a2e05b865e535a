"""The operations that a language model's head and its gradients are made of.

One function per operation, which picks an implementation; today there is one each, in plain
torch, the twin that every faster one is held to.  Nothing of the package is imported here, and no
objective is known: coefficients come in as numbers.
"""

import torch
from torch import Tensor

from prefdyn.llm.kernels import _gram

__all__ = ["segmented_gram"]


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
    """``K_rs = sum_(i in r) sum_(j in s) <a_i, a2_j> <d_i, d2_j>``, without an N × N array.

    With inputs ``a`` and output gradients ``d`` of a linear layer these are the inner products of
    the segments' weight gradients ``sum_i d_i a_i^T``.

    Parameters
    ----------
    a, d
        (N, d_in) and (N, d_out).
    segments
        (N,) segment of each row, in ``0 .. count - 1``, in any order.
    count
        Number of segments R.
    block
        Rows that are multiplied at a time.
    a2, d2, segments2
        The second factor's, (N2, d_in), (N2, d_out), (N2,), as for the cross terms of a weight
        that is used twice; the first factor's where left out.
    accumulate
        dtype of the sums over rows, and of the result.

    Returns
    -------
    torch.Tensor
        (R, R); symmetric to the bit where the factors are one.
    """
    return _gram.segmented_gram(a, d, segments, count, block, a2, d2, segments2, accumulate)
