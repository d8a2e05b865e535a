"""An objective and its parameters, as they are written on a command line."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from prefdyn._errors import InputError

if TYPE_CHECKING:
    from prefdyn.objectives import Objective


def objective(id: str, beta: float | None, settings: Iterable[str]) -> "Objective":
    """The objective with this id, and the parameters given as ``NAME=VALUE``.

    Raises
    ------
    InputError
        For an unknown objective or parameter, or a setting without ``=``.
    """
    from prefdyn import objectives

    parameters: dict[str, Any] = {} if beta is None else {"beta": beta}
    for setting in settings:
        name, is_there, value = setting.partition("=")
        if not is_there:
            raise InputError(f"{setting!r} is no setting: write it as NAME=VALUE.")
        parameters[name] = _value(value)
    return objectives.get(id, **parameters)


def _value(text: str) -> Any:
    """A number, nothing, or a word."""
    if text.lower() in ("none", "null"):
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
