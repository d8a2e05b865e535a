"""The contract of an objective, and what follows from its one method."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from prefdyn._errors import InputError
from prefdyn._inputs import nearest
from prefdyn.objectives import _parameters
from prefdyn.objectives._pair import Pair
from prefdyn.objectives._primitives import primitives

Array = Any
Stats = dict[str, Any]
_REGISTRY: dict[str, type["Objective"]] = {}
_WRAPPERS: dict[str, type["Objective"]] = {}


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

    An objective that needs to know more than one pair (a running mean, a schedule, a dual
    variable) gets it as `stats`, a dictionary of numbers that can be saved as JSON: it starts as
    ``initial_stats()`` and moves by ``update(stats, pair)``, which changes nothing in place.  To
    `loss` these numbers are constants.
    """

    id: ClassVar[str]
    couples_rows: ClassVar[bool] = False
    """Whether the loss of one pair depends on the other pairs of the batch (a sort does that)."""
    token_level: ClassVar[bool] = False
    """Whether the loss sees the log-probabilities of single tokens."""

    def __init_subclass__(cls, id: str | None = None, wrapper: bool = False, **kwargs):
        super().__init_subclass__(**kwargs)
        if id is not None:
            cls.id = id
            (_WRAPPERS if wrapper else _REGISTRY)[id] = cls

    def __post_init__(self):
        _parameters.check(self)

    @abstractmethod
    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """Loss of each pair, in the common shape of the pair's fields."""

    def initial_stats(self) -> Stats | None:
        """Statistics before the first batch; None for an objective that keeps none."""
        return None

    @property
    def batch_lengths(self) -> bool:
        """Whether the loss of one pair is divided by a mean length of the batch's responses."""
        return _divides_by_batch(self)

    @property
    def detaches(self) -> bool:
        """Whether `loss` holds something constant that depends on the policy."""
        return False

    @property
    def mismatched(self) -> bool:
        """Whether `update` wants the batch's answers under other prompts."""
        return False

    @property
    def gradient_parts(self) -> tuple["Objective", "Objective"] | None:
        """Two objectives whose gradients in the model's parameters `update` wants, if any."""
        return None

    def update(self, stats: Stats | None, pair: Pair) -> Stats | None:
        """Statistics after a batch, which `loss` of the same batch should get."""
        return stats

    @classmethod
    def build(cls, parameters: dict[str, Any]) -> "Objective":
        """The objective with these hyper-parameters, unknown and missing ones refused by name."""
        _refuse_unknown(cls, parameters)
        _refuse_missing(cls, parameters)
        return cls(**parameters)

    def takes(self, name: str) -> bool:
        """Whether there is a hyper-parameter of this name."""
        return any(field.name == name for field in fields(self))  # pyright: ignore

    def replace(self, **parameters: Any) -> Self:
        """The same objective with other hyper-parameters."""
        _refuse_unknown(type(self), parameters)
        return dataclasses.replace(self, **parameters)  # pyright: ignore[reportArgumentType]

    def numbers(self) -> dict[str, Any]:
        """Hyper-parameters that are numbers; those of a nested objective as ``"base.beta"``."""
        return dict(_leaves(self))

    def with_numbers(self, numbers: dict[str, Any]) -> Self:
        """The same objective with the numbers that `numbers` names, nested ones included."""
        return _with_leaves(self, numbers)

    @staticmethod
    def primitives(pair: Pair) -> Any:
        """The primitives that fit the pair's arrays (numpy, torch or sympy)."""
        return primitives(
            pair.chosen, pair.rejected, pair.ref_chosen, pair.ref_rejected, pair.chosen_tokens
        )

    def require(self, pair: Pair, *names: str) -> tuple[Array, ...]:
        """Fields of the pair that this objective cannot do without.

        Raises
        ------
        InputError
            Naming the objective and the first field that is missing.
        """
        for name in names:
            if getattr(pair, name) is None:
                raise InputError(f"objective {self.id!r} needs Pair.{name}: pass {name}=.")
        return tuple(getattr(pair, name) for name in names)

    def statistic(self, stats: Stats | None, name: str) -> Any:
        """One entry of the statistics, or an error that says how to get them."""
        if stats is None or name not in stats:
            raise InputError(
                f"objective {self.id!r} needs the statistic {name!r} of its batches: pass "
                "stats=objective.update(stats, pair), which starts from objective.initial_stats()."
            )
        return stats[name]

    def pushes(self, pair: Pair, stats: Stats | None = None) -> tuple[Array, Array]:
        """``(d_w, d_l) = (-dL/dlog pi_w, dL/dlog pi_l)`` per pair, by automatic differentiation.

        Positive pushes move the chosen response up and the rejected one down.  Torch pairs give
        torch tensors, others numpy arrays.  Of a token-level objective this is the push on a
        change that is spread evenly over the tokens.
        """
        is_torch = self.primitives(pair).name == "torch"
        total, shifts = self._shifted(_to_torch(pair), stats)
        by_chosen, by_rejected = _gradient(total, shifts)
        d_w, d_l = -by_chosen.detach(), by_rejected.detach()
        return (d_w, d_l) if is_torch else (d_w.numpy(), d_l.numpy())

    def token_pushes(self, pair: Pair, stats: Stats | None = None) -> tuple[Array, Array]:
        """``(-dL/dlog pi(w_t), dL/dlog pi(l_t))`` for each token, shaped as the token fields.

        Any objective has them; only token-level ones push the tokens of a response differently.
        Masked tokens get 0.
        """
        import torch

        self.require(pair, "chosen_tokens", "rejected_tokens")
        is_torch = self.primitives(pair).name == "torch"
        in_torch = _to_torch(pair).given()
        shifts = [
            torch.zeros_like(in_torch[f"{side}_tokens"], requires_grad=True)
            for side in ("chosen", "rejected")
        ]
        with torch.enable_grad():
            for side, shift in zip(("chosen", "rejected"), shifts, strict=True):
                visible = shift * in_torch.get(f"{side}_mask", torch.ones(())).to(shift.dtype)
                in_torch[f"{side}_tokens"] = in_torch[f"{side}_tokens"].detach() + visible
                in_torch[side] = in_torch[side].detach() + visible.sum(-1)
            total = self.loss(Pair(**in_torch), stats=stats).sum()
            by_chosen, by_rejected = _gradient(total, shifts)
        pushes = (-by_chosen.detach(), by_rejected.detach())
        return pushes if is_torch else (pushes[0].numpy(), pushes[1].numpy())

    def derivatives(
        self, pair: Pair, stats: Stats | None = None, *, create_graph: bool = False
    ) -> Derivatives:
        """First and second derivatives of the loss, elementwise, for a pair of torch tensors.

        Parameters
        ----------
        pair
            Fields as torch tensors.
        stats
            Statistics of the batches, for an objective that keeps them.
        create_graph
            Keep the result differentiable with respect to the pair's fields.
        """
        total, shifts = self._shifted(pair, stats, detach=not create_graph)
        by_c, by_r = _gradient(total, shifts)
        by_cc, by_cr = _gradient(by_c.sum(), shifts)
        _, by_rr = _gradient(by_r.sum(), shifts)
        result = Derivatives(by_c, by_r, by_cc, by_cr, by_rr)
        return result if create_graph else Derivatives(*(part.detach() for part in result))

    def _shifted(self, pair: Pair, stats: Stats | None, detach: bool = True) -> tuple[Any, list]:
        """Summed loss of a torch pair, and zero leaves added to both log-probabilities.

        The leaves are fresh nodes to differentiate by, whatever graph the pair belongs to.
        """
        import torch

        chosen, rejected = torch.broadcast_tensors(
            torch.as_tensor(pair.chosen), torch.as_tensor(pair.rejected)
        )
        values = pair.given()
        shifts = [torch.zeros_like(side, requires_grad=True) for side in (chosen, rejected)]
        with torch.enable_grad():
            for side, leaf, shift in zip(
                ("chosen", "rejected"), (chosen, rejected), shifts, strict=True
            ):
                values[side] = (leaf.detach() if detach else leaf) + shift
                if (tokens := values.get(f"{side}_tokens")) is not None:
                    values[f"{side}_tokens"] = _spread(tokens, values.get(f"{side}_mask"), shift)
            return self.loss(Pair(**values), stats=stats).sum(), shifts

    def symbolic(self, lengths: tuple[int, int] = (2, 2)) -> Any:
        """Loss and pushes as sympy expressions, hyper-parameters included as symbols.

        Parameters
        ----------
        lengths
            Numbers of chosen and rejected tokens, for an objective that sees tokens.

        Returns
        -------
        Symbolic
            See `prefdyn.objectives.Symbolic`.

        Raises
        ------
        InputError
            If the objective has no symbolic form because it sorts the batch.
        """
        from prefdyn.objectives._symbolic import symbolic

        return symbolic(self, lengths)


