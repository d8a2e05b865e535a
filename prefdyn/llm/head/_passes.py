"""The two ways through the head: logits into a buffer, gradients out of it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from prefdyn.llm import kernels
from prefdyn.llm.head._head import Head
from prefdyn.llm.kernels import RowStats

LOGITS = 2**24
"""Logits that are held at a time unless told otherwise: 64 MB in single precision."""

ROWS_ON_GPU = 4096
"""Rows that a GPU holds at a time instead: so many that its products run at their full rate.

At 128k tokens they are 2.1 GB.
"""

_PAD = 16  # entries: rows that begin at 64 bytes are read by 16 bytes per thread and instruction


def exact_dtype(hidden: Tensor, head: Head) -> torch.dtype:
    """Precision of logits and sums: the operands', but single at least."""
    both = torch.promote_types(hidden.dtype, head.weight.dtype)
    return torch.promote_types(both, torch.float32)


def gradient_dtype(hidden: Tensor, head: Head) -> torch.dtype | None:
    """Precision of the gradients by logits where it is not the logits' own (None).

    On a GPU bfloat16 operands get theirs in bfloat16, so that both products of the gradient run on
    tensor cores.  Of float16 the gradients would need a scale of their own: times a coefficient
    like ``1e-3``, every probability below ``6e-5`` would be 0.  They stay in single precision, and
    so do their products.
    """
    low = hidden.dtype == head.weight.dtype == torch.bfloat16
    return torch.bfloat16 if low and hidden.is_cuda else None


def rows_held(hidden: Tensor, vocabulary: int) -> int:
    """Rows of logits that are held at a time unless told otherwise."""
    return ROWS_ON_GPU if hidden.is_cuda else max(1, LOGITS // max(1, vocabulary))


def logits_buffer(hidden: Tensor, head: Head, rows: int) -> Tensor:
    """Room for the logits (rows, V); on a GPU in rows whose length in memory divides by 16."""
    vocabulary = head.weight.shape[0]
    # A processor gains nothing by it, and searches rows with gaps more slowly.
    width = vocabulary if hidden.device.type == "cpu" else -(-vocabulary // _PAD) * _PAD
    buffer = torch.empty(rows, width, dtype=exact_dtype(hidden, head), device=hidden.device)
    return buffer[:, :vocabulary]


def write_logits(out: Tensor, hidden: Tensor, head: Head) -> Tensor:
    """Logits (N, V) of hidden states, written into `out` and in its precision."""
    kernels.add_product(out, hidden, head.weight.T, fresh=True)
    if head.bias is not None:
        out += head.bias
    if head.cap is not None:
        return out.mul_(head.scale / head.cap).tanh_().mul_(head.cap)
    return out if head.scale == 1.0 else out.mul_(head.scale)


def write_gradients(
    logits: Tensor, stats: RowStats, targets: Tensor, c: Tensor, head: Head, hidden: Tensor
) -> Tensor:
    """``c dlog p / d(W h + b)`` (N, V), over the logits, in the precision of its products."""
    dtype = gradient_dtype(hidden, head)
    return kernels.dz_row(logits, stats, targets, c, head.scale, head.cap, dtype)


class HeadGradients:
    """Gradients by hidden states, weight and bias, summed over chunks of rows.

    Parameters
    ----------
    hidden
        (N, d).
    head
        The head.
    wanted
        Which of hidden states, weight and bias.
    """

    def __init__(self, hidden: Tensor, head: Head, wanted: Sequence[bool]):
        self._operands = hidden, head.weight, head.bias
        self._exact = exact_dtype(hidden, head)
        self._sums: list[Any] = [
            torch.zeros_like(part, dtype=self._exact) if want and part is not None else None
            for part, want in zip(self._operands, wanted, strict=True)
        ]

    def add(self, dz: Tensor, rows: Tensor | slice) -> None:
        """Add what the gradients dz (n, V) by the logits of these rows give."""
        hidden, weight, _ = self._operands
        by_hidden, by_weight, by_bias = self._sums
        if by_hidden is not None:
            moved = by_hidden.new_empty(len(dz), hidden.shape[1])
            kernels.add_product(moved, dz, weight, fresh=True)
            by_hidden[rows] += moved
        if by_weight is not None:
            kernels.add_product(by_weight, dz.T, hidden[rows])
        if by_bias is not None:
            by_bias += dz.sum(0, dtype=self._exact)

    def results(self) -> tuple[Tensor | None, ...]:
        """The three gradients, each in its operand's precision; None where not wanted."""
        return tuple(
            None if total is None or part is None else total.to(part.dtype)
            for total, part in zip(self._sums, self._operands, strict=True)
        )
