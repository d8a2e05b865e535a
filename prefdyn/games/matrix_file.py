"""Matrix files: a table of win probabilities as CSV, whitespace text or JSON."""

import csv
from pathlib import Path
from typing import Any

from prefdyn._errors import InputError
from prefdyn.games._text import is_number, parse_json, read_text
from prefdyn.games.matrix import PreferenceMatrix

JSON_KEYS = ("P", "wins", "names", "source", "licence", "how")


def load_matrix(path: str | Path, prior: float = 0.5) -> PreferenceMatrix:
    """Read a game from a table of win probabilities.

    Parameters
    ----------
    path : str or Path
        ``.csv``: K rows of K numbers, optionally with a header row and a first column of names.
        ``.json``: the rows as a list of lists (nested deeper: a batch of games), or an object
        with ``P`` or ``wins`` (vote counts) and optionally ``names``, ``source``, ``licence``
        and ``how`` (how the numbers were made). Any other suffix: as ``.csv``, but separated by
        white space. In tables, lines that start with ``#`` are comments.
    prior : float
        Pseudo-count of `PreferenceMatrix.from_wins`, used with ``wins``.

    Raises
    ------
    InputError
        Naming the file, and the line or the entry that is wrong.
    """
    path = Path(path)
    text = read_text(path)
    if path.suffix.lower() == ".json":
        return _from_json(parse_json(text, path.name), prior, path.name)
    P, names = _table(text, path)
    try:
        return PreferenceMatrix(P, names, path.name)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from None


def _from_json(content: Any, prior: float, name: str) -> PreferenceMatrix:
    entry = content if isinstance(content, dict) else {"P": content}
    for key in entry:
        if key not in JSON_KEYS:
            raise InputError(
                f"{name} has the unknown key {key!r}; known are {', '.join(JSON_KEYS)}."
            )
    if ("P" in entry) == ("wins" in entry):
        raise InputError(f"{name} must hold either P (win probabilities) or wins (vote counts).")
    names, source = entry.get("names"), entry.get("source", name)
    if not (names is None or isinstance(names, list)) or not isinstance(source, str):
        raise InputError(f"{name} must give names as a list of strings and source as a string.")
    try:
        if "wins" in entry:
            return PreferenceMatrix.from_wins(entry["wins"], prior, names, source)
        return PreferenceMatrix(entry["P"], names, source)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def _table(text: str, path: Path) -> tuple[list[list[float]], list[str] | None]:
    """Numbers and names of a table; either the header, the first column, or both may name."""
    rows = [
        (number, [cell.strip() for cell in _split(line, path, number)])
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    header = None
    if rows and not any(is_number(cell) for cell in rows[0][1]):
        header = rows.pop(0)[1]
    if not rows:
        raise InputError(f"{path.name} holds no numbers; give K rows of K win probabilities.")
    labels = None
    if not is_number(rows[0][1][0]):
        labels = [cells[0] for _, cells in rows]
        rows = [(number, cells[1:]) for number, cells in rows]
        header = header[-len(rows) :] if header else None  # drops a corner cell, if there is one
    if header and labels and header != labels:
        raise InputError(
            f"{path.name} names rows and columns differently; use the same names in one order."
        )
    return [_numbers(cells, rows[0][1], f"{path.name} line {n}") for n, cells in rows], (
        header or labels
    )


def _split(line: str, path: Path, number: int) -> list[str]:
    if path.suffix.lower() != ".csv":
        return line.split()
    try:
        return next(csv.reader([line], strict=True, skipinitialspace=True))
    except csv.Error as error:
        raise InputError(f"{path.name} line {number} is not valid CSV ({error}).") from None


def _numbers(cells: list[str], first: list[str], where: str) -> list[float]:
    if len(cells) != len(first):
        raise InputError(
            f"{where} has {len(cells)} numbers, but the first row has {len(first)}; "
            "give every row one number per response."
        )
    for cell in cells:
        if not is_number(cell):
            raise InputError(f"{where} holds {cell!r}, which is not a number.")
    return [float(cell) for cell in cells]
