"""A parameter that is varied: which values it may have, and on what scale it is measured."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from prefdyn._errors import InputError
from prefdyn.rules._rule import Rule
from prefdyn.rules._wrapper import get_parameter, set_parameter

DEFAULT_RANGES = {
    "beta": (1e-3, 1e2),
    "alpha": (0.0, 0.999),
    "lam": (0.0, 1.0),
    "kappa": (1e-3, 1.0),
}


def check_number(value: Any, parameter: str) -> None:
    """Refuse what cannot be varied."""
    if np.asarray(value).dtype.kind not in "fi" or parameter == "K":
        raise InputError(f"{parameter!r} is not a number that can be varied.")


def is_scale(parameter: str) -> bool:
    """Whether a parameter is a scale, positive and compared by ratio."""
    return parameter.rpartition(".")[-1] in ("beta", "kappa", "eta", "tau", "rate")


def is_pull(parameter: str) -> bool:
    """Whether larger values hold the policy nearer to the reference, and so calm a rule."""
    return parameter.rpartition(".")[-1] in ("beta", "tau")


def checked_range(parameter: str, range: tuple[float, float] | None) -> tuple[float, float]:
    """Lowest and highest value, the default for parameters that have one, or an error."""
    if range is None:
        name = parameter.rpartition(".")[-1]
        if name not in DEFAULT_RANGES:
            raise InputError(
                f"no default range is known for {parameter!r}: give range=(low, high)."
            )
        range = DEFAULT_RANGES[name]
    try:
        low, high = (float(end) for end in range)
    except (TypeError, ValueError):
        raise InputError(f"range is {range!r}: give two numbers, (low, high).") from None
    if is_scale(parameter) and low <= 0:
        raise InputError(f"range starts at {low:g}: {parameter} must be above 0 throughout.")
    if not low < high:
        raise InputError(f"range ({low:g}, {high:g}) is empty: give (low, high) with low < high.")
    return low, high


@dataclass(frozen=True)
class Axis:
    """A parameter as a coordinate u in [0, 1] over its range: of its logarithm where it is a scale.

    Parameters
    ----------
    parameter
        Its path, as in `set_parameter`.
    low, high
        The range.
    """

    parameter: str
    low: float
    high: float

    @classmethod
    def of(cls, rule: Rule, parameter: str, range: tuple[float, float] | None) -> Self:
        """The axis of a rule's parameter, checked."""
        check_number(get_parameter(rule, parameter), parameter)
        return cls(parameter, *checked_range(parameter, range))

    def value(self, u: float) -> float:
        """The parameter at a coordinate; the ends are hit exactly."""
        if u in (0, 1):
            return self.high if u else self.low
        if is_scale(self.parameter):
            return float(self.low ** (1 - u) * self.high**u)
        return float(self.low + u * (self.high - self.low))

    def coordinate(self, value: float) -> float:
        """The coordinate of a value of the parameter."""
        if is_scale(self.parameter):
            return float(np.log(value / self.low) / np.log(self.high / self.low))
        return float((value - self.low) / (self.high - self.low))

    def current(self, rule: Rule) -> float:
        """The rule's own value, or the end of the range next to it."""
        return float(np.clip(float(get_parameter(rule, self.parameter)), self.low, self.high))

    def set(self, rule: Rule, value: float) -> Any:
        """A copy of the rule with this value."""
        return set_parameter(rule, self.parameter, value)
