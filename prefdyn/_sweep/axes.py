"""The axes of a sweep: what is varied, under which name, and with which coordinates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn._inputs import count
from prefdyn.games import PreferenceMatrix

START, REPEAT = "start", "repeat"
"""Names of the axes that are no parameters of the rule."""
ABOUT = {
    START: "policy that the run starts from",
    REPEAT: "independent repeat of the rule's randomness",
    "alpha": "geometric share of the current policy in the next reference",
    "beta": "pull to the reference",
    "game": "game",
    "kappa": "share of each round that is executed",
    "lam": "share of the current policy in the next sampler",
    "rate": "step size",
    "votes": "votes per pair and round",
}


@dataclass(frozen=True, eq=False)
class Axis:
    """An axis of a sweep with its description; plain values do where none is wanted.

    Parameters
    ----------
    values
        Numbers; games (a batch, a list, or names as `prefdyn.games.load` takes them); starts
        (n, K); other values of a parameter; or a mapping from the values' names to any of these.
    long_name
        What the axis is, for labels; known for the parameters of the package.
    units
        Of numbers; "1" (none) unless told otherwise.
    """

    values: Any
    long_name: str = ""
    units: str = "1"


@dataclass(frozen=True, eq=False)
class Line:
    """An axis as it was read, or a stretch of one.

    Attributes
    ----------
    name
        The dimension's name: a parameter's path, "start" or "repeat".
    values
        An array of numbers (n,), a batch of games (n,), starts (n, K), or a tuple of anything.
    labels
        Coordinate of each value, (n,).
    attributes
        ``long_name`` and ``units`` of the coordinate.
    """

    name: str
    values: Any
    labels: np.ndarray
    attributes: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def is_parameter(self) -> bool:
        """Whether the values are a parameter's."""
        return self.name not in (START, REPEAT)

    def part(self, where: slice) -> "Line":
        """A stretch of the axis."""
        values = self.values
        if isinstance(values, PreferenceMatrix):
            values = PreferenceMatrix(values.P[where], values.names, values.source)
        else:
            values = values[where]
        return replace(self, values=values, labels=self.labels[where])

    def only(self) -> Any:
        """The value of an axis of length 1, as the rule takes it without a batch."""
        if isinstance(self.values, PreferenceMatrix):
            return PreferenceMatrix(self.values.P[0], self.values.names, self.values.source)
        value = self.values[0]
        return value.item() if isinstance(value, np.generic) else value

    def spread(self, shape: tuple[int, ...], *, column: bool = False) -> Any:
        """All values as one array of a batch of this shape, which is 1 but for this axis.

        With `column`, one more axis of length 1 stands behind: that is how values meet logits in a
        rule that was written for single numbers.
        """
        if isinstance(self.values, PreferenceMatrix):
            K = self.values.K
            return PreferenceMatrix(self.values.P.reshape(*shape, K, K), self.values.names)
        values = np.asarray(self.values)
        return values.reshape(*shape, *values.shape[1:], *(1,) * column)


def read(axes: Mapping[str, Any]) -> tuple[Line, ...]:
    """The axes of a sweep, checked.

    Raises
    ------
    InputError
        For an axis that is empty, not a list, or has games of different sizes.
    """
    if not isinstance(axes, Mapping) or not axes:
        raise InputError(
            "axes is empty or no mapping: name at least one axis, such as {'beta': [0.1, 1.0]}."
        )
    return tuple(_read(str(name), given) for name, given in axes.items())


def _read(name: str, given: Any) -> Line:
    axis = given if isinstance(given, Axis) else Axis(given)
    values, labels = axis.values, None
    if isinstance(values, Mapping):
        labels, values = np.array([str(key) for key in values]), list(values.values())
    if name == REPEAT:
        values = np.arange(count(values, "repeat"))
    elif isinstance(values, PreferenceMatrix):
        if len(values.batch_shape) != 1:
            raise InputError(
                f"axis {name!r} is a game of batch shape {values.batch_shape}: give a batch of "
                "shape (n,), or a list of games."
            )
    elif isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, np.ndarray)):
        raise InputError(f"axis {name!r} is a {type(values).__name__}: give a list of values.")
    else:
        values, labels = _listed(name, values, labels)
    games = isinstance(values, PreferenceMatrix)
    size = values.batch_shape[0] if games else len(values)
    if size == 0:
        raise InputError(f"axis {name!r} has no values: give at least one, or leave it out.")
    numbers = isinstance(values, np.ndarray) and values.ndim == 1
    if labels is None:
        labels = np.asarray(values) if numbers else np.arange(size)
    known = ABOUT.get(name.rpartition(".")[2], name)
    attributes = {"long_name": axis.long_name or known}
    if numbers and labels.dtype.kind in "iuf":
        attributes["units"] = axis.units
    return Line(name, values, labels, attributes)


def _listed(name: str, values: Any, labels: Any) -> tuple[Any, Any]:
    """Values of a list as an array, a batch of games, or a tuple; and their labels, if any."""
    if name == START:
        return _starts(values), labels
    if len(values) and all(isinstance(value, str) for value in values):
        labels = np.array([str(value) for value in values]) if labels is None else labels
        if name.rpartition(".")[2] == "game":
            from prefdyn.games import load

            values = [load(str(value)) for value in values]
    if len(values) and all(isinstance(value, PreferenceMatrix) for value in values):
        return _stacked(name, values), labels
    try:
        array = np.asarray(values)
    except ValueError:  # lists of different lengths
        array = np.empty(0, dtype=object)
    if array.ndim == 1 and array.dtype.kind in "iuf":
        return array, labels
    if array.ndim == 1 and array.dtype.kind == "b" and labels is None:
        labels = array
    return tuple(values), labels


def _starts(values: Any) -> np.ndarray:
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.ndim != 2:
        raise InputError("axis 'start' is not a table: give starts as probabilities, shape (n, K).")
    return array


def _stacked(name: str, games: Sequence[PreferenceMatrix]) -> PreferenceMatrix:
    sizes = sorted({game.K for game in games})
    if len(sizes) > 1 or any(game.batch_shape for game in games):
        raise InputError(
            f"axis {name!r} mixes games of {', '.join(map(str, sizes))} responses or holds batches:"
            " give single games of one size, and one sweep per size."
        )
    names = {game.names for game in games}
    return PreferenceMatrix(
        np.stack([game.P for game in games]), names.pop() if len(names) == 1 else None
    )
