"""From rows to series: which columns are known, at which steps, and what is left out."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn.runlog._columns import NAMES, RUNS, STEPS, UNUSED, split_of
from prefdyn.runlog._log import Series
from prefdyn.runlog._source import Row, Source
from prefdyn.runlog._tables import choose_run

_ORDER = {column: k for k, column in enumerate(NAMES)}
_STEP_GROUP = {column: k for k, group in enumerate(STEPS) for column in group}
_NAN = float("nan")
_ROUND = next(k for k, group in enumerate(STEPS) if "round" in group)
_NOT_FINITE = ("nan", "inf", "infinity")
_BETA = ("beta", "train/beta")
"""Columns in which a trainer logs this setting again and again."""
_OVERFLOWS = 1e100
"""Numbers from here on are taken for infinite, as their squares soon are."""
_LARGEST = 2.0**53
"""Whole numbers above this cannot be told apart as floating-point numbers."""


@dataclass
class _Column:
    """Numbers of one column, and the rows they stand in."""

    rows: array = field(default_factory=lambda: array("q"))
    values: array = field(default_factory=lambda: array("d"))
    bad: array = field(default_factory=lambda: array("q"))
    first_bad: int = 0

    def add(self, row: int, place: int, value: float) -> None:
        if abs(value) < _OVERFLOWS:
            self.rows.append(row)
            self.values.append(value)
        else:
            self.bad.append(row)
            self.first_bad = self.first_bad or place


@dataclass
class Collected:
    """What the rows hold.

    Attributes
    ----------
    series : dict
        `Series` by split and name.
    columns : tuple of str
        All columns.
    unknown : tuple of str
        Those of numbers that are not known.
    ends : tuple of int
        Last step of every round, for logs with rounds.
    lost : dict
        As of `RunLog`.
    """

    series: dict[str, Series]
    columns: tuple[str, ...]
    unknown: tuple[str, ...]
    ends: tuple[int, ...]
    lost: dict[str, int]


def collect(source: Source, run: str | None) -> Collected:
    """Read all rows; what was left out is noted in the source.

    Raises
    ------
    InputError
        If nothing is known, or there are several runs and none was chosen.
    """
    columns: dict[str, _Column | None] = {}  # None where it is not known
    seen: dict[str, bool] = {}  # every column; whether it held a number
    steps = [array("d") for _ in STEPS]
    count = 0
    for place, row in _of_one_run(source, run):
        times, known = [_NAN] * len(STEPS), False
        for column, cell in row.items():
            value = cell if type(cell) is float else _number(cell, column)
            if value is None:
                seen.setdefault(column, False)
                continue
            if not seen.get(column):
                seen[column] = True
                columns[column] = _Column() if split_of(column)[1] in NAMES else None
            if column in _STEP_GROUP:
                times[_STEP_GROUP[column]] = value
            elif (found := columns[column]) is not None:
                found.add(count, place, value)
                known = True
        if known:
            for many, one in zip(steps, times, strict=True):
                many.append(one)
            count += 1
    known_columns = {name: column for name, column in columns.items() if column is not None}
    unknown = tuple(c for c, numeric in seen.items() if numeric and _stranger(c))
    if not any(column.values for column in known_columns.values()):
        bad = [name for name, column in known_columns.items() if column.bad]
        raise InputError(_never_finite(source, bad) if bad else _nothing(source, seen))
    at, rounds = _steps_of_rows(source, [np.array(many) for many in steps])
    series: dict[str, Series] = {}
    again: dict[str, int] = {}
    rivals: list[str] = []
    lost: dict[str, int] = {}
    for column in sorted(known_columns, key=lambda c: _ORDER[split_of(c)[1]]):
        made = _series(source, column, known_columns[column], at, again)
        if (since := _lost_since(known_columns[column], at)) is not None:
            lost[column] = since
        if made is not None:
            key = f"{made.split}/{made.name}"
            if key in series:
                rivals.append(f"{made.column} was taken, not {series[key].column}")
            series[key] = made
    if rivals:
        source.notes.append(f"Of columns that mean the same, {'; '.join(rivals)}.")
    if again:
        source.notes.append(_taken_again(again))
    if not series:
        raise InputError(f"{source.path.name} has no row with both a step and a finite number.")
    placed = np.isfinite(rounds) & np.isfinite(at)
    turns = np.unique(rounds[placed])
    ends = tuple(int(at[placed & (rounds == turn)].max()) for turn in turns)
    return Collected(series, tuple(seen), unknown, ends, lost)


def _of_one_run(source: Source, run: str | None) -> Iterator[tuple[int, Row]]:
    """The rows of the chosen run, where rows say whose they are; settings are taken from them."""
    names: dict[str, None] = {}
    chosen = run
    for place, row in source.rows:
        owner = next((row[c] for c in RUNS if isinstance(row.get(c), str) and row[c]), None)
        if owner is not None:
            names[owner] = None
            if run is None and len(names) > 1:
                chosen = None
            if run is not None and owner != chosen:
                continue
        for column in _BETA:
            if (value := _number(row.get(column), column)) is not None:
                source.settings.setdefault("beta", value)
        yield place, row
    if source.run is None and (names or run is not None):
        choose_run(source.path.name, list(names), run)


def _number(cell: Any, column: str) -> float | None:
    """The number in a cell, not a number included; None where there is none."""
    if isinstance(cell, bool):
        return None
    if cell is None:  # JSON has no NaN; a probe is never absent
        return _NAN if column.startswith("probe/") else None
    if isinstance(cell, str):  # as JSON writers without NaN have it
        return _NAN if cell.lower().lstrip("+-") in _NOT_FINITE else None
    try:
        return float(cell) if isinstance(cell, (int, float)) else None
    except OverflowError:  # a whole number beyond the range of floating point
        return float("inf")


def _stranger(column: str) -> bool:
    bare = split_of(column)[1]
    return not (bare in NAMES or column in _STEP_GROUP or UNUSED.fullmatch(bare))


def _steps_of_rows(source: Source, times: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The step of every row, NaN where it has none, and its round."""
    whole = [
        np.where((np.abs(t) < _LARGEST) & (t == np.round(t)), t, np.nan) if len(t) else t
        for t in times
    ]
    present = [int(np.isfinite(t).sum()) for t in whole]
    best = max(range(len(STEPS)), key=lambda k: (present[k], -k))
    rounds = whole[_ROUND]
    if not present[best]:
        source.notes.append("The log does not say at which steps it was written: rows are counted.")
        return np.arange(len(rounds), dtype=float), rounds
    at = whole[best]
    missing = len(at) - present[best]
    if missing:
        source.notes.append(
            f"{missing} row{'s' * (missing > 1)} without a {STEPS[best][0]} could not be placed, "
            "and were left out."
        )
    if best != _ROUND and np.nanmax(rounds, initial=-np.inf) > np.nanmin(rounds, initial=np.inf):
        at = _through(source, at, rounds)
    return at, rounds


