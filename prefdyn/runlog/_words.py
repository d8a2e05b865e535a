"""Numbers and lists as a person says them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from prefdyn.runlog._trend import Trend


def measured(value: float, error: float, *, sign: bool = False) -> str:
    """A number with its standard error, both to the error's second digit."""
    if not np.isfinite(error) or error <= 1e-6 * abs(value):
        return f"{value:{'+' if sign else ''}.4g}"
    digits = max(0, 1 - int(np.floor(np.log10(error))))
    return f"{value:{'+' if sign else ''}.{digits}f} ± {error:.{digits}f}"


def change(found: "Trend", *, sign: bool = True) -> str:
    """How far a trend goes, with its error; between readings of the same responses, as read."""
    if found.ends is None:
        return measured(found.moved, found.error, sign=sign)
    return f"{found.ends[1] - found.ends[0]:{'+' if sign else ''}.4g}"


def level(value: float, error: float) -> str:
    """A number to the first digit that its standard error leaves."""
    if not error > 1e-9 * abs(value):
        return f"{value:.5g}"
    digits = max(1, 1 - int(np.floor(np.log10(error))))
    return f"{value:.{min(digits, 4)}f}"


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return f"{text[0].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")
