"""What passes through the layers of a model: inputs, and gradients of the outputs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from prefdyn._errors import InputError

CURE = "use method='gradients', or leave it out through parameters="


class UnknownUse(InputError):
    """A parameter is used in a way that the layer-wise method does not know."""


@dataclass(eq=False)
class Uses:
    """How one parameter is used: pieces of its gradient by response, batch after batch.

    Attributes
    ----------
    products : list
        Of a weight that multiplies, sums of outer products: what its columns stand for (n, k), what
        its rows stand for (n, m), segments (n,).  Of ``y = W x`` these are inputs and output
        gradients.
    lookups : list
        Of an embedding: token ids (n,), output gradients (n, d), segments (n,).
    vectors : list
        Of a gain or a bias: gradients (b, size) themselves, and their segments (b,).
    size : float
        Norms of the terms that the first response's gradient is a sum of, summed: what it is off
        by, rounding makes of them, however small they leave it.
    """

    products: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)
    lookups: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)
    vectors: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    size: float = 0.0


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a module: its name, itself, what it got and what it gave."""

    name: str
    module: nn.Module
    inputs: tuple[Any, ...]
    options: dict[str, Any]
    output: Any


@contextmanager
def recorded(model: nn.Module, wanted: set[int], head: nn.Module) -> Iterator[list[Call]]:
    """Calls of the modules that own one of the wanted parameters, the head excepted."""
    calls: list[Call] = []
    handles = []
    for name, module in model.named_modules():
        if module is head or not any(id(p) in wanted for p in module.parameters(recurse=False)):
            continue

        def note(module, inputs, options, output, name=name):
            if not isinstance(output, Tensor):
                raise _unknown(name, module)
            calls.append(Call(name, module, inputs, options, output))

        handles.append(module.register_forward_hook(note, with_kwargs=True))
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def positions_by_row(model: nn.Module, rows: int) -> Iterator[None]:
    """Embeddings that are looked up once for a whole batch are looked up row by row."""

    def widen(module, inputs):
        ids = inputs[0]
        return (ids.expand(rows, *ids.shape[1:]), *inputs[1:]) if ids.shape[0] == 1 else None

    lookups = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    handles = [module.register_forward_pre_hook(widen) for module in lookups]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def note_uses(call: Call, delta: Tensor, rows: Tensor, width: int, uses: dict[int, Uses]) -> None:
    """Write down what a call says of its module's parameters.

    Parameters
    ----------
    call
        The call.
    delta
        Gradient in its output of the sum of all log-probabilities.
    rows
        (b,) numbers of the responses in the batch.
    width
        Length of the padded rows.
    uses
        By id of a parameter; those that are not wanted are not in it.

    Raises
    ------
    InputError
        For a module of a kind that is not known, or one that mixes the rows of a batch.
    """
    module = call.module
    own = {n: p for n, p in module.named_parameters(recurse=False) if id(p) in uses}
    given = call.inputs[0] if call.inputs else next(iter(call.options.values()), None)
    b = len(rows)
    if not isinstance(given, Tensor) or (
        b > 1 and (given.shape[:1] != (b,) or width not in given.shape[1:])
    ):
        shape = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
        raise UnknownUse(
            f"Module {call.name} gets {shape} of {b} rows, which cannot be told apart by response: "
            f"use batch=1, or {CURE}."
        )
    if isinstance(module, nn.Embedding):
        ids, deltas, segments = _lookup(call, given, delta, rows)
        uses[id(module.weight)].lookups.append((ids, deltas, segments))
        uses[id(module.weight)].size += size_of(deltas, segments)
        return
    if _multiplies(module):
        inputs, deltas, segments = _used(given, delta, rows)
        if "weight" in own:
            pair = (inputs, deltas) if isinstance(module, nn.Linear) else (deltas, inputs)
            uses[id(own["weight"])].products.append((*pair, segments))
            uses[id(own["weight"])].size += size_of(deltas, segments, inputs)
        if "bias" in own:
            sums = deltas.new_zeros(b, deltas.shape[-1])
            sums.index_add_(0, segments - rows[0], deltas)
            uses[id(own["bias"])].vectors.append((sums, rows))
            uses[id(own["bias"])].size += size_of(deltas, segments)
        return
    if any(parameter.dim() > 1 for parameter in own.values()):
        raise _unknown(call.name, module)
    _replay(call, own, delta, rows, uses)


def size_of(deltas: Tensor, segments: Tensor, inputs: Tensor | None = None) -> float:
    """Norms of the first response's terms ``delta_t a_t^T``, summed; a is 1 where left out.

    What is so small that its square underflows, in the single precision of inner products, counts
    as what does not.
    """
    first = segments == 0
    least = torch.finfo(torch.float32).tiny ** 0.5 / torch.finfo(deltas.dtype).eps
    sizes = deltas[first].double().norm(dim=-1).clamp(min=least)
    return float((sizes if inputs is None else sizes * inputs[first].double().norm(dim=-1)).sum())


