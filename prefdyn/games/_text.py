"""Reading text files so that every failure names the file and, where there is one, the line."""

import json
import tomllib
from pathlib import Path
from typing import Any

from prefdyn._errors import InputError


def read_text(path: str | Path) -> str:
    """Text of a UTF-8 file, byte-order mark dropped.

    Raises
    ------
    InputError
        If the file cannot be read, is empty, or is not UTF-8.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"there is no file {str(path)!r}; check the path.") from None
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read ({error.strerror}).") from None
    try:
        text = data.decode("utf-8-sig")
        bad = data.find(b"\0")
    except UnicodeDecodeError as error:
        text, bad = "", error.start
    if bad >= 0:
        line = data.count(b"\n", 0, bad) + 1
        raise InputError(f"{path.name} line {line} is not UTF-8 text; save the file as UTF-8.")
    if not text.strip():
        raise InputError(f"{path.name} is empty; give at least one row of data.")
    return text


def parse_json(text: str, where: str) -> Any:
    """Parse JSON, or raise an `InputError` that says where it breaks."""
    try:
        return json.loads(text)
    except RecursionError:
        raise InputError(
            f"{where} opens more brackets than can be nested; give lists a few levels deep."
        ) from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where} is not complete JSON ({error.msg} at column {error.colno}); "
            "repair or delete it."
        ) from None
    except ValueError:  # whole numbers of more than 4300 digits
        raise InputError(f"{where} holds a whole number that is too long; shorten it.") from None


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Parse TOML, or raise an `InputError` that says where it breaks."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits
        raise InputError(f"{where} is not TOML ({error}); repair it.") from None


def is_number(cell: str) -> bool:
    """Whether a cell of a table reads as a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
