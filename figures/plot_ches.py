"""Figure: CHES and its rivals as rankers of displacement."""

from typing import Any

import numpy as np
from scipy.stats import rankdata

from prefdyn import DPO, orbit
from prefdyn.displacement import ToyPairs, toy_pairs
from prefdyn.plots.house import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SIMULATED,
    VERMILION,
    figure,
    panel,
)
from prefdyn.policies import UnconstrainedFeatures
from prefdyn.rules import GradientStep

TITLE = "CHES ranks displacement, and so does the difference of lengths"
CAPTION = """
Pairs of token sequences with hidden states in a toy (50 tokens, width 32), lengths free (3 to 24)
or equal within a pair. (a, b) Rank correlation of each score with the exact rate of fall of
ln pi(y+) over 500 pairs, whose tokens are uniform, half drawn from the model, or all; bars are 95 %
bootstrap intervals. With free lengths the bare difference n- - n+ does as well as CHES. (c, d) Mean
change of ln pi(y+) in 8 gradient steps (rate .1) on 64 pairs around a percentile of the score, all
trained together on a shared W; mean over two toys of 600 pairs, uniform tokens. Dots are
simulated; lines are predicted to first order from the start, 8 times the first step. DPO with
beta = .1, the pull to the reference (the start).
"""
CLAIMS = ("DISP-6", "DISP-9", "DISP-10")

SCORES = {
    "ches": ("CHES", BLUE),
    "length_difference": ("length difference", VERMILION),
    "ln_ches": ("CHES, per token", GREEN),
    "edit_distance": ("− edit distance", ORANGE),
    "last_hidden": ("last hidden states", PURPLE),
}
ARMS = ((0.0, "uniform"), (0.5, "half"), (1.0, "on-policy"))
LENGTHS = ("free", "equal")
PAIRS, RESAMPLES = 500, 200
TOYS, POOL, SUBSET = 2, 600, 64
STEPS, RATE = 8, 0.1
PERCENTILES = np.array([0, 25, 50, 75, 100])


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Correlations (lengths, arm, score, (value, low, high)); changes (lengths, score, percentile).

    The length difference ranks nothing where lengths are equal, and is NaN there.
    """
    rng = np.random.default_rng(seed)
    correlations = [
        [
            _correlations(toy_pairs(PAIRS, rng, on_policy=share, equal_lengths=equal), rng)
            for share, _ in ARMS
        ]
        for equal in (False, True)
    ]
    changes = [
        np.mean([_changes(toy_pairs(POOL, rng, equal_lengths=equal)) for _ in range(TOYS)], axis=0)
        for equal in (False, True)
    ]
    return {
        "correlations": np.array(correlations),
        "percentiles": PERCENTILES,
        "simulated": np.array(changes)[..., 0],
        "predicted": np.array(changes)[..., 1],
    }


def falls(pairs: ToyPairs) -> np.ndarray:
    """Minus the rate of ln pi(y+) over c, pair by pair, from the Gram matrix of its policy."""
    grams = (pairs[i : i + 1].policy().gram() for i in range(len(pairs)))
    return np.array([gram[0, 1] - gram[0, 0] for gram in grams])


def _correlations(pairs: ToyPairs, rng: np.random.Generator) -> np.ndarray:
    """Spearman's with its bootstrap interval, (scores, 3)."""
    fall, scores = falls(pairs), pairs.scores()
    samples = rng.integers(len(pairs), size=(RESAMPLES, len(pairs)))
    found = []
    for name in SCORES:
        if np.ptp(scores[name]) == 0:
            found.append(np.full(3, np.nan))
            continue
        again = spearman(fall[samples], scores[name][samples])
        found.append([spearman(fall, scores[name]), *np.quantile(again, (0.025, 0.975))])
    return np.array(found)


def spearman(x: np.ndarray, y: np.ndarray) -> Any:
    """Rank correlation along the last axis, ties sharing their mean rank."""
    x, y = (rankdata(z, axis=-1) for z in (x, y))
    x, y = (z - z.mean(-1, keepdims=True) for z in (x, y))
    return (x * y).sum(-1) / np.sqrt((x**2).sum(-1) * (y**2).sum(-1))


def _changes(pairs: ToyPairs) -> np.ndarray:
    """Simulated and predicted changes, (scores, percentiles, 2)."""
    scores = pairs.scores()
    return np.array(
        [
            [_trained(pairs[index]) for index in subsets(scores[name])]
            if np.ptp(scores[name]) > 0
            else np.full((len(PERCENTILES), 2), np.nan)
            for name in SCORES
        ]
    )


