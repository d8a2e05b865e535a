"""The 0-1 test for chaos: a cross-check of Lyapunov exponents that needs no Jacobian."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._inputs import count
from prefdyn._stability._long_run import each_run, long_run, moving
from prefdyn.rules._rule import Rule

LEAST = 1000
"""Rounds that the test needs."""
BAND = (np.pi / 5, 4 * np.pi / 5)
"""Frequencies are drawn between these: resonances with the mean and with Nyquist's are avoided."""
REGULAR, CHAOTIC = 0.2, 0.8
"""Medians below and above which the test decides."""


@dataclass(frozen=True)
class ZeroOne:
    """Outcome of the 0-1 test.

    Attributes
    ----------
    value
        Median of the growth correlations K_c: near 0 for regular motion, near 1 for chaos (...,).
    spread
        Half the distance between their quartiles (...,): how much the frequencies disagree.
    frequencies
        Number of frequencies.
    every
        Rounds between the observations that were used.
    seed
        Seed of the frequencies.
    """

    value: Any
    spread: Any
    frequencies: int
    every: int
    seed: int

    @property
    def kind(self) -> Any:
        """One word per run: "regular" below .2, "chaotic" above .8, else "undecided"."""
        value = np.asarray(self.value)
        words = np.where(value > CHAOTIC, "chaotic", "undecided")
        return np.where(value < REGULAR, "regular", words)[()]


def zero_one(
    source: Rule | Any,
    start: Any = None,
    rounds: int = 5000,
    *,
    settle: int = 2000,
    frequencies: int = 100,
    every: int = 1,
    seed: int = 0,
) -> ZeroOne:
    r"""The 0-1 test of Gottwald and Melbourne (arXiv 0906.1418), by correlation.

    The observable (the policy along its direction of largest variance) drives a planar walk

    .. math:: z_c(n) = \sum_{j \le n} \phi_j e^{ijc}

    for many frequencies c in (pi/5, 4 pi/5).  Regular motion keeps it bounded; under chaos its mean
    squared displacement grows like n.  K_c is the correlation of the displacement, less its known
    oscillation, with n; the median over the frequencies is returned, since a few resonate.

    Runs that turn slowly (hundreds of rounds per turn) are oversampled and look regular even where
    they are chaotic: take `every` near a quarter of a turn.  Weak chaos, and curves that are about
    to break up, need many rounds; in between the answer is "undecided".

    Parameters
    ----------
    source
        A rule, batched or not, or policies (rounds, ..., K) of a settled run.
    start
        Probabilities; by default as in `prefdyn.orbit`.
    rounds
        Observations; `every` times as many rounds are run.
    settle
        Rounds to discard before.
    frequencies
        Number of frequencies.
    every
        Use every so many rounds only.
    seed
        Seed of the frequencies.

    Raises
    ------
    InputError
        For a rule that is another map in every round, or what is no array of policies.
    InsufficientData
        For fewer than 1000 observations, or a single run that has settled or stays within no
        bounds; NaN in a batch.
    """
    every, number = count(every, "every"), count(frequencies, "frequencies", least=10)
    policies = long_run(source, start, rounds * every, settle, LEAST * every)[::every]
    drawn = np.random.default_rng(seed).uniform(*BAND, size=number)

    def test(run: np.ndarray) -> tuple[float, float]:
        centred = moving(run)
        observable = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
        growth = _growth_correlations(observable, drawn)
        low, middle, high = np.quantile(growth, (0.25, 0.5, 0.75))
        return float(middle), float(high - low) / 2

    if policies.ndim == 2:
        value, spread = test(policies)
    else:
        value, spread = each_run(policies, test, 2)
    return ZeroOne(value, spread, number, every, seed)


def _growth_correlations(observable: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """K_c of a series (T,) of mean 0: correlation of the walk's squared displacement with time."""
    rounds, lags = len(observable), np.arange(1, len(observable) // 10 + 1)
    length = rounds - len(lags)  # the same number of displacements for every lag
    times = np.arange(1, rounds + 1)
    walk = np.cumsum(observable * np.exp(1j * frequencies[:, None] * times), axis=-1)
    # sum_j walk[j + n] conj(walk[j]) by FFT, since all lags are wanted; none of them wraps round.
    size = 1 << (rounds - 1).bit_length()
    spectrum = np.fft.fft(walk, size) * np.conj(np.fft.fft(walk[:, :length], size))
    products = np.fft.ifft(spectrum).real[:, lags]
    squares = np.cumsum(np.abs(walk) ** 2, axis=-1)
    ahead = squares[:, lags + length - 1] - squares[:, lags - 1]
    # The mean of the observable is 0, so that the oscillating term of the displacement vanishes.
    displacement = (ahead + squares[:, [length - 1]] - 2 * products) / length
    centred = displacement - displacement.mean(axis=-1, keepdims=True)
    time = lags - lags.mean()
    return centred @ time / (np.linalg.norm(centred, axis=-1) * np.linalg.norm(time))
