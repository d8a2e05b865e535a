"""How the scores of `rankings` are judged and drawn."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import rankdata

from prefdyn.llm.validate._record import Record, bounded, told
from prefdyn.plots.house import BLACK, BLUE, GREY, SIMULATED, VERMILION, figure, panel

NAME = "rankings"
ARMS = {"free": "any lengths", "equal": "equal lengths"}
KERNEL = {"run": "kernel: whole run", "first": "kernel: first step"}
RIVALS = {
    "ches": "CHES",
    "ln_ches": "lnCHES",
    "last_hidden": "last hidden states",
    "edit_distance": "edit distance",
    "length_difference": "length difference",
}
RESAMPLES = 2000
LINEAR = 0.1
"""Nats around 0 within which an axis is linear; beyond it is logarithmic."""
LEVEL = 0.95


def falls(measured: dict[str, Any]) -> np.ndarray:
    """Measured fall of each chosen response, in nats."""
    return -np.array(measured["changes"])[:, 0]


def scores_of(predicted: dict[str, Any], arm: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Which pairs are of an arm, and all scores of theirs that differ between pairs."""
    at = np.flatnonzero([pair["arm"] == arm for pair in predicted["pairs"]])
    pairs = [predicted["pairs"][k] for k in at]
    found = {name: np.array([-pair["changes"][name] for pair in pairs]) for name in KERNEL}
    found |= {name: np.array([pair["scores"][name] for pair in pairs]) for name in RIVALS}
    return at, {name: values for name, values in found.items() if np.ptp(values) > 0}


def spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rank correlation along the last axis; ties share a rank, and no spread gives 0."""
    a, b = (rankdata(values, axis=-1) for values in (x, y))
    a, b = a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True)
    size = np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    return np.divide((a * b).sum(-1), size, out=np.zeros_like(size), where=size > 0)


def correlations(
    predicted: dict[str, Any], measured: dict[str, Any], arm: str
) -> dict[str, tuple[float, np.ndarray]]:
    """Rank correlation of each score with the fall, and of the same resamples of the pairs."""
    at, scores = scores_of(predicted, arm)
    fall = falls(measured)[at]
    samples = np.random.default_rng(0).integers(len(at), size=(RESAMPLES, len(at)))
    return {
        name: (float(spearman(values, fall)), spearman(values[samples], fall[samples]))
        for name, values in scores.items()
    }


def interval(resampled: np.ndarray) -> tuple[float, float]:
    """Bootstrap interval by percentiles."""
    low, high = np.quantile(resampled, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def records(predicted: dict[str, Any], measured: dict[str, Any]) -> list[Record]:
    """Whether the kernel prediction beats the best rival, and how each score did."""
    found = []
    fall = falls(measured)
    for arm, words in ARMS.items():
        known = correlations(predicted, measured, arm)
        found += [_against_rivals(known, name, words) for name in KERNEL if name in known]
        for name, label in (KERNEL | RIVALS).items():
            if name in known:
                value, resampled = known[name]
                low, high = interval(resampled)
                quantity = f"{words}, {label}: rank correlation with the measured fall"
                note = f"{100 * LEVEL:.0f} % interval {low:.2f} to {high:.2f}"
                found.append(told(NAME, quantity, value, note=note))
        at, scores = scores_of(predicted, arm)
        right = np.sign(scores["run"]) == np.sign(fall[at])
        share = float(np.mean(scores["run"] > 0))
        found += [
            told(NAME, f"{words}: share of pairs whose chosen response falls",
                 float(np.mean(fall[at] > 0)), share, f"{len(at)} pairs"),
            told(NAME, f"{words}: share of pairs whose chosen response moves the way predicted",
                 float(np.mean(right)), 1.0, f"{int(np.sum(right))} of {len(at)} pairs"),
        ]  # fmt: skip
    closed = predicted["closed"]
    if closed:
        quantity = "prompts left out: too few different responses are written to them"
        found.append(told(NAME, quantity, len(closed), note="; ".join(map(repr, closed))))
    return found


def _against_rivals(known: dict[str, tuple[float, np.ndarray]], kernel: str, words: str) -> Record:
    """Lower end of the interval of its lead over whichever rival is best in the same resample."""
    rivals = [name for name in RIVALS if name in known]
    best = max(rivals, key=lambda name: known[name][0])
    lead = known[kernel][1] - np.max([known[name][1] for name in rivals], axis=0)
    low, high = interval(lead)
    value = known[kernel][0] - known[best][0]
    return bounded(
        NAME,
        f"{words}, {KERNEL[kernel]}: lead over the best rival in rank correlation, lower end of "
        f"its {100 * LEVEL:.0f} % interval",
        low,
        least=0.0,
        predicted="above 0",
        note=f"its rank correlation {known[kernel][0]:.2f} leads that of {RIVALS[best]}, the best "
        f"of {len(rivals)} rivals, {known[best][0]:.2f}, by {value:.2f}; upper end {high:.2f}",
    )


def draw(predicted: dict[str, Any], measured: dict[str, Any]) -> Figure:
    """Rank correlations with their intervals, and the kernel prediction itself."""
    drawing = figure(5.6)
    axes = drawing.subplots(2, 2, height_ratios=[1, 1.1])
    for column, (arm, words) in enumerate(ARMS.items()):
        top, bottom = axes[:, column]
        _intervals(top, correlations(predicted, measured, arm))
        panel(top, "ab"[column], f"pairs of {words}")
        _changes(bottom, predicted, measured, arm)
        panel(bottom, "cd"[column], "kernel: whole run")
    axes[0, 1].set_yticklabels([])
    axes[1, 0].set_ylabel("measured change of\nchosen log-probability (nats)")
    return drawing


def _intervals(ax: Axes, known: dict[str, tuple[float, np.ndarray]]) -> None:
    labels = KERNEL | RIVALS
    for place, name in enumerate(labels):
        if name not in known:
            continue
        value, resampled = known[name]
        colour = BLUE if name in KERNEL else GREY
        ax.plot(interval(resampled), [place, place], color=colour, linewidth=2, zorder=2)
        ax.plot(value, place, color=colour, **SIMULATED)
    ax.axvline(0, color=BLACK, linewidth=0.8, zorder=1)
    ax.set_xlim(-1, 1.03)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_yticks(range(len(labels)), list(labels.values()))
    ax.set_xlabel("rank correlation with the measured fall")


def _changes(ax: Axes, predicted: dict[str, Any], measured: dict[str, Any], arm: str) -> None:
    at, scores = scores_of(predicted, arm)
    x, y = -scores["run"], -falls(measured)[at]
    ends = [min(x.min(), y.min()), max(x.max(), y.max())]
    for scale in (ax.set_xscale, ax.set_yscale):
        scale("symlog", linthresh=LINEAR)
    ax.plot(ends, ends, color=BLACK, linewidth=0.8, zorder=1)
    ax.axhline(0, color=GREY, linewidth=0.5, zorder=0)
    ax.axvline(0, color=GREY, linewidth=0.5, zorder=0)
    ax.plot(x, y, color=VERMILION, **SIMULATED)
    ax.set_xlabel("predicted change (nats)")