def subsets(score: np.ndarray) -> list[np.ndarray]:
    """Indices of the pairs around each percentile."""
    order = np.argsort(score, kind="stable")
    firsts = np.round(PERCENTILES / 100 * (len(score) - SUBSET)).astype(int)
    return [order[first : first + SUBSET] for first in firsts]


def _trained(pairs: ToyPairs) -> tuple[float, float]:
    policy = pairs.policy()
    indices = np.arange(2 * len(pairs)).reshape(-1, 2)
    rule = GradientStep(DPO(0.1), policy, indices, RATE)
    run = orbit(rule, rounds=STEPS, save=STEPS, tolerance=0, progress=False)
    change = (run.log_policies[-1] - run.log_policies[0])[::2].mean()
    return float(change), STEPS * RATE * first_order(policy)


def first_order(policy: UnconstrainedFeatures, small: float = 1e-5) -> float:
    """Mean rate of ln pi(y+) at the start: along the move that pushes of beta/2 over n cause."""
    pushes = np.resize([0.05, -0.05], (policy.K, 1)) * 2 / policy.K * policy.mask
    move = policy.direction(policy.params, pushes)
    up, down = (policy.log_probs(policy.params + s * small * move)[::2] for s in (1, -1))
    return float((up - down).mean() / (2 * small))


def draw(data: dict[str, np.ndarray]) -> Any:
    """Correlations above, training below; free lengths left, equal lengths right."""
    drawing = figure(5.6)
    axes = drawing.subplots(2, 2, sharey="row")
    for k, lengths in enumerate(LENGTHS):
        _draw_correlations(axes[0, k], data["correlations"][k])
        panel(axes[0, k], "ab"[k], f"{lengths} lengths: ranking")
        _draw_changes(axes[1, k], data, k)
        panel(axes[1, k], "cd"[k], f"{lengths} lengths: 8 steps of training")
    axes[0, 0].set_ylabel("rank correlation with the fall")
    axes[1, 0].set_ylabel("mean change of ln π(y⁺) (nats)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside lower center", ncols=5)
    return drawing


def _draw_correlations(ax: Any, correlations: np.ndarray) -> None:
    for j, (label, colour) in enumerate(SCORES.values()):
        value, low, high = correlations[:, j].T
        x = np.arange(len(ARMS)) + 0.13 * (j - 2)
        bars = np.abs(np.stack([value - low, high - value]))
        style = {"fmt": "o", "markersize": 5, "capsize": 2, "elinewidth": 1}
        ax.errorbar(x, value, bars, color=colour, label=label, **style)
    ax.axhline(0, color=GREY, linewidth=0.6)
    ax.set_xticks(range(len(ARMS)), [name for _, name in ARMS])
    ax.set(xlabel="tokens", ylim=(-0.4, 1.05))
    if np.isnan(correlations[:, 1, 0]).all():
        ax.text(2.4, 0.96, "no length difference here", ha="right", fontsize=8, color=VERMILION)


def _draw_changes(ax: Any, data: dict[str, np.ndarray], k: int) -> None:
    for j, (_, colour) in enumerate(SCORES.values()):
        ax.plot(data["percentiles"], data["predicted"][k, j], color=colour, linewidth=1.1)
        ax.plot(data["percentiles"], data["simulated"][k, j], color=colour, **SIMULATED)
    ax.axhline(0, color=BLACK, linewidth=0.6)
    ax.set(xlabel="percentile of the score", xticks=data["percentiles"])


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """The table's corners, and whether the changes fall."""
    names = list(SCORES)
    ches, length = names.index("ches"), names.index("length_difference")
    value = data["correlations"][..., 0]
    apart = np.abs(value[0, :, ches] - value[0, :, length]).max()
    ends = data["simulated"][:, ches][:, [0, -1]]
    return [
        f"Uniform tokens: CHES has a rank correlation of {value[0, 0, ches]:.2f} with free and "
        f"{value[1, 0, ches]:.2f} with equal lengths; on-policy {value[0, 2, ches]:.2f} and "
        f"{value[1, 2, ches]:.2f}.",
        f"With free lengths CHES and the length difference are within {apart:.2f} of each other "
        "in every arm.",
        f"From the lowest to the highest CHES the mean change is {ends[0, 0]:+.1f} to "
        f"{ends[0, 1]:+.1f} nats with free and {ends[1, 0]:+.1f} to {ends[1, 1]:+.1f} with equal "
        "lengths.",
    ]
