"""The gradient Gram matrix layer by layer, without the gradient of any response."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from prefdyn.llm import kernels
from prefdyn.llm._encoding import Responses
from prefdyn.llm._forward import completion_states
from prefdyn.llm._parameters import at_rest
from prefdyn.llm.geometry._head_gram import HeadUses
from prefdyn.llm.geometry._layer_records import (
    CURE,
    UnknownUse,
    Uses,
    note_uses,
    positions_by_row,
    recorded,
)
from prefdyn.llm.geometry._lookups import lookup_gram, token_rows
from prefdyn.llm.head._head import Head, unwrapped
from prefdyn.llm.head.logprobs import token_logprobs
from prefdyn.llm.kernels import RowStats

ROUNDINGS = 30
"""Units of rounding by which terms of a gradient may be off: about one for each step back."""

KEPT = 2**28
"""Numbers that are kept of layers at a time: 1 GiB in single precision."""


@dataclass(frozen=True, eq=False)
class Observed:
    """How the parameters are used by R responses.

    Attributes
    ----------
    uses : dict
        Uses of each chosen parameter, by its id; those in the head excepted.
    head : HeadUses
        Uses of the head.
    head_names : dict
        Id of each parameter of the head to ``"weight"`` or ``"bias"``.
    squares : dict
        Squared norm of the first response's gradient in each parameter, by name: what is found is
        held to it.
    """

    uses: dict[int, Uses]
    head: HeadUses
    head_names: dict[int, str]
    squares: dict[str, float]

    def check(self, name: str, square: float, size: float) -> None:
        """Refuse a parameter of which the first response's gradient is not what was found.

        Two sums of terms whose norms add up to `size` may differ by some ``eps size``, even if
        that is all there is: the gradient in a key's bias is 0 where attention knows no places.
        The terms are sums themselves of what comes back from the head, and so may they: attention
        to one place sends nothing back to its query.
        """
        dtype = self.head.hidden.dtype
        slack = 3e4 * torch.finfo(dtype).eps if torch.finfo(dtype).bits >= 32 else 0.3
        right = self.squares[name]
        rounding = ROUNDINGS * torch.finfo(dtype).eps * (size + self.head.size())
        if (
            abs(square - right) > slack * (right + 1e-3 * sum(self.squares.values()))
            and abs(square**0.5 - right**0.5) > rounding
        ):
            raise UnknownUse(
                f"Parameter {name} is used in a way that the layer-wise method does not see (it "
                f"finds {square:.6g} where {right:.6g} is right): {CURE}."
            )


def layer_wise_gram(
    model: Any, responses: Responses, chosen: dict[str, nn.Parameter], batch: int
) -> Tensor:
    r"""Inner products of the gradients of all responses, (R, R), double precision.

    One forward and one backward pass keep inputs :math:`a_t` and output gradients
    :math:`\delta_t` of each layer; a weight's part is

    .. math:: K_{ij} \mathrel{+}= \sum_{t \in i,\, t' \in j}
              \langle a_t, a_{t'} \rangle \langle \delta_t, \delta_{t'} \rangle

    Responses that share a batch do not share a graph, so one backward pass of their sum has the
    gradients of each.  Where all layers together would keep more than `KEPT` numbers, the passes
    are made once for every few layers.  Every parameter's part is held to the gradient of the first
    response, by automatic differentiation of it alone.

    Raises
    ------
    UnknownUse
        For a parameter that is used in a way that is not known.
    """
    gram = torch.zeros(len(responses), len(responses), dtype=torch.float64)
    for group in groups(model, responses, chosen):
        with at_rest(model, group):
            gram += _gram_of_group(model, responses, group, batch)
    return gram


def groups(
    model: nn.Module, responses: Responses, chosen: dict[str, nn.Parameter]
) -> Iterator[dict[str, nn.Parameter]]:
    """Parameters in order, as many at a time as keep `KEPT` numbers, or one that keeps more."""
    rows = zip(responses.prompt_tokens, responses.tokens, strict=True)
    places = sum(len(prompt) + len(tokens) for prompt, tokens in rows)
    lookups = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    group, kept = {}, 0
    for name, parameter in chosen.items():
        if parameter.dim() == 1:
            size = len(responses) * len(parameter)
        else:
            shape = parameter.shape
            size = places * (shape[-1] if id(parameter) in lookups else sum(shape))
        if group and kept + size > KEPT:
            yield group
            group, kept = {}, 0
        group[name] = parameter
        kept += size
    yield group


def _gram_of_group(
    model: Any, responses: Responses, chosen: dict[str, nn.Parameter], batch: int
) -> Tensor:
    seen = observe(model, responses, chosen, batch)
    gram = torch.zeros(len(responses), len(responses), dtype=torch.float64)
    in_head = seen.head_names.keys() & seen.uses.keys()
    head_grams = seen.head.grams() if in_head else None
    for name, parameter in chosen.items():
        part = seen.head_names.get(id(parameter))
        uses = seen.uses.pop(id(parameter))
        piece = _gram_of(uses, name, seen.head, tied=part is not None)
        if head_grams is not None and part is not None:
            piece = piece + head_grams[part == "bias"].cpu()
        seen.check(name, float(piece[0, 0]), uses.size)
        gram += piece
    return gram


def layer_wise_gradients(
    model: Any, responses: Responses, chosen: dict[str, nn.Parameter], batch: int
) -> Tensor:
    """The gradients themselves, (R, P), on the CPU, from the same one backward pass.

    Raises
    ------
    UnknownUse
        As of `layer_wise_gram`.
    """
    seen = observe(model, responses, chosen, batch)
    width = sum(parameter.numel() for parameter in chosen.values())
    dtype = next(iter(chosen.values())).dtype
    rows = torch.zeros(len(responses), width, dtype=dtype)
    first = 0
    for name, parameter in chosen.items():
        uses, part = seen.uses.pop(id(parameter)), seen.head_names.get(id(parameter))
        piece = _rows_of(uses, parameter, len(responses))
        if part is not None:
            seen.head.add_gradients(piece, part)
        piece = piece.reshape(len(responses), -1)
        seen.check(name, float(piece[0].double().square().sum()), uses.size)
        rows[:, first : first + piece.shape[1]] = piece.cpu()
        first += piece.shape[1]
    return rows


def observe(
    model: Any, responses: Responses, chosen: dict[str, nn.Parameter], batch: int
) -> Observed:
    """Run all responses forward and backward, and write down how parameters are used."""
    uses = {id(parameter): Uses() for parameter in chosen.values()}
    layer = unwrapped(model).get_output_embeddings()
    head, states, scanned = _detached(Head.of(model)), [], []
    for first in range(0, len(responses), batch):
        part = responses[first : first + batch]
        rows = torch.arange(first, first + len(part), device=layer.weight.device)
        *tokens, stats = _observe(model, part, rows, head, layer, uses)
        states.append(tokens)
        scanned.append(stats)
    hidden, targets, segments = (torch.cat(parts) for parts in zip(*states, strict=True))
    stats = RowStats(*(torch.cat(column) for column in zip(*scanned, strict=True)))
    return Observed(
        uses,
        HeadUses(head, hidden, targets, segments, stats, len(responses)),
        {id(p): name for name, p in layer.named_parameters(recurse=False)},
        _first_response(model, responses[:1], chosen),
    )


def _observe(
    model: Any,
    part: Responses,
    rows: Tensor,
    head: Head,
    output_layer: nn.Module,
    uses: dict[int, Uses],
) -> tuple[Tensor, Tensor, Tensor, RowStats]:
    """One batch forward and backward, its uses written down; what the head sees and says."""
    with positions_by_row(model, len(part)), recorded(model, set(uses), output_layer) as calls:
        states = completion_states(model, part)
    values, stats = token_logprobs(states.hidden, head, states.targets, statistics=True)
    if calls:
        outputs = [call.output for call in calls]
        deltas = torch.autograd.grad(values.sum(), outputs, materialize_grads=True)
        longest = max(
            map(len, (p + t for p, t in zip(part.prompt_tokens, part.tokens, strict=True)))
        )
        for call, delta in zip(calls, deltas, strict=True):
            note_uses(call, delta, rows.to(delta.device), longest, uses)
    return states.hidden.detach(), states.targets, rows[states.segments], stats


def _gram_of(uses: Uses, name: str, head: HeadUses, *, tied: bool) -> Tensor:
    """Inner products of one parameter's gradients, (R, R), but for what the head adds alone."""
    count = head.count
    gram = torch.zeros(count, count, dtype=torch.float64)
    if sum(map(bool, (uses.products, uses.lookups, uses.vectors))) > 1 or (tied and uses.products):
        raise UnknownUse(f"Parameter {name} is used in layers of several kinds: {CURE}.")
    if uses.products:
        a, d, segments = (torch.cat(parts) for parts in zip(*uses.products, strict=True))
        gram += kernels.segmented_gram(a, d, segments, count).cpu()
    elif uses.lookups:
        ids, d, segments = (torch.cat(parts) for parts in zip(*uses.lookups, strict=True))
        tokens, rows, owners = token_rows(ids, d, segments, count)
        gram += lookup_gram(tokens, rows, owners, count).cpu()
        if tied:
            where = head.hidden.device
            cross = head.cross(tokens.to(where), rows.to(where), owners.to(where)).cpu()
            gram += cross + cross.T
    elif uses.vectors:
        vectors, segments = (torch.cat(parts) for parts in zip(*uses.vectors, strict=True))
        rows = torch.zeros(count, vectors.shape[1], dtype=torch.float64, device=vectors.device)
        rows.index_add_(0, segments, vectors.double())
        gram += (rows @ rows.T).cpu()
    return gram


def _rows_of(uses: Uses, parameter: nn.Parameter, count: int) -> Tensor:
    """One parameter's gradients, (R, ...), but for what the head adds."""
    rows = parameter.new_zeros(count, *parameter.shape)
    for columns, lines, segments in uses.products:
        numbers, lengths = segments.unique_consecutive(return_counts=True)
        pieces = zip(columns.split(lengths.tolist()), lines.split(lengths.tolist()), strict=True)
        for number, (a, d) in zip(numbers.tolist(), pieces, strict=True):
            rows[number] += d.T @ a
    for ids, deltas, segments in uses.lookups:
        places = segments * parameter.shape[0] + ids
        rows.view(-1, parameter.shape[1]).index_add_(0, places, deltas)
    for vectors, segments in uses.vectors:
        rows.index_add_(0, segments, vectors.reshape(-1, *parameter.shape))
    return rows


def _first_response(
    model: Any, first: Responses, chosen: dict[str, nn.Parameter]
) -> dict[str, float]:
    """Squared norm of the first response's gradient in each parameter."""
    states = completion_states(model, first)
    # With statistics, as that way forms 1 - p from log p: the plain expression subtracts p, and
    # has lost the gradient's digits where a response is almost certain.
    values, _ = token_logprobs(states.hidden, Head.of(model), states.targets, statistics=True)
    gradients = torch.autograd.grad(values.sum(), list(chosen.values()), materialize_grads=True)
    return {
        name: float(gradient.double().square().sum())
        for name, gradient in zip(chosen, gradients, strict=True)
    }


def _detached(head: Head) -> Head:
    bias = None if head.bias is None else head.bias.detach()
    return Head(head.weight.detach(), bias, head.scale, head.cap)
