"""Token log-probabilities from hidden states."""

from torch import Tensor

from prefdyn.llm._head import Head


def token_logprobs(hidden: Tensor, head: Head, targets: Tensor) -> Tensor:
    """``log p(target)`` of every row, (N,)."""
    return head.logits(hidden).log_softmax(-1).gather(-1, targets[:, None])[:, 0]
