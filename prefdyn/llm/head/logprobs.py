"""Token log-probabilities from hidden states, without the N × V logits."""

from collections.abc import Iterator
from typing import Any, Literal, overload

import torch
from torch import Tensor

from prefdyn._inputs import count
from prefdyn.llm import kernels
from prefdyn.llm.head._head import Head
from prefdyn.llm.head._passes import (
    LOGITS,
    HeadGradients,
    exact_dtype,
    logits_buffer,
    rows_held,
    write_gradients,
    write_logits,
)
from prefdyn.llm.kernels import RowStats


@overload
def token_logprobs(
    hidden: Tensor,
    head: Head,
    targets: Tensor,
    *,
    chunk: int | None = None,
    statistics: Literal[False] = False,
) -> Tensor: ...
@overload
def token_logprobs(
    hidden: Tensor,
    head: Head,
    targets: Tensor,
    *,
    chunk: int | None = None,
    statistics: Literal[True],
) -> tuple[Tensor, RowStats]: ...
def token_logprobs(
    hidden: Tensor,
    head: Head,
    targets: Tensor,
    *,
    chunk: int | None = None,
    statistics: bool = False,
) -> Any:
    r"""``log p(target)`` of every row, differentiable in hidden states and head.

    Row i has :math:`\partial \log p_i / \partial h_i = G_i = W_{y_i} - E_{p_i}[W]`.  Where the head
    is frozen, :math:`G` (N, d) is what the forward pass keeps, and the backward pass is a scaling
    of it; otherwise the logits are computed once more, `chunk` rows at a time, and what is kept is
    (N,).  In matrix products: 4NVd flop with a frozen head, 8NVd with a trained one.

    Parameters
    ----------
    hidden
        (N, d), in the head's precision or another one.
    head
        The output head.
    targets
        (N,) token ids; a row with a negative one is ignored: its value and its gradients are 0.
    chunk
        Rows of logits that are held at a time.  None takes the plain expression if there are at
        most 2²⁴ logits (64 MB in single precision), and else as many rows as make so many; on a GPU
        4096 rows, and operands in a lower precision always go in chunks, as the plain expression
        would bring them to single precision.  It can be transformed and differentiated in every
        way; in chunks there are reverse mode, of any order (from the second on with all logits
        held), and forward mode, but no `torch.func.vmap`.
    statistics
        Whether to return `RowStats` too, from the same pass; they are constants.

    Returns
    -------
    torch.Tensor, or (torch.Tensor, RowStats)
        (N,) in single precision or better, whatever the operands have.

    Raises
    ------
    InputError
        For a chunk that is no whole number above 0.
    """
    vocabulary = head.weight.shape[0]
    if chunk is None:
        low = hidden.is_cuda and exact_dtype(hidden, head) != head.weight.dtype
        if not statistics and not low and len(hidden) * vocabulary <= LOGITS:
            return _plain(hidden, head, targets)
        chunk = rows_held(hidden, vocabulary)
    chunk = count(chunk, "chunk")
    trained = any(part is not None and part.requires_grad for part in (head.weight, head.bias))
    keeps = torch.is_grad_enabled() and hidden.requires_grad and not trained
    parts: Any = _TokenLogProbs.apply(
        hidden, head.weight, head.bias, targets, head.scale, head.cap, chunk, keeps
    )
    stats = RowStats(*parts[:-1])
    constants = stats._replace(log_prob=stats.log_prob.detach())
    return (stats.log_prob, constants) if statistics else stats.log_prob


def _plain(hidden: Tensor, head: Head, targets: Tensor) -> Tensor:
    log_p = head.logits(hidden).log_softmax(-1)
    picked = log_p.gather(-1, targets.clamp(min=0)[:, None])[:, 0]
    return torch.where(targets < 0, 0.0, picked)


def _chunks(hidden: Tensor, head: Head, chunk: int) -> Iterator[tuple[slice, Tensor]]:
    """Rows and their logits, all in one buffer; an empty chunk if there are no rows."""
    buffer = logits_buffer(hidden, head, min(chunk, len(hidden)))
    for first in range(0, max(1, len(hidden)), chunk):
        part = slice(first, first + chunk)
        yield part, write_logits(buffer[: len(hidden[part])], hidden[part], head)


