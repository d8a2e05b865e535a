"""Where the chosen responses will be if nothing changes."""

from dataclasses import dataclass

import numpy as np

from prefdyn._errors import InsufficientData
from prefdyn.runlog._finding import Finding
from prefdyn.runlog._log import RunLog, Series
from prefdyn.runlog._trend import since, trend
from prefdyn.runlog._watched import side
from prefdyn.runlog._words import level, sentence

AHEAD = 0.25
"""Horizon as a share of the run: what is read off one piece holds for a part of its length."""
FEWEST = 20
"""Readings below which a line is not carried beyond its end: 60 % of them are twelve."""
REHEARSALS = (0.6, 0.7, 0.8)
"""Shares of the readings from which the rest has been seen."""
CAUTION = 2.0
"""Times what those would have missed: a bend that sharpens misses more than it did."""
CONFIDENCE = 0.9


@dataclass(frozen=True)
class Forecast:
    """A level at a later step: the best guess, and an interval with 90 % confidence."""

    step: int
    expected: float
    low: float
    high: float


def ahead(series: Series) -> Forecast:
    """The last piece of the trend, carried on by a quarter of the run.

    The interval is the widest of that of the straight line, and of twice what forecasts from the
    first 60, 70 and 80 % of the readings would have missed: a line knows its noise, not its bends.

    Raises
    ------
    InsufficientData
        Below twenty readings.
    """
    n = len(series.values)
    if n < FEWEST:
        raise InsufficientData(
            f"{n} readings are too few to say what comes next, and how surely: take {FEWEST}."
        )
    step, expected, half = _carried_on(series)
    missed = [half]
    for share in REHEARSALS:
        known = since(series, int(series.steps[0]), until=int(series.steps[int(share * n) - 1]))
        then, guess, _ = _carried_on(known)
        came = float(np.interp(then, series.steps, series.values))
        missed.append(CAUTION * abs(guess - came))
    half = max(missed)
    return Forecast(round(step), expected, expected - half, expected + half)


def _carried_on(series: Series) -> tuple[float, float, float]:
    """Step, level there, and half width of the line's interval for a reading."""
    found = trend(series)
    step = float(found.steps[-1] + AHEAD * (found.steps[-1] - found.steps[0]))
    expected, error = found.at(step)
    return step, expected, found.width(1 - CONFIDENCE) * float(np.hypot(error, found.noise))


def forecast(log: RunLog) -> list[Finding]:
    """What the chosen responses come to, for information."""
    chosen = side(log, "chosen")
    next_ = ahead(chosen.series)
    error = (next_.high - next_.low) / 4
    evidence = (
        f"if nothing changes, chosen responses ({chosen.source}) will be at "
        f"{level(next_.expected, error)} {chosen.unit} at step {next_.step} "
        f"({level(next_.low, error)} to {level(next_.high, error)} with {CONFIDENCE:.0%} "
        f"confidence; now at {level(chosen.trend.end, chosen.trend.error)})"
    )
    return [Finding("forecast", "info", sentence(evidence), None, "", "")]