def get(id: str, **parameters: Any) -> Any:
    """The objective or wrapper with this id, e.g. ``get("dpo", beta=0.1)``.

    Parameters that a wrapper does not know go to its base: ``get("spo", base="dpo", beta=0.05)``.

    Raises
    ------
    InputError
        For an unknown id (the known ones are listed), or a parameter that is unknown or out of
        its range.
    """
    known = _REGISTRY | _WRAPPERS
    if not isinstance(id, str) or id not in known:
        raise InputError(
            f"objective {id!r} is not known: choose one of {', '.join(sorted(known))}"
            f"{nearest(id, known)}."
        )
    return known[id].build(parameters)


def names() -> list[str]:
    """Ids of all objectives."""
    return sorted(_REGISTRY)


def wrapper_names() -> list[str]:
    """Ids of the wrappers, which make an objective out of others."""
    return sorted(_WRAPPERS)


def classes() -> dict[str, type[Objective]]:
    """The class of every objective, then of every wrapper, by id."""
    return {id: cls for group in (_REGISTRY, _WRAPPERS) for id, cls in sorted(group.items())}


def to_numpy(value: Array) -> np.ndarray:
    """A field or loss as a float64 array, detached from any graph."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    return np.asarray(value, dtype=float)


def _refuse_unknown(cls: type[Objective], parameters: dict[str, Any]) -> None:
    known = [field.name for field in fields(cls)]  # pyright: ignore[reportArgumentType]
    for name in parameters:
        if name not in known:
            raise InputError(
                f"objective {cls.id!r} has no parameter {name!r}: it has {known}"
                f"{nearest(name, known)}."
            )


def _refuse_missing(cls: type[Objective], parameters: dict[str, Any]) -> None:
    for field in fields(cls):  # pyright: ignore[reportArgumentType]
        if field.default is dataclasses.MISSING and field.name not in parameters:
            raise InputError(f"objective {cls.id!r} needs {field.name}: pass {field.name}=.")


def _parts(value: Any) -> dict[str, Any]:
    """What an objective or a tuple of objectives is made of; nothing for a single value."""
    if isinstance(value, Objective):
        return {field.name: getattr(value, field.name) for field in fields(value)}  # pyright: ignore
    return {str(i): part for i, part in enumerate(value)} if isinstance(value, tuple) else {}


def _divides_by_batch(value: Any) -> bool:
    if isinstance(value, str):
        return value in ("batch", "batch_tokens")
    return any(map(_divides_by_batch, _parts(value).values()))


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, part in _parts(value).items():
        if _parts(part):
            yield from _leaves(part, f"{prefix}{name}.")
        elif _parameters.is_number(part):
            yield prefix + name, part


def _with_leaves(value: Any, numbers: dict[str, Any], prefix: str = "") -> Any:
    parts = {
        name: _with_leaves(part, numbers, f"{prefix}{name}.")
        if _parts(part)
        else numbers.get(prefix + name, part)
        for name, part in _parts(value).items()
    }
    if isinstance(value, tuple):
        return tuple(parts.values())
    return dataclasses.replace(value, **parts)


def _gradient(total, leaves):
    import torch

    if not total.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    parts = torch.autograd.grad(total, leaves, create_graph=True, allow_unused=True)
    return [
        torch.zeros_like(leaf) if part is None else part
        for part, leaf in zip(parts, leaves, strict=True)
    ]


def _spread(tokens, mask, shift):
    """Tokens moved by a shift of their sum, each by the same share."""
    import torch

    mask = torch.ones_like(tokens) if mask is None else mask.to(tokens.dtype)
    return tokens + shift[..., None] * (mask / mask.sum(-1, keepdim=True))


def _to_torch(pair: Pair) -> Pair:
    import torch

    def convert(value):
        if isinstance(value, torch.Tensor):
            return value
        return torch.as_tensor(np.asarray(value, dtype=float))

    return Pair(**{name: convert(value) for name, value in pair.given().items()})
