"""Strong drive locks onto the best-response graph: LAB-4."""

import numpy as np

from analysis import Check
from analysis.laboratory._games import collection
from prefdyn import MRSIPO, ensemble, orbit, recurrence

LOCKED = {100.0: 0.99, 20.0: 0.95}
"""beta_c over beta, and the share of games that lock; at 20 nearly tied best responses share."""


def recurrences(rule: MRSIPO) -> np.ndarray:
    """Return time of every orbit of a batch after 3000 rounds, NaN where there is none."""
    last = ensemble(rule, rounds=3000, reducers=["last_log_policy"])["last_log_policy"]
    run = orbit(rule, log_start=last, rounds=160, tolerance=0)
    return np.asarray(recurrence(run.policies, burn_in=0, tolerance=1e-6), dtype=float)


def best_response_cycles(A: np.ndarray) -> list[set[int]]:
    """Lengths of the cycles of the best-response graph of every game: b goes to argmax_i A_ib."""
    lengths = []
    for best in np.argmax(A, axis=-2):
        found = set()
        for start in range(len(best)):
            seen: dict[int, int] = {}
            here = start
            while here not in seen:
                seen[here] = len(seen)
                here = int(best[here])
            found.add(len(seen) - seen[here])
        lengths.append(found)
    return lengths


class LocksToBestResponses(Check):
    """Without memory of the last policy, a strong drive plays the best response to it."""

    claim = "LAB-4"
    part = "cyclic games at alpha = 0, beta_c/beta = 100 and 20: the orbit's return time is the "
    part += "length of a cycle of the best-response graph"
    comparison = "at_least"
    tolerance = 0.0
    cases = (3, 4, 5, 6)

    def predict(self, instance):
        return np.array(list(LOCKED.values()))

    def observe(self, instance):
        drawn, beta_c = collection(instance, 250, 0.0)
        cycles = best_response_cycles(drawn.skew)
        runs = [recurrences(MRSIPO(drawn, beta_c / ratio, 0.0, 1.0)) for ratio in LOCKED]
        return np.mean(
            [[time in cycle for time, cycle in zip(run, cycles, strict=True)] for run in runs],
            axis=1,
        )


class LocksWithMemory(Check):
    """With memory: which return times occur, and how often there is none."""

    claim = "LAB-4"
    part = "alpha = 1/2, beta_c/beta = 1.2, 2, 5, 20: share of 1000 cyclic games that lock"
    comparison = "report"
    cases = tuple((ratio, K) for ratio in (1.2, 2.0, 5.0, 20.0) for K in (3, 4, 5, 6))

    def observe(self, instance):
        ratio, K = instance
        drawn, beta_c = collection(K, 250, 0.5)
        return ratio, recurrences(MRSIPO(drawn, beta_c / ratio, 0.5, 1.0))

    def summary(self, observations):
        sentences = []
        for ratio in dict.fromkeys(ratio for ratio, _ in observations):
            times = np.concatenate([found for at, found in observations if at == ratio])
            locked = times[np.isfinite(times)].astype(int)
            sentences.append(
                f"beta_c/{ratio:g}: {len(locked) / len(times):.0%} return within 80 rounds, "
                f"most often after {np.bincount(locked).argmax()}"
            )
        return "; ".join(sentences)