class _TokenLogProbs(torch.autograd.Function):
    """Row statistics of head and states, the log-probability among them, chunk by chunk."""

    @staticmethod
    def forward(hidden, weight, bias, targets, scale, cap, chunk, keeps):
        """Statistics, and G (N, d) if `keeps`."""
        head = Head(weight, bias, scale, cap)
        G = torch.empty_like(hidden if keeps else hidden[:0], dtype=exact_dtype(hidden, head))
        scanned = []
        for part, logits in _chunks(hidden, head, chunk):
            stats = kernels.row_stats(logits, targets[part])
            scanned.append(stats)
            if keeps:
                unit = torch.ones_like(stats.log_prob)
                dz = write_gradients(logits, stats, targets[part], unit, head, hidden)
                kernels.add_product(G[part], dz, weight, fresh=True)
        return (*(torch.cat(column) for column in zip(*scanned, strict=True)), G)

    @staticmethod
    def setup_context(ctx: Any, inputs, output):
        """Keep the operands, the row statistics, and G."""
        hidden, weight, bias, targets, ctx.scale, ctx.cap, ctx.chunk, ctx.keeps = inputs
        ctx.mark_non_differentiable(*output[:_LOG_PROB], *output[_LOG_PROB + 1 :])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(hidden, weight, bias, targets, *output)
        ctx.save_for_forward(hidden, weight, bias, targets, *output)

    @staticmethod
    def backward(ctx: Any, *grads):
        """``dH = c G`` if that was kept, else the chunks once more."""
        hidden, weight, bias, targets, *output = ctx.saved_tensors
        head, grad, wanted = (
            Head(weight, bias, ctx.scale, ctx.cap),
            grads[_LOG_PROB],
            ctx.needs_input_grad[:3],
        )
        if grad is None:
            return (None,) * 8
        if torch.is_grad_enabled():  # the gradient is to be differentiated in turn
            operands = [x for x, want in zip((hidden, weight, bias), wanted, strict=True) if want]
            found = torch.autograd.grad(
                _plain(hidden, head, targets), operands, grad, create_graph=True
            )
            each = iter(found)
            return (*(next(each) if want else None for want in wanted), *(None,) * 5)
        if ctx.keeps:
            return ((grad[:, None] * output[-1]).to(hidden.dtype), *(None,) * 7)
        sums = HeadGradients(hidden, head, wanted)
        for part, logits in _chunks(hidden, head, ctx.chunk):
            stats = RowStats(*(column[part] for column in output[:-1]))
            sums.add(write_gradients(logits, stats, targets[part], grad[part], head, hidden), part)
        return (*sums.results(), *(None,) * 5)

    @staticmethod
    def jvp(ctx: Any, d_hidden, d_weight, d_bias, *_):
        """``<dH_i, G_i> + h_i . dW^T dz_i + db . dz_i`` of each row, with dz = e_y - p."""
        hidden, weight, bias, targets, *output = ctx.saved_tensors
        head = Head(weight, bias, ctx.scale, ctx.cap)
        moved = torch.zeros_like(output[_LOG_PROB])
        for part, logits in _chunks(hidden, head, ctx.chunk):
            stats = RowStats(*(column[part] for column in output[:-1]))
            unit = torch.ones_like(stats.log_prob)
            dz = kernels.dz_row(logits, stats, targets[part], unit, head.scale, head.cap)
            if d_hidden is not None:
                moved[part] += ((dz @ weight.to(dz.dtype)) * d_hidden[part]).sum(-1)
            if d_weight is not None:
                moved[part] += ((dz @ d_weight.to(dz.dtype)) * hidden[part]).sum(-1)
            if d_bias is not None:
                moved[part] += dz @ d_bias.to(dz.dtype)
        return tuple(moved if i == _LOG_PROB else None for i in range(len(output)))


_LOG_PROB = RowStats._fields.index("log_prob")
