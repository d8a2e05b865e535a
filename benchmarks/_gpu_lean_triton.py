"""A row pass without statistics: what one needs for a log-probability and nothing else."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from prefdyn.llm.kernels._backend import LAUNCH_OPTIONS


def log_probs(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Maximum, log-sum and log-probability of the target, each (N,), in one read."""
    rows, vocabulary = logits.shape
    top, log_sum, log_prob = (logits.new_empty(rows) for _ in range(3))
    block = min(4096, triton.next_power_of_2(max(vocabulary, 128)))
    launch = LAUNCH_OPTIONS | {"num_warps": 8 if block > 2048 else 4}
    with torch.cuda.device_of(logits):
        _log_probs[(rows,)](
            logits,
            targets,
            top,
            log_sum,
            log_prob,
            logits.stride(0),
            vocabulary,
            BLOCK=block,
            **launch,
        )
    return top, log_sum, log_prob


@triton.jit
def _log_probs(
    logits, targets, top, log_sum, log_prob, stride, vocabulary, BLOCK: tl.constexpr
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    start = logits + row * stride
    lanes = tl.arange(0, BLOCK)
    m = tl.full((), float("-inf"), tl.float32)
    s = tl.full((), 0.0, tl.float32)
    whole = vocabulary // BLOCK * BLOCK
    for first in range(0, whole, BLOCK):
        z = tl.load(start + first + lanes).to(tl.float32)
        high = tl.maximum(m, tl.max(z, 0))
        s = s * tl.exp(m - high) + tl.sum(tl.exp(z - high), 0)
        m = high
    if whole < vocabulary:
        columns = whole + lanes
        z = tl.load(start + columns, mask=columns < vocabulary, other=float("-inf")).to(tl.float32)
        high = tl.maximum(m, tl.max(z, 0))
        s = s * tl.exp(m - high) + tl.sum(tl.exp(z - high), 0)
        m = high
    target = tl.load(targets + row)
    at_target = tl.load(start + tl.maximum(target, 0)).to(tl.float32)
    tl.store(top + row, m)
    tl.store(log_sum + row, tl.log(s))
    tl.store(log_prob + row, tl.where(target < 0, 0.0, at_target - m - tl.log(s)))