def _unknown(name: str, module: nn.Module) -> UnknownUse:
    return UnknownUse(
        f"Module {name} is a {type(module).__name__}, which the layer-wise method does not know: "
        f"{CURE}."
    )


def _multiplies(module: nn.Module) -> bool:
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, nn.Linear | Conv1D)


def _used(given: Tensor, delta: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Places (n, ...) that the log-probabilities depend on, padding being none of them."""
    places = delta.reshape(-1, delta.shape[-1])
    segments = rows.repeat_interleave(len(places) // len(rows))
    kept = places.any(-1)
    given = given.detach().reshape(len(places), -1)
    return given[kept], places[kept], segments[kept]


def _lookup(call: Call, ids: Tensor, delta: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids, and the gradient in the rows of the weight that they look up."""
    module: Any = call.module
    if ids.is_floating_point() or ids.shape != delta.shape[:-1]:
        raise _unknown(call.name, module)
    ids, deltas, segments = _used(ids, delta, rows)
    ids = ids[:, 0]
    if type(module).forward is not nn.Embedding.forward:
        # A scaled embedding or the like: pass the gradient back through it, on a table that has
        # one row per place.  What stands before the padding's own row is left out.
        first = (module.padding_idx or 0) + 1
        table = module.weight[ids].detach()
        table = torch.cat([table.new_zeros(first, table.shape[1]), table]).requires_grad_()
        places = torch.arange(first, len(table), device=ids.device)
        output = functional_call(module, {"weight": table}, (places,))
        (deltas,) = torch.autograd.grad(output, table, deltas)
        deltas = deltas[first:]
    if module.padding_idx is not None:
        kept = ids != module.padding_idx
        ids, deltas, segments = ids[kept], deltas[kept], segments[kept]
    return ids, deltas, segments


def _replay(
    call: Call, own: dict[str, nn.Parameter], delta: Tensor, rows: Tensor, uses: dict[int, Uses]
) -> None:
    """Gradients in gains and other vectors, by calling the module again."""
    found = _by_copies(call, own, delta) or _row_by_row(call, own, delta)
    places = delta.reshape(-1, delta.shape[-1])
    size = size_of(places, rows.repeat_interleave(len(places) // len(rows)))
    for name, parameter in own.items():
        uses[id(parameter)].size += size  # what a gain multiplies is about 1
        uses[id(parameter)].vectors.append((found[name], rows))


def _by_copies(call: Call, own: dict[str, nn.Parameter], delta: Tensor) -> dict[str, Tensor] | None:
    """All rows at once, each with a copy of its own of the parameters; None if they do not fit."""
    b, inner = delta.shape[0], delta.dim() - 2
    copies = {
        name: p.detach().reshape(1, *[1] * inner, -1).repeat(b, *[1] * inner, 1).requires_grad_()
        for name, p in own.items()
    }
    inputs, options = _detached(call.inputs), _detached(call.options)
    try:
        output = functional_call(call.module, copies, inputs, options)
    except RuntimeError:  # a norm that checks the shape of its gain
        return None
    if output.shape != delta.shape or not torch.allclose(output, call.output, rtol=1e-3):
        return None
    gradients = torch.autograd.grad(output, list(copies.values()), delta, materialize_grads=True)
    return {name: g.reshape(b, -1) for name, g in zip(own, gradients, strict=True)}


def _row_by_row(call: Call, own: dict[str, nn.Parameter], delta: Tensor) -> dict[str, Tensor]:
    b = delta.shape[0]
    found = []
    for i in range(b):

        def part(value: Any, i: int = i) -> Any:
            by_row = isinstance(value, Tensor) and value.shape[:1] == (b,)
            return value[i : i + 1] if by_row else value

        inputs = tuple(map(part, _detached(call.inputs)))
        options = {name: part(value) for name, value in _detached(call.options).items()}
        output = call.module(*inputs, **options)
        parameters = list(own.values())
        gradients = torch.autograd.grad(
            output, parameters, delta[i : i + 1], materialize_grads=True
        )
        found.append([gradient.reshape(-1) for gradient in gradients])
    return {
        name: torch.stack(parts) for name, parts in zip(own, zip(*found, strict=True), strict=True)
    }


def _detached(values: Any) -> Any:
    def free(value: Any) -> Any:
        return value.detach() if isinstance(value, Tensor) else value

    if isinstance(values, dict):
        return {name: free(value) for name, value in values.items()}
    return tuple(map(free, values))
