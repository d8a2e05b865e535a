"""Pairwise-vote files: one comparison per row, counted into games."""

import csv
import io
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

import numpy as np

from prefdyn._errors import InputError
from prefdyn.games._text import parse_json, read_text
from prefdyn.games.matrix import PreferenceMatrix

COLUMNS = ("winner", "loser", "count", "prompt", "tie")
TRUTH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


class PromptGames(dict[str, PreferenceMatrix]):
    """Games by prompt, and in `left_out` the prompts whose votes make no game, with the reason."""

    def __init__(self, games: Mapping[str, PreferenceMatrix], left_out: Mapping[str, str]) -> None:
        super().__init__(games)
        self.left_out = dict(left_out)


class Vote(NamedTuple):
    """One row: `winner` over `loser`, `count` times; a tie gives each half a win."""

    winner: str
    loser: str
    count: float = 1.0
    prompt: str | None = None
    tie: bool = False


@overload
def load_votes(
    path: str | Path, prior: float = ..., per_prompt: Literal[False] = ...
) -> PreferenceMatrix: ...
@overload
def load_votes(
    path: str | Path, prior: float = ..., *, per_prompt: Literal[True]
) -> PromptGames: ...
def load_votes(
    path: str | Path, prior: float = 0.5, per_prompt: bool = False
) -> PreferenceMatrix | PromptGames:
    """Read votes and count them into a game, or into one game per prompt.

    Parameters
    ----------
    path : str or Path
        ``.csv`` with a header, or ``.jsonl`` with an object per line. Columns: ``winner`` and
        ``loser`` (names of responses), and optionally ``count`` (votes in this row, default 1),
        ``prompt`` (which game the row belongs to) and ``tie`` (true or false; a tie counts half
        a win each way).
    prior : float
        Pseudo-count of `PreferenceMatrix.from_wins`.
    per_prompt : bool
        Make one game per prompt, each over the responses that its own votes name; a prompt
        whose responses no chain of comparisons links is left out and said to be. By default all
        votes are pooled into one game, and its ``source`` says so.

    Returns
    -------
    PreferenceMatrix, or PromptGames
        A dict from prompt to `PreferenceMatrix` with the attribute ``left_out``.
        Responses are in the order in which they first appear.

    Raises
    ------
    InputError
        Naming the file and the line: unknown or missing columns, a self-comparison, a count
        that is not a number >= 0, broken CSV or JSON, an empty file, a wrong encoding, or
        responses that no chain of comparisons links (per prompt: on every prompt).
    """
    path = Path(path)
    votes = list(read_votes(path))
    if not votes:
        raise InputError(f"{path.name} has a header but no votes; give at least one row.")
    if not per_prompt:
        prompts = {vote.prompt for vote in votes}
        pooled = f", pooled over {len(prompts)} prompts" if len(prompts) > 1 else ""
        return _game(votes, prior, path.name, pooled)
    if any(vote.prompt is None for vote in votes):
        raise InputError(
            f"{path.name} has rows without a prompt, so there is no game per prompt; "
            "add a prompt column or pool the votes."
        )
    games, left_out = {}, {}
    for prompt, group in group_by_prompt(votes).items():
        try:
            games[prompt] = _game(group, prior, path.name, f", prompt {prompt!r}")
        except InputError as error:
            left_out[prompt] = str(error)
    if not games:
        raise InputError(f"no prompt makes a game: {next(iter(left_out.values()))}")
    return PromptGames(games, left_out)


def group_by_prompt(votes: list[Vote]) -> dict[str, list[Vote]]:
    """Votes by prompt, prompts in order of first appearance."""
    groups: dict[str, list[Vote]] = {}
    for vote in votes:
        groups.setdefault(str(vote.prompt), []).append(vote)
    return groups


def count_votes(votes: list[Vote]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Win counts (K, K) and the K names, in order of first appearance."""
    names = tuple(dict.fromkeys(name for vote in votes for name in (vote.winner, vote.loser)))
    index = {name: i for i, name in enumerate(names)}
    wins = np.zeros((len(names), len(names)))
    for vote in votes:
        i, j = index[vote.winner], index[vote.loser]
        wins[i, j] += vote.count / 2 if vote.tie else vote.count
        wins[j, i] += vote.count / 2 if vote.tie else 0
    return wins, names


def _game(votes: list[Vote], prior: float, name: str, detail: str) -> PreferenceMatrix:
    wins, names = count_votes(votes)
    try:
        return PreferenceMatrix.from_wins(
            wins, prior, names, source=f"{name}: {wins.sum():g} votes{detail}"
        )
    except InputError as error:
        where = detail if detail.startswith(", prompt") else ""
        raise InputError(f"{name}{where}: {error}") from None


def read_votes(path: Path) -> Iterator[Vote]:
    """The rows of a vote file, one by one; see `load_votes`."""
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows, ".ndjson": _jsonl_rows}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path.name} is not a vote file; give a .csv or a .jsonl file.")
    for line, row in readers[path.suffix.lower()](read_text(path), path.name):
        yield _vote(row, f"{path.name} line {line}")


def _csv_rows(text: str, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    header: list[str] | None = None
    try:
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if header is None:
                header = [cell.strip() for cell in row]
                _check_columns(header, f"{name} line {rows.line_num}")
                continue
            if len(row) != len(header):
                raise InputError(
                    f"{name} line {rows.line_num} has {len(row)} cells for {len(header)} columns; "
                    "quote cells that contain commas."
                )
            yield rows.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise InputError(f"{name} line {rows.line_num} is not valid CSV ({error}).") from None


def _jsonl_rows(text: str, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{name} line {number}"
        row = parse_json(line, where)
        if not isinstance(row, dict):
            raise InputError(f'{where} is not an object such as {{"winner": "a", "loser": "b"}}.')
        _check_columns(list(row), where)
        yield number, row


def _check_columns(columns: list[str], where: str) -> None:
    for column in columns:
        if column not in COLUMNS:
            raise InputError(f"{where} has the unknown column {column!r}; {_column_hint(column)}")
        if columns.count(column) > 1:
            raise InputError(f"{where} has the column {column!r} twice; leave one of them out.")
    for column in ("winner", "loser"):
        if column not in columns:
            raise InputError(f"{where} has no column {column!r}; votes need winner and loser.")


def _column_hint(column: str) -> str:
    if any(separator in column for separator in ";\t|"):
        return "separate columns by commas."
    near = get_close_matches(column.lower(), COLUMNS, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(COLUMNS)}."


def _vote(row: dict[str, Any], where: str) -> Vote:
    winner, loser = (_label(row[column], column, where) for column in ("winner", "loser"))
    if winner == loser:
        raise InputError(f"{where} compares {winner!r} with itself; delete this row.")
    prompt = _label(row["prompt"], "prompt", where) if "prompt" in row else None
    return Vote(winner, loser, _count(row.get("count"), where), prompt, _tie(row.get("tie"), where))


def _label(value: Any, column: str, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"{where} has the {column} {value!r}; give a name.")
    label = str(value).strip()
    if not label:
        raise InputError(f"{where} has an empty {column}; give a name or delete the row.")
    return label


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _count(value: Any, where: str) -> float:
    if _blank(value):
        return 1.0
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not isfinite(number) or number < 0:
        raise InputError(f"{where} has the count {value!r:.40}; give a number of votes >= 0.")
    return number


def _tie(value: Any, where: str) -> bool:
    if _blank(value):
        return False
    truth = TRUTH.get(str(value).strip().lower())
    if truth is None:
        raise InputError(f"{where} has the tie {value!r}; give true or false.")
    return truth
