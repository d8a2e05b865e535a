"""The gradient Gram matrix layer by layer, without the gradient of any response."""

from typing import Any

import torch
from torch import Tensor, nn

from prefdyn._errors import InputError
from prefdyn.llm import kernels
from prefdyn.llm._encoding import Responses
from prefdyn.llm._forward import completion_states
from prefdyn.llm._head import Head, unwrapped
from prefdyn.llm._head_gram import HeadUses
from prefdyn.llm._layer_records import CURE, Uses, note_uses, positions_by_row, recorded
from prefdyn.llm.logprobs import token_logprobs


def layer_wise_gram(
    model: Any, responses: Responses, chosen: dict[str, nn.Parameter], batch: int
) -> Tensor:
    r"""Inner products of the gradients of all responses, (R, R), double precision.

    One forward and one backward pass keep inputs :math:`a_t` and output gradients
    :math:`\delta_t` of each layer; a weight's part is

    .. math:: K_{ij} \mathrel{+}= \sum_{t \in i,\, t' \in j}
              \langle a_t, a_{t'} \rangle \langle \delta_t, \delta_{t'} \rangle

    Responses that share a batch do not share a graph, so one backward pass of their sum has the
    gradients of each.  Every parameter's part is held to the gradient of the first response, by
    automatic differentiation of it alone.

    Raises
    ------
    InputError
        For a parameter that is used in a way that is not known.
    """
    uses = {id(parameter): Uses() for parameter in chosen.values()}
    output_layer = unwrapped(model).get_output_embeddings()
    states = []
    for first in range(0, len(responses), batch):
        part = responses[first : first + batch]
        device = output_layer.weight.device
        rows = torch.arange(first, first + len(part), device=device)
        states.append(_observe(model, part, rows, output_layer, uses))
    hidden, targets, segments = (torch.cat(parts) for parts in zip(*states, strict=True))
    head = HeadUses(_detached(Head.of(model)), hidden, targets, segments, len(responses))
    norms = _first_response(model, responses[:1], chosen)
    gram = torch.zeros(len(responses), len(responses), dtype=torch.float64)
    own = {id(p): name for name, p in output_layer.named_parameters(recurse=False)}
    head_grams = head.grams() if own.keys() & uses.keys() else None
    slack = _slack(hidden.dtype)
    for name, parameter in chosen.items():
        piece = _of_uses(uses.pop(id(parameter)), name, head, tied=id(parameter) in own)
        if head_grams is not None and id(parameter) in own:
            piece = piece + head_grams[own[id(parameter)] == "bias"].cpu()
        if abs(float(piece[0, 0]) - norms[name]) > slack * (
            norms[name] + 1e-3 * sum(norms.values())
        ):
            raise InputError(
                f"Parameter {name} is used in a way that the layer-wise method does not see (it "
                f"finds {float(piece[0, 0]):.6g} where {norms[name]:.6g} is right): {CURE}."
            )
        gram += piece
    return gram


def _observe(
    model: Any, part: Responses, rows: Tensor, output_layer: nn.Module, uses: dict[int, Uses]
) -> tuple[Tensor, Tensor, Tensor]:
    """One batch forward and backward, its uses written down; states, targets and segments."""
    head = Head.of(model)
    with positions_by_row(model, len(part)), recorded(model, set(uses), output_layer) as calls:
        states = completion_states(model, part)
    if calls:
        total = token_logprobs(states.hidden, head, states.targets).sum()
        outputs = [call.output for call in calls]
        deltas = torch.autograd.grad(total, outputs, materialize_grads=True)
        longest = max(
            map(len, (p + t for p, t in zip(part.prompt_tokens, part.tokens, strict=True)))
        )
        for call, delta in zip(calls, deltas, strict=True):
            note_uses(call, delta, rows.to(delta.device), longest, uses)
    return states.hidden.detach(), states.targets, rows[states.segments]


def _of_uses(uses: Uses, name: str, head: HeadUses, *, tied: bool) -> Tensor:
    """Inner products of one parameter's gradients, (R, R), but for what the head adds alone."""
    count = head.count
    gram = torch.zeros(count, count, dtype=torch.float64)
    if sum(map(bool, (uses.products, uses.lookups, uses.vectors))) > 1 or (tied and uses.products):
        raise InputError(f"Parameter {name} is used in layers of several kinds: {CURE}.")
    if uses.products:
        a, d, segments = (torch.cat(parts) for parts in zip(*uses.products, strict=True))
        gram += kernels.segmented_gram(a, d, segments, count).cpu()
    elif uses.lookups:
        ids, d, segments = (torch.cat(parts) for parts in zip(*uses.lookups, strict=True))
        known, places = ids.unique(return_inverse=True)
        a = nn.functional.one_hot(places, len(known)).to(d.dtype)
        gram += kernels.segmented_gram(a, d, segments, count).cpu()
        if tied:
            where = head.hidden.device
            dz = head.columns(known.to(where), head.log_normaliser())
            cross = kernels.segmented_gram(
                head.hidden,
                dz,
                head.segments,
                count,
                a2=d.to(where),
                d2=a.to(where),
                segments2=segments.to(where),
            ).cpu()
            gram += cross + cross.T
    elif uses.vectors:
        vectors, segments = (torch.cat(parts) for parts in zip(*uses.vectors, strict=True))
        rows = torch.zeros(count, vectors.shape[1], dtype=torch.float64, device=vectors.device)
        rows.index_add_(0, segments, vectors.double())
        gram += (rows @ rows.T).cpu()
    return gram


def _first_response(
    model: Any, first: Responses, chosen: dict[str, nn.Parameter]
) -> dict[str, float]:
    """Squared norm of the first response's gradient in each parameter."""
    states = completion_states(model, first)
    total = token_logprobs(states.hidden, Head.of(model), states.targets).sum()
    gradients = torch.autograd.grad(total, list(chosen.values()), materialize_grads=True)
    return {
        name: float(gradient.double().square().sum())
        for name, gradient in zip(chosen, gradients, strict=True)
    }


def _slack(dtype: torch.dtype) -> float:
    """How far two ways to sum may be apart, relative."""
    return 3e4 * torch.finfo(dtype).eps if torch.finfo(dtype).bits >= 32 else 0.3


def _detached(head: Head) -> Head:
    bias = None if head.bias is None else head.bias.detach()
    return Head(head.weight.detach(), bias, head.scale, head.cap)
