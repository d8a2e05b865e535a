"""The options of a command, read off its dataclass: for completion and for the documentation."""

import ast
import inspect
from dataclasses import MISSING, dataclass, fields
from functools import cache
from textwrap import dedent
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tyro.conf import Positional


@dataclass(frozen=True)
class Option:
    """One option, or a word without one.

    Attributes
    ----------
    flag
        As it is typed, ``--far-starts``; of a word without an option, what it stands for, ``GAME``.
    metavar
        What its value stands for; empty for one that takes none.
    about
        What it does, on one line.
    choices
        The values there are, if they are few.
    required
        Whether it must be given.
    default
        The value it has if it is not given, in words; empty if that is nothing.
    """

    flag: str
    metavar: str
    about: str
    choices: tuple[str, ...]
    required: bool
    default: str


@cache
def options(kind: type) -> tuple[Option, ...]:
    """The options of a command in the order of its help.

    Parameters
    ----------
    kind
        Dataclass of the command.
    """
    about = _docstrings(kind)
    hints = get_type_hints(kind, include_extras=True)
    positional = get_args(Positional[int])[1]
    found = []
    for field in fields(kind):
        bare, *extras = (
            get_args(hints[field.name]) if _annotated(hints[field.name]) else [hints[field.name]]
        )
        named = [extra.metavar for extra in extras if getattr(extra, "metavar", None)]
        metavar = named[0] if named else field.name.upper()
        choices = _choices(bare)
        name = next(filter(None, (getattr(extra, "name", None) for extra in extras)), field.name)
        flag = metavar.strip("[]") if positional in extras else f"--{name.replace('_', '-')}"
        found.append(
            Option(
                flag,
                "" if bare is bool else "|".join(choices) or metavar,
                about.get(field.name, ""),
                choices,
                field.default is MISSING,
                _worded(field.default),
            )
        )
    return tuple(found)


def _annotated(hint: Any) -> bool:
    return hasattr(hint, "__metadata__")


def _choices(hint: Any) -> tuple[str, ...]:
    """Words of a Literal, on its own or beside None."""
    parts = (hint, *get_args(hint))
    literal = [part for part in parts if get_origin(part) is Literal]
    return get_args(literal[0]) if literal else ()


def _worded(default: Any) -> str:
    if default is MISSING or default is None or default is False or default == ():
        return ""
    return " ".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _docstrings(kind: type) -> dict[str, str]:
    """What stands below every field, of the class and of those it derives from."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        (body,) = ast.parse(dedent(inspect.getsource(base))).body
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                found[field.target.id] = " ".join(str(text.value.value).split())
    return found
