"""An objective on pairs and its gradients by head and hidden states, through one buffer."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from prefdyn._errors import InputError
from prefdyn._inputs import count
from prefdyn.llm import kernels
from prefdyn.llm._encoding import Responses
from prefdyn.llm._forward import States
from prefdyn.llm._pair_loss import PairLoss, Stats
from prefdyn.llm._upload import upload
from prefdyn.llm.head._head import Head
from prefdyn.llm.head._passes import (
    HeadGradients,
    logits_buffer,
    rows_held,
    write_gradients,
    write_logits,
)
from prefdyn.llm.head.logprobs import token_logprobs
from prefdyn.llm.kernels import RowStats


class PairHead(NamedTuple):
    """What one pass of `pair_head` found; all but the loss are constants.

    Attributes
    ----------
    loss : torch.Tensor
        The loss, in float64; differentiable once in hidden states, weight and bias.
    token_log_probs : torch.Tensor
        (R, T) in float64: 0 in the padding, NaN for a response in no pair.
    stats : RowStats
        Statistics of each of the N rows; NaN, and -1 as `argmax`, for a response in no pair.
    gram : torch.Tensor or None
        (M, 2, 2) in float64: inner products of the gradients of ``log pi(chosen)`` and
        ``log pi(rejected)`` by the head's weight and bias.
    """

    loss: Tensor
    token_log_probs: Tensor
    stats: RowStats
    gram: Tensor | None


def pair_head(
    states: States,
    head: Head,
    loss: PairLoss,
    *,
    stats: Stats | None = None,
    rows: int | None = None,
    gram: bool = False,
    merge: bool = False,
) -> PairHead:
    r"""The loss of hidden states, with all its gradients made on the way: 6NVd flop.

    A chunk holds whole pairs.  Its logits go into the buffer; one read gives the row statistics;
    the objective, in float64, says what each token's log-probability is worth,
    :math:`c_t = \partial L/\partial \log p_t`; the rows become :math:`c_t (e_y - p)` in place; and
    two products of that buffer give the gradients.  The coefficients are known before the second
    product, so nothing is computed twice, and the backward pass hands over what is there.

    Objectives that couple the pairs of a batch, losses with gold responses, and batches with a pair
    longer than the buffer go through `token_logprobs`, which computes the logits twice (8NVd); so
    do those that divide by a mean length of the batch, where it does not fit into the buffer whole.

    Parameters
    ----------
    states
        Of ``loss.responses``, as `completion_states` gives them.
    head
        The output head.
    loss
        Objective, pairs and reference.
    stats
        The objective's statistics, for one that keeps any.
    rows
        Rows of the buffer; by default so many that it holds 2²⁴ logits, on a GPU 4096 rows, or the
        longest pair.
    gram
        Whether to compute ``PairHead.gram``, by ``sum_ij (h_i . h_j) (dz_i . dz_j)`` over the
        tokens of a pair: no gradient of the size of the weight is made.
    merge
        Whether a token that several responses have behind the same text is computed once, with the
        sum of their coefficients.  Right where the model gives them the same state: not with
        dropout.

    Returns
    -------
    PairHead
        Loss, token log-probabilities, row statistics and the Gram matrices.

    Raises
    ------
    InputError
        If the states are not those of the responses, `rows` is no whole number above 0, or a Gram
        matrix is asked for of a pair that is longer than the buffer.
    """
    lengths = loss.responses.lengths
    if len(states.hidden) != lengths.sum():
        raise InputError(
            f"states has {len(states.hidden)} rows but the responses have {lengths.sum()} tokens: "
            "give completion_states(model, loss.responses)."
        )
    longest = int(lengths[loss.pairs].sum(-1).max())
    if rows is None:
        rows = max(rows_held(states.hidden, len(head.weight)), longest)
    rows = count(rows, "rows")
    if longest > rows and gram:
        raise InputError(
            f"A pair has {longest} tokens, more than the {rows} rows of the buffer, and its Gram "
            f"matrix needs all of them: give rows={longest}."
        )
    same = _first_of_equals(loss.responses) if merge else np.arange(lengths.sum())
    chunks = [_Chunk(loss, numbers, same) for numbers in _pack(lengths[loss.pairs].sum(-1), rows)]
    apart = loss.objective.batch_lengths and len(chunks) > 1
    if loss.objective.couples_rows or loss.gold is not None or apart or longest > rows:
        return _in_two_passes(states, head, loss, stats, rows, chunks if gram else [])
    operands = (states.hidden, head.weight, head.bias)
    wanted = [
        torch.is_grad_enabled() and part is not None and part.requires_grad for part in operands
    ]
    parts: Any = _PairHead.apply(*operands, head, states.targets, loss, stats, chunks, gram, wanted)
    return PairHead(parts[0], parts[1], RowStats(*parts[3:]), parts[2] if gram else None)


class _Chunk:
    """Some pairs, and the rows that they need.

    Attributes
    ----------
    numbers
        Of the pairs.
    tokens
        Flat numbers of all tokens of their responses.
    used, place
        Rows that are computed, and which of them each token has.
    loss
        The pairs' share of the loss; made, and checked, before the first product is on its way.
    """

    def __init__(self, loss: PairLoss, numbers: np.ndarray, same: np.ndarray):
        starts = np.concatenate(([0], np.cumsum(loss.responses.lengths)))
        self.numbers = numbers
        self.responses = loss.pairs[numbers]
        self.spans = {
            r: np.arange(int(starts[r]), int(starts[r + 1])) for r in np.unique(self.responses)
        }
        self.tokens = np.concatenate(list(self.spans.values()))
        self.used, self.place = np.unique(same[self.tokens], return_inverse=True)
        self._same = same
        extra = {
            name: np.asarray(x)[numbers] if np.ndim(x) else x for name, x in loss.extra.items()
        }
        weights = np.asarray(loss.weights)[numbers]
        gold = None if loss.gold is None else loss.gold[numbers]
        self.loss = replace(
            loss, pairs=loss.pairs[numbers], weights=weights, extra=extra, gold=gold
        )

    def rows_of(self, response: int) -> np.ndarray:
        """Where the response's tokens stand among the computed rows."""
        return np.searchsorted(self.used, self._same[self.spans[response]])


