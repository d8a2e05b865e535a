"""Checks of what enters prefdyn; each failure is one sentence naming the entry and the cure."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import numpy as np

from prefdyn._errors import InputError


def distribution(values, K: int, what: str, *, interior: bool = False) -> np.ndarray:
    """Probabilities (..., K) as float64, or an error that names the first bad entry.

    Parameters
    ----------
    values
        Array-like of shape (..., K).
    K
        Number of responses expected.
    what
        Name used in the error message, e.g. ``"start"``.
    interior
        Whether every entry must be positive.

    Raises
    ------
    InputError
        For a wrong shape, NaN, an entry outside [0, 1], or a sum off 1 by more than 1e-9.
    """
    array = _numbers(values, what)
    if array.ndim == 0 or array.shape[-1] != K:
        raise InputError(
            f"{what} has shape {array.shape} but the game has {K} responses: "
            f"give {K} probabilities in the last axis."
        )
    bad = ~((array >= 0) & (array <= 1 + 1e-9))
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"{what}{list(where)} is {array[where]:g}: probabilities must lie in [0, 1]."
        )
    totals = array.sum(axis=-1)
    if np.any(np.abs(totals - 1) > 1e-9):
        worst = float(totals.flat[np.argmax(np.abs(totals - 1))])
        raise InputError(f"{what} sums to {worst:.12g}, not 1: normalise it before passing it in.")
    if interior and np.any(array == 0):
        where = [int(i) for i in np.argwhere(array == 0)[0]]
        raise InputError(
            f"{what}{where} is exactly 0, where log-probabilities are undefined: "
            f"give a small positive probability, or log-probabilities through log_{what}=."
        )
    return array


def log_distribution(values, K: int, what: str) -> np.ndarray:
    """Log-probabilities (..., K) as float64, normalised to rounding; see `distribution`."""
    array = _numbers(values, what)
    if array.ndim == 0 or array.shape[-1] != K:
        raise InputError(
            f"{what} has shape {array.shape} but the game has {K} responses: "
            f"give {K} log-probabilities in the last axis."
        )
    if not np.all(np.isfinite(array)):
        where = [int(i) for i in np.argwhere(~np.isfinite(array))[0]]
        raise InputError(f"{what}{where} is not finite: log-probabilities must be finite numbers.")
    top = array.max(axis=-1, keepdims=True)
    totals = (top + np.log(np.exp(array - top).sum(axis=-1, keepdims=True)))[..., 0]
    if np.any(np.abs(totals) > 1e-9):
        worst = float(totals.flat[np.argmax(np.abs(totals))])
        raise InputError(
            f"{what} has log-sum-exp {worst:.6g}, not 0: subtract it (log_softmax does)."
        )
    return array


def positive(values, what: str) -> np.ndarray:
    """Finite numbers > 0 of any shape, as float64."""
    array = _numbers(values, what)
    bad = ~((array > 0) & np.isfinite(array))
    if bad.any():
        raise InputError(f"{what} is {array[bad][0]:g}: it must be a finite number above 0.")
    return array


def finite(values, what: str) -> np.ndarray:
    """Finite numbers of any shape, as float64."""
    array = _numbers(values, what)
    bad = ~np.isfinite(array)
    if bad.any():
        raise InputError(f"{what} is {array[bad][0]:g}: it must be a finite number.")
    return array


def nonnegative(values, what: str) -> np.ndarray:
    """Finite numbers >= 0 of any shape, as float64."""
    array = _numbers(values, what)
    bad = ~((array >= 0) & np.isfinite(array))
    if bad.any():
        raise InputError(f"{what} is {array[bad][0]:g}: it must be a finite number of at least 0.")
    return array


def share(values, what: str) -> np.ndarray:
    """Numbers in [0, 1] of any shape, as float64."""
    array = _numbers(values, what)
    bad = ~((array >= 0) & (array <= 1))
    if bad.any():
        raise InputError(f"{what} is {array[bad][0]:g}: it is a share and must lie in [0, 1].")
    return array


def count(value, what: str, *, least: int = 1) -> int:
    """A whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{what} is {value!r}: it must be a whole number of at least {least}.")
    return int(value)


def optional_count(value, what: str) -> int | None:
    """A whole number of at least 1, or None."""
    return None if value is None else count(value, what)


def between(value, low: float, high: float, what: str) -> float:
    """One number strictly between two others."""
    number = single(_numbers(value, what), what)
    if not low < number < high:
        raise InputError(
            f"{what} is {number:g}: it must lie between {low} and {high}, both excluded."
        )
    return number


def single(values: np.ndarray, what: str) -> float:
    """The one number that an array without axes holds."""
    if values.ndim:
        raise InputError(f"{what} has shape {values.shape}: it must be one number.")
    return float(values)


def common_shape(**shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Shape that all of these broadcast to, or an error that lists them."""
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise InputError(f"shapes do not broadcast: {listed}.") from None


def choice(value: str, options, what: str) -> str:
    """One of a few known names; the error lists them."""
    if value not in options:
        raise InputError(f"{what} {value!r} is not known: choose one of {', '.join(options)}.")
    return value


def nearest(name: Any, known: Iterable[str]) -> str:
    """A hint at the known names that resemble a wrong one; empty if none does."""
    near = get_close_matches(str(name).lower(), list(known), n=3)
    return f" (nearest: {', '.join(near)})" if near else ""


def _numbers(values, what: str) -> np.ndarray:
    try:
        array = np.array(values, dtype=float)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{what} is not an array of numbers ({error}).") from None
    if np.isnan(array).any():
        raise InputError(f"{what} contains NaN: remove or replace the missing values first.")
    return array
