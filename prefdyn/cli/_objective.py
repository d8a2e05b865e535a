"""Preference pairs and an objective, as they are written on a command line."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from prefdyn._errors import InputError
from prefdyn.cli._model import ModelOptions

if TYPE_CHECKING:
    from prefdyn.objectives import Objective


@dataclass(frozen=True, kw_only=True)
class PairOptions(ModelOptions):
    """Pairs, and an objective on them; the commands that step on pairs derive from it."""

    data: Annotated[str, arg(metavar="FILE")]
    """JSONL, JSON or Parquet file with prompt, chosen and rejected; or a hub data set."""
    objective: Annotated[str, arg(metavar="ID")] = "dpo"
    """What a step minimises: dpo, ipo, simpo or the id of another objective."""
    beta: Annotated[float | None, arg(metavar="BETA", help_behavior_hint="")] = None
    """The objective's beta; its own default where left out."""
    set: Annotated[tuple[str, ...], arg(metavar="NAME=VALUE", help_behavior_hint="")] = ()
    """Further parameters of the objective."""


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
