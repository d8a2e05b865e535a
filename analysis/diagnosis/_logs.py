"""Logs of simulated runs: of noise, of runs that go well, and of runs that displace."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import numpy as np

from prefdyn import GradientStep, RunLog
from prefdyn.displacement import toy_pairs
from prefdyn.runlog import Series

BETA = 0.1
Split = Literal["eval", "train"]
PAIRS, BATCH, RATE = 12, 4, 0.2


def runlog(table: Mapping[str, Any], split: Split = "eval", **settings: Any):
    """A log from columns of equal length, read every ten steps."""
    n = len(next(iter(table.values())))
    series = {
        f"{split}/{name}": Series(name, name, split, 10 * np.arange(n), np.asarray(values))
        for name, values in table.items()
    }
    return RunLog("simulated", "by hand", series, None, {"beta": BETA} | settings, (), ())


def noise(rng, readings, stickiness=0.0, split: Split = "train"):
    """A log in which nothing happens: levels as of a language model, and noise around them."""
    levels = {
        "chosen": (-130.0, 12.0),
        "rejected": (-110.0, 12.0),
        "greedy": (-90.0, 3.0),
        "loss": (0.6, 0.03),
        "accuracy": (0.6, 0.1),
        "entropy": (1.8, 0.1),
        "kl": (2.0, 0.4),
        "gradient_cosine": (0.4, 0.1),
    }
    table = {}
    for name, (level, spread) in levels.items():
        wobble = rng.normal(size=readings)
        for t in range(1, readings):
            wobble[t] = stickiness * wobble[t - 1] + np.sqrt(1 - stickiness**2) * wobble[t]
        table[name] = level + spread * wobble
    return runlog(table, split)


def run(rng, displaced, readings=40, split: Split = "eval"):
    """The log of DPO on toy pairs: with rows of W alone trained it cannot displace (DISP-4).

    With states shared along a direction and both trained, pairs of high CHES displace (DISP-10).
    """
    chosen, rejected = _paths(displaced, int(rng.integers(2)), readings)
    start = chosen[0], rejected[0]
    held_out = rng.choice(PAIRS, PAIRS // 2, replace=False)
    batches = [rng.choice(PAIRS, BATCH, replace=False) for _ in range(readings)]
    rows = [held_out] * readings if split == "eval" else batches

    def pick(path):
        return np.array([path[t][rows[t]].mean() for t in range(readings)])

    up, down = BETA * (chosen - start[0]), BETA * (rejected - start[1])
    margins = up - down
    table = {
        "chosen": pick(chosen),
        "rejected": pick(rejected),
        "reward_chosen": pick(up),
        "reward_rejected": pick(down),
        "reward_margin": pick(margins),
        "loss": pick(np.logaddexp(0, -margins)),
        "accuracy": pick(margins > 0),
    }
    return runlog(table, split)


@cache
def _paths(displaced, seed, readings):
    """Log-probabilities (readings, pairs) of the chosen and of the rejected responses."""
    pairs = toy_pairs(8 * PAIRS, seed, vocabulary=20, width=12, lengths=(2, 8))
    order = np.argsort(pairs.scores()["ches"])
    pairs = pairs[order[-PAIRS:] if displaced else order[:PAIRS]]
    policy = pairs.policy()
    rule = GradientStep("dpo", policy, [(2 * i, 2 * i + 1) for i in range(PAIRS)], RATE)
    state, rows = rule.own_start, []
    for t in range(readings):
        rows.append(rule.log_policy(state))
        state = rule.step(state, t, None)
    path = np.array(rows)
    return path[:, 0::2], path[:, 1::2]
