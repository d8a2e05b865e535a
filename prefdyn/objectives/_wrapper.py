"""What objectives that wrap another one share."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Self

from prefdyn._errors import InputError
from prefdyn._inputs import nearest
from prefdyn.objectives._objective import Objective, Stats, get
from prefdyn.objectives._pair import Pair


class Wrapper(Objective):
    """Base of objectives around one `base`, an `Objective` or the id of one.

    Parameters that the wrapper does not have are those of the base.
    """

    base: Any

    def __post_init__(self):
        object.__setattr__(self, "base", as_objective(self.base, self.id))
        super().__post_init__()

    @property
    def couples_rows(self) -> bool:
        """As the base."""
        return self.base.couples_rows

    @property
    def token_level(self) -> bool:
        """As the base."""
        return self.base.token_level

    @property
    def detaches(self) -> bool:
        """As the base."""
        return self.base.detaches

    @property
    def mismatched(self) -> bool:
        """As the base."""
        return self.base.mismatched

    @property
    def gradient_parts(self) -> tuple[Objective, Objective] | None:
        """As the base."""
        return self.base.gradient_parts

    @classmethod
    def build(cls, parameters: dict[str, Any]) -> Objective:
        """The wrapper with its own parameters, around a base with the others."""
        defaults = {field.name: field.default for field in fields(cls)}  # pyright: ignore
        base = as_objective(parameters.get("base", defaults["base"]), cls.id)
        own = {name: value for name, value in parameters.items() if name in defaults}
        others = {name: value for name, value in parameters.items() if name not in defaults}
        return cls(**(own | {"base": _replaced(base, others, cls.id, defaults)}))

    def takes(self, name: str) -> bool:
        """Whether wrapper or base has a parameter of this name."""
        return super().takes(name) or self.base.takes(name)

    def replace(self, **parameters: Any) -> Self:
        """The same objective with other hyper-parameters, the base's included."""
        known = {field.name for field in fields(self)}  # pyright: ignore[reportArgumentType]
        own = {name: value for name, value in parameters.items() if name in known}
        others = {name: value for name, value in parameters.items() if name not in known}
        base = as_objective(own.get("base", self.base), self.id)
        return super().replace(**(own | {"base": _replaced(base, others, self.id, known)}))

    def initial_stats(self) -> Stats | None:
        """Those of the base."""
        return self.base.initial_stats()

    def update(self, stats: Stats | None, pair: Pair) -> Stats | None:
        """That of the base."""
        return self.base.update(stats, pair)


def _replaced(
    base: Objective, parameters: dict[str, Any], owner: str, known: Iterable[str]
) -> Objective:
    """The base with these parameters; one that neither it nor its wrapper has is refused."""
    for name in parameters:
        if not base.takes(name):
            names = [*known, *(field.name for field in fields(base))]  # pyright: ignore
            raise InputError(
                f"objective {base.id!r} has no parameter {name!r}, nor has {owner!r} around it: "
                f"they have {names}{nearest(name, names)}."
            )
    return base.replace(**parameters)


def as_objective(value: Any, owner: str) -> Objective:
    """The objective itself, or the one with this id."""
    if isinstance(value, str):
        return get(value)
    if not isinstance(value, Objective):
        raise InputError(
            f"objective {owner!r} wraps a {type(value).__name__}: give an Objective or its id."
        )
    return value
