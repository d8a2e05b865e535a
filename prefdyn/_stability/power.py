"""Power spectrum of a run: at which frequencies the policy moves."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn._inputs import share
from prefdyn._stability._long_run import long_run, moving
from prefdyn.rules._rule import Rule

LEAST = 64
"""Rounds that a spectrum needs."""


@dataclass(frozen=True)
class Peak:
    """A line of a spectrum.

    Attributes
    ----------
    frequency
        Cycles per round, in (0, 1/2].
    resolution
        Two lines closer than this are not told apart; the frequency of a single line is known to a
        fraction of it.
    share
        Share of the run's variance in the line (within the resolution).
    """

    frequency: float
    resolution: float
    share: float


@dataclass(frozen=True)
class PowerSpectrum:
    """Power of a policy over frequency.

    Attributes
    ----------
    frequencies
        Cycles per round (n,), from 0 to 1/2.
    power
        Variance per cycle/round, summed over the responses (n,).
    resolution
        Half-width of the window's main lobe, cycles per round.
    peaks
        Lines, most power first.
    """

    frequencies: np.ndarray
    power: np.ndarray
    resolution: float
    peaks: tuple[Peak, ...]


def power_spectrum(
    source: Rule | Any,
    start: Any = None,
    rounds: int = 4096,
    *,
    settle: int = 2000,
    smallest: float = 1e-3,
) -> PowerSpectrum:
    r"""Periodogram of a settled run, Hann window, summed over the responses, with its lines.

    A closed curve has lines at multiples of its rotation number (modulo 1, folded to 1/2), a cycle
    of order p at multiples of 1/p, chaos a broad spectrum.

    Parameters
    ----------
    source
        A rule without batch, or policies (rounds, K) of a settled run.
    start
        Probabilities; by default as in `prefdyn.orbit`.
    rounds, settle
        Rounds to look at, and to discard before.
    smallest
        Share of the variance below which a line is left out.

    Raises
    ------
    InsufficientData
        For fewer than 64 rounds, or a run that has settled.
    """
    from scipy.signal import find_peaks, periodogram

    smallest = float(share(smallest, "smallest"))
    policies = long_run(source, start, rounds, settle, LEAST)
    if policies.ndim != 2:
        raise InputError(
            f"a spectrum is of one run, not of a batch of {policies.shape[1:-1]}: give one of them."
        )
    frequencies, each = periodogram(
        moving(policies), window="hann", detrend="constant", scaling="density", axis=0
    )
    power = each.sum(axis=1)
    total, bin_width = power.sum(), frequencies[1]
    # A line at the very end, as of a cycle of order two, is a peak as well.
    tops, _ = find_peaks(np.append(power, 0.0))
    resolution = 2 * bin_width
    lines = []
    for top in tops:
        near = slice(max(top - 2, 0), top + 3)
        part = float(power[near].sum() / total)
        # The largest within the resolution stands for all of its main lobe and side lobes.
        if part >= smallest and power[top] == power[near].max():
            frequency = float(frequencies[near] @ power[near] / power[near].sum())
            if top >= len(power) - 2:
                frequency = float(frequencies[top])  # the other half of the line is folded onto it
            lines.append(Peak(frequency, float(resolution), part))
    lines.sort(key=lambda line: -line.share)
    return PowerSpectrum(frequencies, power, float(resolution), tuple(lines))
