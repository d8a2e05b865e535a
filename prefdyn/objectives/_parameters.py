"""Hyper-parameters that know their range: declared once, checked when an objective is made.

Only plain numbers are checked.  Arrays and tensors (a rule hands over a batch of betas) and sympy
symbols pass: whoever puts them in has checked what they come from.
"""

import dataclasses
import math
from collections.abc import Callable
from numbers import Real
from typing import Any

from prefdyn._errors import InputError


def number(
    default: Any = None,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    most: float | None = None,
) -> Any:
    """A number within bounds (`above` and `below` are open); with default None it may be None."""
    bounds = [
        (above, "above", lambda value, bound: value > bound),
        (least, "at least", lambda value, bound: value >= bound),
        (below, "below", lambda value, bound: value < bound),
        (most, "at most", lambda value, bound: value <= bound),
    ]
    given = [(bound, word, holds) for bound, word, holds in bounds if bound is not None]

    def complaint(value: Any) -> str | None:
        if value is None and default is None:
            return None
        if value is None or isinstance(value, str | bool):
            return f"is {value!r}: give a number"
        if not isinstance(value, Real):
            return None
        if math.isfinite(value) and all(holds(value, bound) for bound, _, holds in given):
            return None
        bounded = " and ".join(f"{word} {bound:g}" for bound, word, _ in given)
        wanted = (
            bounded if bounded and math.isfinite(value) else f"finite{bounded and ' and '}{bounded}"
        )
        return f"is {value:g}: it must be {wanted}"

    return _field(default, complaint)


def positive(default: float) -> Any:
    """A number above 0."""
    return number(default, above=0)


def weight(default: float) -> Any:
    """A number of at least 0."""
    return number(default, least=0)


def smoothing(default: float) -> Any:
    """A share of flipped labels, in [0, 1/2)."""
    return number(default, least=0, below=0.5)


def word(default: str, *options: str) -> Any:
    """One of a few words; the default is the first."""
    options = (default, *options)

    def complaint(value: Any) -> str | None:
        known = isinstance(value, str) and value in options
        return None if known else f"is {value!r}: choose one of {', '.join(options)}"

    return _field(default, complaint)


def number_or_word(default: Any, *options: str) -> Any:
    """A finite number, or one of a few words."""

    def complaint(value: Any) -> str | None:
        if isinstance(value, str):
            return None if value in options else f"is {value!r}: a number or {' or '.join(options)}"
        if value is None or (isinstance(value, Real) and not math.isfinite(value)):
            return f"is {value!r}: give a number or {' or '.join(options)}"
        return None

    return _field(default, complaint)


def is_number(value: Any) -> bool:
    """Whether a hyper-parameter stands for a number (and becomes a symbol in a formula)."""
    return value is not None and not isinstance(value, str | bool | tuple)


def check(objective: Any) -> None:
    """Hold the declared parameters of an objective to their ranges.

    Raises
    ------
    InputError
        Naming objective and parameter.
    """
    for field in dataclasses.fields(objective):
        complaint = field.metadata.get("complaint", lambda value: None)
        if (text := complaint(getattr(objective, field.name))) is not None:
            raise InputError(f"objective {objective.id!r}: {field.name} {text}.")


def _field(default: Any, complaint: Callable[[Any], str | None]) -> Any:
    return dataclasses.field(default=default, metadata={"complaint": complaint})