def _pack(lengths: np.ndarray, rows: int) -> list[np.ndarray]:
    """Numbers of pairs, in order, as many together as fit."""
    groups: list[list[int]] = [[]]
    room = rows
    for number, length in enumerate(lengths):
        if length > room and groups[-1]:
            groups.append([])
            room = rows
        groups[-1].append(number)
        room -= length
    return [np.array(group) for group in groups]


def _first_of_equals(responses: Responses) -> np.ndarray:
    """For each token, the first one that is the same token behind the same text."""
    seen: dict[Any, int] = {}
    found: list[int] = []
    for prompt, tokens in zip(responses.prompt_tokens, responses.tokens, strict=True):
        node = seen.setdefault(("prompt", prompt), -1 - len(seen))
        for token in tokens:
            node = seen.setdefault((node, token), len(found))
            found.append(node)
    return np.array(found)


def _empty_table(responses: Responses, device: torch.device) -> Tensor:
    """(R, T): 0 in the padding, NaN elsewhere."""
    return upload(np.where(responses.mask > 0, np.nan, 0.0), device)


def _grams(dz: Tensor, hidden: Tensor, chunk: _Chunk, bias: bool) -> Tensor:
    """Gram matrices (m, 2, 2) of the chunk's pairs, of unit-coefficient rows."""
    inputs = torch.cat((hidden, torch.ones_like(hidden[:, :1])), -1) if bias else hidden
    made = []
    for pair in chunk.responses:
        sides = [chunk.rows_of(r) for r in pair]
        at = upload(np.concatenate(sides), dz.device)
        side = upload(np.repeat([0, 1], [len(rows) for rows in sides]), dz.device)
        made.append(kernels.segmented_gram(inputs[at], dz[at], side, 2))
    return torch.stack(made)