def _through(source: Source, at: np.ndarray, rounds: np.ndarray) -> np.ndarray:
    """Steps counted on where they begin anew in each round.

    A round's start is the end of the one before, and does not count again.
    """
    turns = np.flatnonzero(np.diff(rounds, prepend=rounds[:1]) > 0)
    moved, offset = at.copy(), 0.0
    for begin, end in zip(turns, [*turns[1:], len(at)], strict=True):
        reached = np.nanmax(moved[:begin], initial=-np.inf)
        if at[begin] <= reached - offset:
            offset = reached
        moved[begin:end] = np.where(
            at[begin:end] + offset > reached, at[begin:end] + offset, np.nan
        )
    if offset:
        source.notes.append("Steps begin anew in every round; here they are counted on.")
    return moved


def _series(
    source: Source, column: str, found: _Column, at: np.ndarray, again: dict[str, int]
) -> Series | None:
    """A column as a series: finite, one value per step, the later one where a run was resumed."""
    if bad := len(found.bad):
        source.notes.append(
            f"{column} is not a finite number in {bad} row{'s' * (bad > 1)}, first in "
            f"{source.unit} {found.first_bad}; left out."
        )
    steps = at[np.frombuffer(found.rows, dtype=np.int64)]
    values = np.frombuffer(found.values)[np.isfinite(steps)].copy()
    steps = steps[np.isfinite(steps)].astype(np.int64)
    if not len(steps):
        return None
    keep = _kept(steps)
    if len(keep) < len(steps):
        again[column] = len(steps) - len(keep)
    split, bare = split_of(column)
    return Series(NAMES[bare], column, split, steps[keep], values[keep])


def _lost_since(found: _Column, at: np.ndarray) -> int | None:
    """The step from which on no reading is finite; None where the last one is."""
    good, bad = (at[np.frombuffer(rows, dtype=np.int64)] for rows in (found.rows, found.bad))
    later = bad[bad > np.nanmax(good, initial=-np.inf)]
    return int(later.min()) if len(later) else None


def _taken_again(again: dict[str, int]) -> str:
    column = max(again, key=lambda name: again[name])
    others = len(again) - 1
    also = f" (and some of {others} other column{'s' * (others > 1)})" if others else ""
    return (
        f"{again[column]} value{'s' * (again[column] > 1)} of {column}{also} belong to steps that "
        "were taken again, as when a run is resumed; the later ones count."
    )


def _kept(steps: np.ndarray) -> np.ndarray:
    """Rows that still count: going back to a step undoes all from there on.

    A table that is sorted otherwise, which goes back more often than on, is put in order instead.
    """
    if np.all(np.diff(steps) > 0):
        return np.arange(len(steps))
    if np.mean(np.diff(steps) < 0) > 0.5:
        last = len(steps) - 1 - np.unique(steps[::-1], return_index=True)[1]
        return last
    kept: list[int] = []
    for k, step in enumerate(steps.tolist()):
        while kept and steps[kept[-1]] >= step:
            kept.pop()
        kept.append(k)
    return np.array(kept)


def _never_finite(source: Source, names: list[str]) -> str:
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    return (
        f"{source.path.name} holds no finite number in a column that is known ({shown}): the run "
        "had diverged before its first reading, or the log is damaged."
    )


def _nothing(source: Source, seen: dict[str, bool]) -> str:
    if not seen:
        return f"{source.path.name} is empty; give the log of a run that has begun."
    worded = [name for name in seen if split_of(name)[1] in NAMES]
    if worded:
        return (
            f"{source.path.name} holds no number in {', '.join(worded[:6])}: write numbers with a "
            "decimal point and without quotes."
        )
    names = [repr(name[:40]) for name in seen]
    listed = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return (
        f"{source.path.name} has no column that is known (it has {listed}): give the log of a "
        "preference run, with names such as rewards/chosen and logps/chosen."
    )
