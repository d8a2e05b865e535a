"""``python -m benchmarks.diagnosis``: the error rates that docs/diagnose.md states, counted.

Unlike the checks of DIAG-1 and DIAG-2, which use the same simulations, nothing is asserted here.
"""

import numpy as np

from analysis.diagnosis._logs import noise, run
from analysis.diagnosis.logs import accused, displacement
from analysis.diagnosis.rounds import Coverage, coverage
from prefdyn import InsufficientData, dynamic_modes

LOGS, RUNS, SERIES = 60, 100, 160
NOISE = {
    "uncorrelated, 40 or 200 readings": (0.0, (40, 200)),
    "uncorrelated, 12 readings": (0.0, (12,)),
    "correlated by 0.4, 40 or 200 readings": (0.4, (40, 200)),
    "correlated by 0.6, 15, 40 or 120 readings": (0.6, (15, 40, 120)),
}
SPLITS = ("eval", "train")


def main() -> None:
    """Print a line for each row."""
    for name, (stickiness, lengths) in NOISE.items():
        logs = [
            noise(np.random.default_rng((seed, n)), n, stickiness, split)
            for n in lengths
            for split in SPLITS
            for seed in range(LOGS)
        ]
        print(f"noise, {name}: {sum(map(accused, logs))} of {len(logs)} accused", flush=True)
    for displaced in (False, True):
        logs = [
            run(np.random.default_rng((seed, n)), displaced, n, split)
            for n in (20, 40)
            for split in SPLITS
            for seed in range(LOGS)
        ]
        found = sum(map(displacement if displaced else accused, logs))
        kind = "displaced, found" if displaced else "healthy, accused"
        print(f"DPO on toy pairs, {kind}: {found} of {len(logs)}", flush=True)
    for case in Coverage.cases:
        print(f"modes, {case}: {coverage(case, RUNS)[0]:.1%} of intervals hold", flush=True)
    turning = sum(turns(calm(np.random.default_rng(seed), seed)) for seed in range(4 * SERIES))
    print(f"drifts, steps, rises and falls: {turning} of {4 * SERIES} said to oscillate")


def calm(rng: np.random.Generator, kind: int) -> np.ndarray:
    """A sequence (T, 3) that does not turn: a drift, a step, a settling, or a rise and fall."""
    T = 24 if kind % 8 < 4 else 40
    t = np.linspace(0, 1, T)
    shape = (t, t > 0.5, np.exp(-4 * t), 1 - np.abs(2 * t - 1))[kind % 4]
    return np.outer(shape, rng.normal(size=3)) + rng.uniform(0.02, 0.5) * rng.normal(size=(T, 3))


def turns(rows: np.ndarray) -> bool:
    """Whether some mode turns, and is surely there: four standard errors from 0."""
    try:
        modes = dynamic_modes(rows)
    except InsufficientData:
        return False
    return bool((modes.turning & (modes.growth > 4 * modes.errors)).any())


if __name__ == "__main__":
    main()