class _PairHead(torch.autograd.Function):
    """Loss and, made in the same pass, its gradients."""

    @staticmethod
    def forward(ctx: Any, hidden, weight, bias, head, targets, loss, stats, chunks, gram, wanted):
        """Chunk by chunk: logits, statistics, coefficients, gradients."""
        device = hidden.device
        table = _empty_table(loss.responses, device)
        at_token = [upload(numbers, device) for numbers in loss.responses.places]
        buffer = logits_buffer(hidden, head, max(len(chunk.used) for chunk in chunks))
        grads = HeadGradients(hidden, head, wanted)
        found = _nowhere(len(hidden), buffer)
        total, made = table.new_zeros(()), []
        for chunk in chunks:
            used, place, tokens = (
                upload(x, device) for x in (chunk.used, chunk.place, chunk.tokens)
            )
            logits = write_logits(buffer[: len(used)], hidden[used], head)
            row = kernels.row_stats(logits, targets[used])
            for whole, part in zip(found, row, strict=True):
                whole[tokens] = part[place]
            cells = at_token[0][tokens], at_token[1][tokens]
            table[cells] = row.log_prob[place].to(table.dtype)
            value, slopes = _value_and_slopes(chunk.loss, table, found, at_token, stats)
            total += value
            c = slopes.new_zeros(len(used)).index_add_(0, place, slopes[cells]).to(logits.dtype)
            if not gram and not any(wanted):
                continue
            first = torch.ones_like(c) if gram else c
            dz = write_gradients(logits, row, targets[used], first, head, hidden)
            if gram:
                made.append(_grams(dz, hidden[used], chunk, head.bias is not None))
                dz *= c[:, None]
            grads.add(dz, used)
        ctx.save_for_backward(*grads.results())
        grams = torch.cat(made) if made else table.new_zeros(0, 2, 2)
        ctx.mark_non_differentiable(table, grams, *found)
        ctx.set_materialize_grads(False)
        return total, table, grams, *found

    @staticmethod
    def backward(ctx: Any, *grads):
        """The gradients, times the incoming one."""
        if torch.is_grad_enabled():
            raise InputError(
                "pair_head gives first derivatives only: take loss.of_tokens of token_logprobs "
                "where the gradient is differentiated in turn."
            )
        first = grads[0]
        if first is None:
            return (None,) * 10
        # A copy of the weight's gradient would double what is held; a GPU is not waited for.
        if first.device.type == "cpu" and first == 1:
            return *ctx.saved_tensors, *(None,) * 7
        return (
            *(g if g is None else (g * first).to(g.dtype) for g in ctx.saved_tensors),
            *(None,) * 7,
        )


def _nowhere(rows: int, like: Tensor) -> RowStats:
    """Statistics that nothing has filled in."""
    columns = {name: like.new_full((rows,), torch.nan) for name in RowStats._fields}
    return RowStats(**columns | {"argmax": torch.full_like(columns["argmax"], -1).long()})


def _value_and_slopes(
    loss: PairLoss, table: Tensor, found: RowStats, at_token: list[Tensor], stats: Stats | None
) -> tuple[Tensor, Tensor]:
    """The loss of token log-probabilities (R, T), and its derivatives by them."""
    with torch.enable_grad():
        leaf = table.detach().clone().requires_grad_()
        value = loss.of_tokens(leaf, stats, _log_sum_p2(loss, table, found, at_token))
        (slopes,) = torch.autograd.grad(value, leaf)
    return value.detach(), slopes


def _log_sum_p2(
    loss: PairLoss, table: Tensor, found: RowStats, at_token: list[Tensor]
) -> Tensor | None:
    """``log sum p^2`` (R, T), for objectives that see tokens."""
    if not loss.objective.token_level:
        return None
    values = found.sum_p2.log().to(table.dtype)
    return torch.zeros_like(table).index_put(tuple(at_token), values)


def _in_two_passes(
    states: States,
    head: Head,
    loss: PairLoss,
    stats: Stats | None,
    rows: int,
    chunks: list[_Chunk],
) -> PairHead:
    """The same through `token_logprobs`; Gram matrices, if any, from a pass of their own."""
    device = states.hidden.device
    at_token = [upload(numbers, device) for numbers in loss.responses.places]
    paired = np.isin(loss.responses.places[0], loss.rows)
    targets = torch.where(upload(paired, device), states.targets, -1)
    values, found = token_logprobs(states.hidden, head, targets, chunk=rows, statistics=True)
    table = _empty_table(loss.responses, device)
    tokens = torch.zeros_like(table).index_put(tuple(at_token), values.to(table.dtype))
    value = loss.of_tokens(tokens, stats, _log_sum_p2(loss, table, found, at_token))
    nowhere = _nowhere(len(values), values)
    kept = RowStats(
        *(
            torch.where(upload(paired, device), one.detach(), none)
            for one, none in zip(found, nowhere, strict=True)
        )
    )
    table[at_token[0], at_token[1]] = kept.log_prob.to(table.dtype)
    made = []
    with torch.no_grad():
        for chunk in chunks:
            used = upload(chunk.used, device)
            buffer = logits_buffer(states.hidden, head, len(used))
            logits = write_logits(buffer, states.hidden[used], head)
            row, unit = RowStats(*(column[used] for column in found)), torch.ones_like(logits[:, 0])
            dz = write_gradients(logits, row, targets[used], unit, head, states.hidden)
            made.append(_grams(dz, states.hidden[used], chunk, head.bias is not None))
    return PairHead(value, table, kept, torch.cat(made) if made else None)
