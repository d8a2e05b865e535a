"""Values of settings: what a file writes, as numbers and yes or no."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from prefdyn._errors import InputError

WORDS = {"true": True, "yes": True, "false": False, "no": False}


def number(settings: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """A finite number; YAML takes ``5e-7`` for text, which it is not."""
    value = settings.get(name)
    if value is None:
        return default
    try:
        found = float(value) if isinstance(value, str | int | float) else None
    except (ValueError, OverflowError):
        found = None
    if found is None or isinstance(value, bool) or not isfinite(found):
        raise InputError(f"{name} is {_shown(value)}: give a number.")
    return found


def whole(settings: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """A whole number."""
    value = number(settings, name, default)
    if value is not None and value != int(value):
        raise InputError(f"{name} is {_shown(value)}: give a whole number.")
    return None if value is None else int(value)


def yes(settings: Mapping[str, Any], name: str) -> bool:
    """Yes or no, also as a word; no where it is not given."""
    value = settings.get(name)
    value = WORDS.get(value.lower(), value) if isinstance(value, str) else value
    if value is not None and not isinstance(value, bool):
        raise InputError(f"{name} is {_shown(value)}: give true or false.")
    return bool(value)


def last_number(settings: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """A number, or the last of a list with one per epoch, which stays for the rest."""
    value = settings.get(name)
    if isinstance(value, list):
        if not value:
            raise InputError(f"{name} is an empty list: give a number.")
        value = value[-1]
    return number({name: value}, name, default)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
