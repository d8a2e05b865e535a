"""Games by name, as the command line takes them: ``rps:0.4``, ``minneapolis``, ``votes.csv``."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from prefdyn._errors import InputError
from prefdyn.games import builtin, families
from prefdyn.games._text import is_number, read_text
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.games.matrix_file import load_matrix
from prefdyn.games.votes import load_votes

LARGEST = 5000
"""Responses of a game by name: its matrix is made at once."""
FILE_SUFFIXES = (".csv", ".jsonl", ".ndjson", ".json", ".txt")


@dataclass(frozen=True)
class Named:
    """A name with its arguments: how it is written, what it is, how it is made."""

    usage: str
    about: str
    parse: tuple[Callable[[str], float | int], ...]
    make: Callable[..., PreferenceMatrix]
    optional: bool = False  # whether the arguments may be left out
    counted: bool = False  # whether it is made from win counts, and takes a prior


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(text)
    return int(text)


def _size(text: str) -> int:
    if (K := _whole(text)) > LARGEST:
        raise ValueError(text)
    return K


NAMED = {
    "rps": Named(
        "rps:A", "rock-paper-scissors of strength A", (float,), families.rock_paper_scissors
    ),
    "cycle": Named(
        "cycle:K:A",
        "ring of K responses, each beating the next by A",
        (_size, float),
        families.cycle,
    ),
    "condorcet": Named(
        "condorcet:MARGIN:A",
        "a winner by MARGIN above rock-paper-scissors of strength A",
        (float, float),
        families.condorcet_over_cycle,
    ),
    "transitive": Named(
        "transitive:K:SEED",
        "random strongly transitive game",
        (_size, _whole),
        families.strongly_transitive,
    ),
    "random": Named(
        "random:K:SEED", "random game with independent entries", (_size, _whole), families.random
    ),
    "pandalm": Named(
        "pandalm[:ANNOTATOR]",
        "five LLMs judged by three people (win counts), or by one of them",
        (_whole,),
        builtin.pandalm,
        optional=True,
        counted=True,
    ),
    "minneapolis": Named(
        "minneapolis",
        "a Condorcet cycle among the candidates of an election (win counts)",
        (),
        builtin.minneapolis,
        counted=True,
    ),
    "arxiv": Named("arxiv", "six search rankers, interleaved (no counts)", (), builtin.arxiv),
    "cyclic": Named(
        "cyclic", "a weak winner above a strong cycle (synthetic, no counts)", (), builtin.cyclic
    ),
    "arithmetic": Named(
        "arithmetic", "eight evenly ranked responses (synthetic, no counts)", (), builtin.arithmetic
    ),
}


def names() -> dict[str, str]:
    """What `load` understands besides files: how each name is written, and what it is."""
    return {entry.usage: entry.about for entry in NAMED.values()}


def load(spec: str | Path, prior: float = 0.5) -> PreferenceMatrix:
    """Make the game that a specification names.

    Parameters
    ----------
    spec : str or Path
        A name from `names`, with its arguments after colons, or the path of a vote or matrix
        file (a CSV file holds votes if its header names winner and loser, or its rows are text).
    prior : float
        Pseudo-count of `PreferenceMatrix.from_wins`, where the game is made from votes.

    Raises
    ------
    InputError
        If the name is unknown (the nearest one is suggested), an argument is missing or bad, or
        the file is.

    Examples
    --------
    >>> load("cycle:5:0.3").K
    5
    """
    head, *arguments = str(spec).split(":")
    if isinstance(spec, str) and head in NAMED:
        return _make(NAMED[head], arguments, spec, prior)
    path = Path(spec)
    if path.suffix.lower() in FILE_SUFFIXES or _is_file(path) or len(path.parts) > 1:
        return _load_file(path, prior)
    near = get_close_matches(head.lower(), NAMED, n=1, cutoff=0.5)
    hint = (
        f"did you mean {NAMED[near[0]].usage!r}?"
        if near
        else f"give a file, or one of {', '.join(names())}."
    )
    raise InputError(f"there is no game {str(spec)!r}; {hint}")


KINDS = {
    float: "a number",
    _whole: "a whole number",
    _size: f"a whole number up to {LARGEST}",
}


def _make(entry: Named, arguments: list[str], spec: str, prior: float) -> PreferenceMatrix:
    if len(arguments) != len(entry.parse) and not (entry.optional and not arguments):
        raise InputError(f"{spec!r} has {len(arguments)} argument(s); write {entry.usage}.")
    values = []
    for text, parse in zip(arguments, entry.parse, strict=False):
        try:
            values.append(parse(text))
        except ValueError:
            kind = KINDS[parse]
            raise InputError(f"{text!r} in {spec!r} is not {kind}; write {entry.usage}.") from None
    return entry.make(*values, prior=prior) if entry.counted else entry.make(*values)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def _load_file(path: Path, prior: float) -> PreferenceMatrix:
    suffix = path.suffix.lower()
    votes = suffix in (".jsonl", ".ndjson") or (suffix == ".csv" and _is_vote_table(path))
    return load_votes(path, prior) if votes else load_matrix(path, prior)


def _is_vote_table(path: Path) -> bool:
    """Whether a CSV file names winner and loser, or holds text where a matrix has numbers.

    Columns that are named wrongly must still count as votes, or nobody would hear which; a row of a
    matrix holds one text at most, its label.
    """
    lines = (line for line in read_text(path).splitlines() if line.strip())
    table = csv.reader(
        (line for line in lines if not line.lstrip().startswith("#")), skipinitialspace=True
    )
    try:
        header = [cell.strip() for cell in next(table, [])]
        if {"winner", "loser"} <= {cell.lower() for cell in header}:
            return True
        rows = list(table)
    except csv.Error:  # `load_matrix` says in which line
        return False
    labelled = all(row[0].strip() in header for row in rows)
    return bool(rows) and not labelled and all(_is_text(row) for row in rows)


def _is_text(row: list[str]) -> bool:
    texts = [cell for cell in row if cell.strip() and not is_number(cell)]
    return len(texts) >= min(2, len(row))
