"""Where the chosen responses will be if nothing changes."""

from dataclasses import dataclass

from prefdyn._errors import InsufficientData
from prefdyn.runlog._finding import Finding
from prefdyn.runlog._log import RunLog
from prefdyn.runlog._trend import Trend
from prefdyn.runlog._watched import side
from prefdyn.runlog._words import level, sentence

AHEAD = 0.25
"""Horizon as a share of the run: what is read off one piece holds for a part of its length."""
FEWEST = 12
"""Readings below which a line is not carried beyond its end."""
CONFIDENCE = 0.9


@dataclass(frozen=True)
class Forecast:
    """A level at a later step: the best guess, and an interval with 90 % confidence."""

    step: int
    expected: float
    low: float
    high: float


def ahead(found: Trend) -> Forecast:
    """The last piece, carried on by a quarter of the run.

    Raises
    ------
    InsufficientData
        Below twelve readings.
    """
    if found.readings < FEWEST:
        raise InsufficientData(
            f"{found.readings} readings are too few to say what comes next: take {FEWEST}."
        )
    step = found.steps[-1] + AHEAD * (found.steps[-1] - found.steps[0])
    expected, error = found.at(step)
    half = found.width(1 - CONFIDENCE) * (error**2 + found.noise**2) ** 0.5
    return Forecast(round(float(step)), expected, expected - half, expected + half)


def forecast(log: RunLog) -> list[Finding]:
    """What the chosen responses come to, for information."""
    chosen = side(log, "chosen")
    next_ = ahead(chosen.trend)
    error = (next_.high - next_.low) / 4
    evidence = (
        f"if nothing changes, chosen responses will be at {level(next_.expected, error)} "
        f"{chosen.unit} at step {next_.step} ({level(next_.low, error)} to "
        f"{level(next_.high, error)} with {CONFIDENCE:.0%} confidence; now at "
        f"{level(chosen.trend.end, chosen.trend.error)})"
    )
    return [Finding("forecast", "info", sentence(evidence), None, "", "")]
