"""The contract of an objective, and what follows from its one method."""

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Any, ClassVar, NamedTuple

import numpy as np

from prefdyn._errors import InputError
from prefdyn.objectives._pair import Pair
from prefdyn.objectives._primitives import primitives

Array = Any
_REGISTRY: dict[str, type["Objective"]] = {}


class Symbolic(NamedTuple):
    """An objective as sympy expressions in the symbols of `pair` and `parameters`."""

    loss: Any
    chosen_push: Any
    rejected_push: Any
    pair: Pair
    parameters: dict[str, Any]


class Derivatives(NamedTuple):
    """First and second derivatives of a loss by ``c = log pi_w`` and ``r = log pi_l``."""

    c: Array
    r: Array
    cc: Array
    cr: Array
    rr: Array


class Objective(ABC):
    """What a training step minimises, as a loss per chosen/rejected pair.

    To add one: a frozen dataclass of its hyper-parameters with an ``id`` and a ``loss`` written in
    the primitives ``xp``; everything else here follows by differentiation::

        @dataclass(frozen=True)
        class DPO(Objective, id="dpo"):
            beta: float = 0.1

            def loss(self, pair, xp=None, stats=None):
                xp = xp or self.primitives(pair)
                return -xp.log_sigmoid(self.beta * pair.log_ratio_gap)
    """

    id: ClassVar[str]

    def __init_subclass__(cls, id: str | None = None, **kwargs):
        super().__init_subclass__(**kwargs)
        if id is not None:
            cls.id = id
            _REGISTRY[id] = cls

    @abstractmethod
    def loss(self, pair: Pair, xp: Any = None, stats: Any = None) -> Array:
        """Loss of each pair, in the common shape of the pair's fields."""

    @staticmethod
    def primitives(pair: Pair) -> Any:
        """The primitives that fit the pair's arrays (numpy, torch or sympy)."""
        return primitives(pair.chosen, pair.rejected, pair.ref_chosen, pair.ref_rejected)

    def pushes(self, pair: Pair) -> tuple[Array, Array]:
        """``(d_w, d_l) = (-dL/dlog pi_w, dL/dlog pi_l)`` per pair, by automatic differentiation.

        Positive pushes move the chosen response up and the rejected one down.  Torch pairs give
        torch tensors, others numpy arrays.
        """
        is_torch = self.primitives(pair).name == "torch"
        first = self.derivatives(_to_torch(pair))
        if is_torch:
            return -first.c, first.r
        return -first.c.numpy(), first.r.numpy()

    def derivatives(self, pair: Pair, *, create_graph: bool = False) -> Derivatives:
        """First and second derivatives of the loss, elementwise, for a pair of torch tensors.

        Parameters
        ----------
        pair
            Fields as torch tensors.
        create_graph
            Keep the result differentiable with respect to the pair's fields.
        """
        import torch

        chosen, rejected = torch.broadcast_tensors(
            torch.as_tensor(pair.chosen), torch.as_tensor(pair.rejected)
        )
        leaves = [chosen, rejected]
        if not create_graph:
            leaves = [leaf.detach().clone() for leaf in leaves]
        # Adding a zero leaf makes a fresh graph node to differentiate by, whatever the input was.
        shifts = [torch.zeros_like(leaf, requires_grad=True) for leaf in leaves]
        values = {field.name: getattr(pair, field.name) for field in fields(pair)}
        values["chosen"], values["rejected"] = (
            leaf + shift for leaf, shift in zip(leaves, shifts, strict=True)
        )
        with torch.enable_grad():
            total = self.loss(Pair(**values)).sum()
            by_c, by_r = _gradient(total, shifts)
            by_cc, by_cr = _gradient(by_c.sum(), shifts)
            _, by_rr = _gradient(by_r.sum(), shifts)
        result = Derivatives(by_c, by_r, by_cc, by_cr, by_rr)
        return result if create_graph else Derivatives(*(part.detach() for part in result))

    def symbolic(self) -> Symbolic:
        """Loss and pushes as sympy expressions, hyper-parameters included as symbols."""
        import dataclasses

        import sympy

        names = {field.name: sympy.Symbol(field.name, real=True) for field in fields(Pair)}
        pair = Pair(**names)
        parameters = {
            field.name: sympy.Symbol(field.name, positive=True)
            for field in fields(self)  # pyright: ignore[reportArgumentType]
        }
        free = dataclasses.replace(self, **parameters)  # pyright: ignore[reportArgumentType]
        loss = free.loss(pair)
        return Symbolic(
            loss, -sympy.diff(loss, pair.chosen), sympy.diff(loss, pair.rejected), pair, parameters
        )


def get(id: str, **parameters) -> Objective:
    """The objective with this id, e.g. ``get("dpo", beta=0.1)``.

    Raises
    ------
    InputError
        For an unknown id (the known ones are listed) or parameter.
    """
    if id not in _REGISTRY:
        raise InputError(f"objective {id!r} is not known: choose one of {', '.join(names())}.")
    cls = _REGISTRY[id]
    known = [field.name for field in fields(cls)]  # pyright: ignore[reportArgumentType]
    for name in parameters:
        if name not in known:
            raise InputError(f"objective {id!r} has no parameter {name!r}: it has {known}.")
    return cls(**parameters)


def names() -> list[str]:
    """Ids of all objectives."""
    return sorted(_REGISTRY)


def _gradient(total, leaves):
    import torch

    if not total.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    parts = torch.autograd.grad(total, leaves, create_graph=True, allow_unused=True)
    return [
        torch.zeros_like(leaf) if part is None else part
        for part, leaf in zip(parts, leaves, strict=True)
    ]


def _to_torch(pair: Pair) -> Pair:
    import torch

    def convert(value):
        if isinstance(value, torch.Tensor):
            return value
        return torch.as_tensor(np.asarray(value, dtype=float))

    return Pair(**{field.name: convert(getattr(pair, field.name)) for field in fields(pair)})
