"""One line of a validation: what was predicted, what was measured, and whether they agree."""

import math
from dataclasses import dataclass
from typing import Any

VERDICTS = ("holds", "fails", "reported", "not_run")


@dataclass(frozen=True)
class Record:
    """A prediction beside its measurement.

    Attributes
    ----------
    experiment : str
        Name of the experiment.
    quantity : str
        What is compared, in words, with its unit.
    predicted, measured : float, str or None
        The two; None where there is none.
    tolerance : str
        The rule that decides, in words, e.g. ``"within 5 %"``; empty where nothing is asserted.
    verdict : str
        ``holds``, ``fails``, ``reported`` (nothing asserted) or ``not_run``.
    note : str
        What a reader has to know besides; for ``not_run`` the reason.
    """

    experiment: str
    quantity: str
    predicted: float | str | None
    measured: float | str | None
    tolerance: str
    verdict: str
    note: str = ""

    def __post_init__(self):
        assert self.verdict in VERDICTS, self.verdict


def close(
    experiment: str,
    quantity: str,
    predicted: float,
    measured: float,
    *,
    absolute: float | None = None,
    relative: float | None = None,
    note: str = "",
) -> Record:
    """Whether the measured number lies within a tolerance of the predicted one."""
    error = abs(measured - predicted)
    if relative is not None:
        bound, words = relative * abs(predicted), f"within {100 * relative:g} %"
    else:
        assert absolute is not None
        bound, words = absolute, f"within {absolute:g}"
    verdict = "holds" if math.isfinite(error) and error <= bound else "fails"
    return Record(experiment, quantity, predicted, measured, words, verdict, note)


def bounded(
    experiment: str,
    quantity: str,
    measured: float,
    *,
    least: float | None = None,
    most: float | None = None,
    predicted: float | str | None = None,
    note: str = "",
) -> Record:
    """Whether the measured number keeps to a bound that was stated beforehand."""
    ends = ((least, "at least"), (most, "at most"))
    words = " and ".join(f"{word} {end:g}" for end, word in ends if end is not None)
    low = -math.inf if least is None else least
    high = math.inf if most is None else most
    verdict = "holds" if low <= measured <= high else "fails"
    return Record(experiment, quantity, predicted, measured, words, verdict, note)


def told(
    experiment: str, quantity: str, measured: Any, predicted: Any = None, note: str = ""
) -> Record:
    """An observation about which nothing is asserted."""
    return Record(experiment, quantity, predicted, measured, "", "reported", note)


def not_run(experiment: str, quantity: str, why: str) -> Record:
    """Something that this model does not allow to measure, and why."""
    return Record(experiment, quantity, None, None, "", "not_run", why)
