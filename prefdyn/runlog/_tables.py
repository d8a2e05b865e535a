"""Logs in tables: CSV as of any program, the exports of wandb's web pages among them."""

import csv
from collections.abc import Iterator
from pathlib import Path

from prefdyn._errors import InputError
from prefdyn._inputs import nearest
from prefdyn.games._text import is_number
from prefdyn.runlog._columns import LAID_OUT, NAMES, STEPS, split_of
from prefdyn.runlog._source import Row, Source, lines

_RUN = " - "
"""Between run and metric in the heads of wandb's exports."""
_TIMES = {name for group in STEPS for name in group} | {"Relative Time (Process)", "Wall Time"}


def read_csv(path: Path, run: str | None) -> Source:
    """Rows of a table with a head; of several runs, the one asked for.

    Raises
    ------
    InputError
        While rows are read: for a table without a head or with uneven rows; for several runs of
        which none, or none that is there, was chosen.
    """
    source = Source(path, "CSV", ())
    source.rows = _rows(source, run)
    return source


def _rows(source: Source, run: str | None) -> Iterator[tuple[int, Row]]:
    text = lines(source.path)
    first = next(text, None)
    if first is None:
        return
    file, separator = source.path.name, max(",;\t", key=first[1].count)
    numbers = [first[0]]

    def fed() -> Iterator[str]:
        yield first[1]
        for number, line in text:
            numbers.append(number)
            del numbers[:-1]
            yield line

    rows = csv.reader(fed(), delimiter=separator)
    try:
        head = [cell.strip() for cell in next(rows)]
        if all(is_number(cell) for cell in head):
            raise InputError(f"{file} line {first[0]} is numbers: give a table with column names.")
        columns = _columns(source, head, run)
        if not any(split_of(name)[1] in NAMES or name in LAID_OUT for name in columns.values()):
            yield first[0], dict.fromkeys(columns.values(), "")  # their names say what this is
            return
        short: int | None = None
        for cells in rows:
            if short is not None:
                raise InputError(
                    f"{file} line {short} has fewer cells than the {len(head)} columns: repair it."
                )
            if len(cells) > len(head):
                raise InputError(
                    f"{file} line {numbers[-1]} has {len(cells)} cells for {len(head)} columns: "
                    "repair it."
                )
            if len(cells) < len(head):
                short = numbers[-1]
                continue
            yield numbers[-1], {name: _cell(cells[k]) for k, name in columns.items() if cells[k]}
    except csv.Error as error:
        raise InputError(f"{file} line {numbers[-1]} is not CSV ({error}): repair it.") from None
    if short is not None:
        source.notes.append(f"Line {short} breaks off, as when a run is killed; it was left out.")


def _cell(text: str) -> float | str:
    return float(text) if is_number(text) else text


def _columns(source: Source, head: list[str], run: str | None) -> dict[int, str]:
    """Place and name of the columns to read."""
    split = {k: cell.rsplit(_RUN, 1) for k, cell in enumerate(head) if _RUN in cell}
    if not split or not any(cell in _TIMES for cell in head):
        return dict(enumerate(head))
    source.format = "wandb CSV"
    runs = list(dict.fromkeys(parts[0] for parts in split.values()))
    source.run = chosen = choose_run(source.path.name, runs, run)
    kept = {k: cell for k, cell in enumerate(head) if k not in split}
    for k, (owner, metric) in split.items():
        if owner == chosen and not metric.endswith(("__MIN", "__MAX")):
            kept[k] = metric
    return kept


def choose_run(name: str, runs: list[str], run: str | None) -> str:
    """The run that was asked for, or the only one there is.

    Raises
    ------
    InputError
        If there are several, or not this one.
    """
    if run is not None and not runs:
        raise InputError(f"{name} does not say whose its rows are: leave out the run {run!r}.")
    if run is None and len(runs) == 1:
        return runs[0]
    listed = ", ".join(repr(one) for one in runs[:8]) + (", ..." if len(runs) > 8 else "")
    if run is None:
        raise InputError(
            f"{name} holds {len(runs)} runs ({listed}): name one of them as the run to read."
        )
    if run not in runs:
        hint = nearest(run, runs)
        raise InputError(f"{name} holds no run {run!r}{hint}: choose one of {listed}.")
    return run
