"""The policy of every round: what ``prefdyn iterate`` writes, and logs that count rounds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn.runlog._log import Series
from prefdyn.runlog._source import Source

ROUNDING = 1e-3
"""Nats by which the sum over the tokens of a near-certain response may exceed 0."""


def tabulated(source: Source) -> Source:
    """``rounds.csv`` as a source: rounds are log-policies, rows the mass on the responses.

    Raises
    ------
    InputError
        If a number is missing or not finite.
    """
    cells: dict[tuple[int, int, int], float] = {}
    for place, row in source.rows:
        where = f"{source.path.name} {source.unit} {place}"
        key = (_count(row, "round", where), _count(row, "prompt", where))
        key += (_count(row, "response", where),)
        try:
            cells[key] = float(row["log_prob"])
        except (KeyError, ValueError):
            raise InputError(f"{where} has no log_prob: write the file anew.") from None
    if not cells:
        raise InputError(f"{source.path.name} is empty; give the log of a run that has begun.")
    shape = tuple(np.max(list(cells), axis=0) + 1)
    given = np.array(list(cells.values()))
    sound = np.isfinite(given) & (given <= ROUNDING)
    if len(cells) != np.prod(shape, dtype=float) or not sound.all():
        raise InputError(
            f"{source.path.name} lacks a log_prob, finite and not above 0, for some round, prompt "
            "and response: write the file anew."
        )
    table = np.array([cells[key] for key in sorted(cells)]).reshape(shape)
    mass = np.logaddexp.reduce(table, axis=-1, keepdims=True)
    source.rounds = (table - mass).reshape(len(table), -1)
    names = [(n, k) for n in range(shape[1]) for k in range(shape[2])]
    source.round_names = tuple(
        f"response {k}" if shape[1] == 1 else f"prompt {n}, response {k}" for n, k in names
    )
    source.format, source.unit = "rounds of prefdyn iterate", "round"
    inside = np.exp(mass[..., 0]).mean(-1)
    source.rows = [(t, {"round": t, "mass_inside": float(x)}) for t, x in enumerate(inside)]
    return source


def _count(row: Mapping[str, Any], name: str, where: str) -> int:
    try:
        number = float(row[name])
    except (KeyError, ValueError):
        number = -1.0
    if not (0 <= number < 10**6 and number == int(number)):
        raise InputError(f"{where}: {name} is {row.get(name)!r}, not a whole number from 0 on.")
    return int(number)


def ends_of_rounds(
    series: Mapping[str, Series], ends: Sequence[int]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Log-probabilities at the start and at the end of every round; None without rounds."""
    if len(ends) < 2:
        return None, ()
    found = {name: series.get(f"eval/{name}") for name in ("chosen", "rejected", "greedy")}
    kept = {name: one for name, one in found.items() if one is not None}
    if not kept:
        return None, ()
    columns = []
    for one in kept.values():
        bounds = np.searchsorted(one.steps, ends, side="right")
        if np.any(np.diff(bounds, prepend=0) == 0):  # a round without a reading
            return None, ()
        first = [] if bounds[0] == 1 else [one.values[0]]
        columns.append([*first, *one.values[bounds - 1]])
    return np.array(columns).T, tuple(kept)
