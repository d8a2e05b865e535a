"""What every case of the GPU benchmarks does: try, check, and only then time, line by line."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from benchmarks._gpu_place import Place, Timed, Timing
from benchmarks._gpu_results import OURS, Entry

DISAGREES = 0.1
"""Relative error from which something else is computed: a sign, a factor, a shifted target."""

Measure = Callable[[Any], dict[str, float]]


@dataclass(frozen=True)
class Log:
    """Where a case says what it is at, and what came of it.

    Attributes
    ----------
    write
        Takes one record, as plain data, and keeps it whatever comes next.
    banned
        Variants that ended a process before, and how: they are not tried again.
    """

    write: Callable[[dict[str, Any]], None]
    banned: Mapping[str, str] = field(default_factory=dict)

    def trying(self, variant: str) -> None:
        """Say what is tried next, so that it can be blamed if it ends the process."""
        self.write({"trying": variant})

    def add(self, entry: Entry) -> None:
        """Keep an entry."""
        self.write(asdict(entry))


@dataclass(frozen=True)
class Candidate:
    """Something to check and to time.

    Attributes
    ----------
    name, kind
        As in `Entry`.
    make
        Gives the function to time; fails where something is missing.
    measure
        Errors and other numbers of what it returned.
    values
        Numbers known beforehand.
    bounds
        Which of the measured numbers must stay below `DISAGREES`.
    """

    name: str
    make: Callable[[], Timed]
    kind: str = OURS
    measure: Measure | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    bounds: Sequence[str] = ()


def compare(
    place: Place, log: Log, table: str, case: str, candidates: Sequence[Candidate]
) -> list[Entry]:
    """Run every candidate, check it, and time those that agree, in turn; one entry for each."""
    tried = [_tried(place, log, table, case, candidate) for candidate in candidates]
    agreeing = [(entry, timed) for entry, timed in tried if timed is not None]
    log.trying("")  # from here on nobody in particular
    total = sum(entry.values["ms"] for entry, _ in agreeing)
    timings, reason = place.attempt(lambda: place.timings([t for _, t in agreeing], total))
    if timings is None:
        log.add(Entry(table, case, "all of them", note=f"not timed in turn: {reason}"))
        timings = [None] * len(agreeing)
    by_name = {e.variant: t for (e, _), t in zip(agreeing, timings, strict=True)}
    entries = [_with(entry, by_name.get(entry.variant)) for entry, _ in tried]
    for entry in entries:
        log.add(entry)
    return entries


def _with(entry: Entry, timing: Timing | None) -> Entry:
    """The entry with its timing in the place of the first run's."""
    values = {name: value for name, value in entry.values.items() if name != "ms"}
    return replace(entry, values=values | (timing._asdict() if timing is not None else {}))


def _tried(
    place: Place, log: Log, table: str, case: str, candidate: Candidate
) -> tuple[Entry, Timed | None]:
    """What the first runs say, and what is to be timed; nothing if it failed or disagrees."""
    entry = Entry(table, case, candidate.name, candidate.kind)
    if candidate.name in log.banned:
        return replace(entry, note=log.banned[candidate.name]), None
    log.trying(candidate.name)
    timed, reason = place.attempt(candidate.make)
    if timed is None:
        return replace(entry, note=reason), None
    values, reason = place.attempt(lambda: _first(place, candidate, timed))
    if values is None:
        return replace(entry, note=reason), None
    entry = replace(entry, values=values, note=timed.note)
    far = [name for name in candidate.bounds if not values[name] <= DISAGREES]
    if far:
        return replace(entry, note=f"computes something else: {', '.join(far)} too large"), None
    return entry, timed


def _first(place: Place, candidate: Candidate, timed: Timed) -> dict[str, float]:
    result, ms, peak = place.first(timed)
    values = {**candidate.values, "ms": ms}
    if peak is not None:
        values["peak_gb"] = peak
    return values if candidate.measure is None else values | candidate.measure(result)
