"""How the runs of `kernel_prediction` are judged and drawn."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prefdyn.llm.prediction._tilted import held_at_one
from prefdyn.llm.validate._record import Record, bounded, close, not_run, told
from prefdyn.plots.house import BLACK, BLUE, GREY, SIMULATED, VERMILION, figure, panel

NAME = "kernel_prediction"
LABELS = {"sgd": "gradient descent", "adamw": "AdamW"}
NEAR, FAR = 0.5, 8.0
"""Nats up to which the frozen and the renewed prediction are asserted."""
LEAST = 0.9
"""R^2 under which a prediction has lost its way."""
MOVED = 0.05
"""Nats from which the sign of a movement counts."""


@dataclass(frozen=True, eq=False)
class Run:
    """A predicted and measured run of S saved steps and R candidates.

    Attributes
    ----------
    about : dict
        Optimiser, regime, pair, rate, and the pair in words.
    log_probs : numpy.ndarray
        Of the candidates before training, (R,).
    frozen, measured : numpy.ndarray
        Changes (S, R) of the log-probabilities.
    renewed : numpy.ndarray or None
        The prediction whose geometry is measured again every `every` saved steps.
    """

    about: dict[str, Any]
    log_probs: np.ndarray
    frozen: np.ndarray
    measured: np.ndarray
    renewed: np.ndarray | None
    every: int = 1

    @cached_property
    def normalised(self) -> np.ndarray:
        """The frozen prediction with the sum of all probabilities held at 1, (S, R)."""
        return held_at_one(self.log_probs, self.frozen)

    @cached_property
    def renewed_normalised(self) -> np.ndarray:
        """The renewed one, each part of it with the sum of all probabilities held at 1."""
        assert self.renewed is not None
        found = [np.zeros(len(self.log_probs))]
        for k in range(0, len(self.renewed) - 1, self.every):
            ahead = self.renewed[k + 1 : k + 1 + self.every] - self.renewed[k]
            part = held_at_one(self.log_probs + self.measured[k], ahead)
            found += list(found[-1] + part)
        return np.array(found)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Largest change so far, (S,)."""
        return np.maximum.accumulate(np.abs(self.measured).max(-1))

    def within(self, nats: float) -> int:
        """Last saved step up to which no candidate has moved by more; 0 if there is none."""
        return int(np.sum(self.sizes <= nats)) - 1

    def r2(self, k: int = -1, by: str = "frozen") -> float:
        """R^2 of a prediction, without a fit, at a saved step."""
        return r_squared(getattr(self, by)[k], self.measured[k])

    def slope(self, k: int = -1, by: str = "frozen") -> float:
        """Slope of measured on predicted changes."""
        predicted = getattr(self, by)[k]
        centred = predicted - predicted.mean()
        return float(centred @ self.measured[k] / (centred @ centred))

    def correlation(self, by: str = "frozen") -> float:
        """Of predicted and measured changes at the end."""
        return float(np.corrcoef(getattr(self, by)[-1], self.measured[-1])[0, 1])

    @property
    def range(self) -> float:
        """Nats up to which the frozen prediction keeps its R^2; infinite if it does to the end."""
        steps = range(1, len(self.measured))
        lost = [k for k in steps if self.r2(k) < LEAST]
        return float(self.sizes[lost[0]]) if lost else float("inf")


def r_squared(predicted: np.ndarray, measured: np.ndarray) -> float:
    """``1 - sum (measured - predicted)^2 / sum (measured - mean)^2``."""
    error, spread = measured - predicted, measured - measured.mean()
    return float(1 - (error @ error) / (spread @ spread))


def runs_of(predicted: dict[str, Any], measured: dict[str, Any]) -> list[Run]:
    """All runs, of all prompts."""
    return list(_runs(predicted, measured))


def _runs(predicted: dict[str, Any], measured: dict[str, Any]) -> Iterator[Run]:
    for case, seen in zip(predicted["cases"], measured["cases"], strict=True):
        for run, got in zip(case["runs"], seen, strict=True):
            frozen = np.array(run["change"])[got["steps"]]
            renewed = None if got["renewed"] is None else np.array(got["renewed"])
            changes, start = np.array(got["change"]), np.array(case["log_probs"])
            about = run | {"words": in_words(case, run["pair"])}
            yield Run(about, start, frozen, changes, renewed, predicted["every"])


def in_words(case: dict[str, Any], pair: list[int]) -> str:
    """A pair of candidates and their prompt, as a reader sees them."""
    chosen, rejected = (case["candidates"][i] for i in pair)
    return f"{chosen!r} over {rejected!r} after {case['prompt']!r}"


def chosen_from(runs: list[Run], optimiser: str, regime: str) -> list[Run]:
    """Those of one optimiser and one size of change."""
    wanted = (optimiser, regime)
    return [run for run in runs if (run.about["optimiser"], run.about["regime"]) == wanted]


def records(predicted: dict[str, Any], measured: dict[str, Any]) -> list[Record]:
    """Asserted up to 0.5 nat (frozen) and 8 nats (renewed); the rest is reported."""
    runs = runs_of(predicted, measured)
    found = []
    for optimiser, label in LABELS.items():
        near, middle, far = (chosen_from(runs, optimiser, r) for r in ("near", "middle", "far"))
        found += _asserted(f"{label}, frozen geometry", near, NEAR, (0.99, 0.95), "frozen")
        found.append(_followed(label, measured["followed"][optimiser]))
        every = f"{label}, geometry renewed every {predicted['every']} steps"
        found += _asserted(every, far, FAR, (0.96, 0.9), "renewed")
        found += [_reported(f"{label}, frozen geometry", some) for some in (middle, far)]
        found.append(_range(label, far))
        held = f"{label}, frozen and normalised"
        # Their slope is that of the others: what is subtracted is the same for all candidates.
        found += _asserted(held, near, NEAR, (0.99, 0.95), "normalised")[:2]
        held_far = f"{every}, and normalised"
        found += _asserted(held_far, far, FAR, (0.96, 0.9), "renewed_normalised")[:2]
        found += [_reported(held, some, "normalised") for some in (middle, far)]
    return [*found, *_signs(runs), *_failing(chosen_from(runs, "sgd", "dominant"))]


def _asserted(
    what: str, runs: list[Run], nats: float, least: tuple[float, float], by: str
) -> list[Record]:
    """Median and worst R^2 and median slope, at the last step within so many nats."""
    at = [(run, k) for run in runs if (k := run.within(nats)) > 0]
    if not at:
        return [not_run(NAME, f"{what}: R^2 up to {nats:g} nats", "no run has a step that small")]
    r2 = [run.r2(k, by) for run, k in at]
    worst, k = at[int(np.argmin(r2))]
    changes = worst.measured[k]
    error = np.abs(getattr(worst, by)[k] - changes).max()
    cut = sum(k + 1 < len(run.sizes) for run, k in at)
    sizes = (
        f"{len(at)} of {len(runs)} runs, {cut} of them up to the last step within {nats:g} nats, "
        f"the others whole; median change {np.median([run.sizes[k] for run, k in at]):.2g} nats"
    )
    together = (
        f"{worst.about['words']}; changes from {changes.min():.2g} to {changes.max():.2g} nats, "
        f"largest error {error:.2g}; {sum(x < least[1] for x in r2)} of {len(r2)} below the bound"
    )
    slopes = [run.slope(k, by) for run, k in at]
    slope = float(np.median(slopes))
    ends = f"from {min(slopes):.2g} to {max(slopes):.2g} in single runs"
    return [
        bounded(NAME, f"{what}: median R^2 up to {nats:g} nats", float(np.median(r2)),
                least=least[0], predicted=1.0, note=sizes),
        bounded(NAME, f"{what}: worst R^2 up to {nats:g} nats", min(r2),
                least=least[1], predicted=1.0, note=together),
        close(NAME, f"{what}: median slope of measured on predicted", 1.0, slope, relative=0.1,
              note=ends),
    ]  # fmt: skip


def _followed(label: str, run: dict[str, Any]) -> Record:
    """The small run that the frozen geometry foretold worst, with a new one at every step."""
    return bounded(
        NAME,
        f"{label}, the small run foretold worst, geometry renewed at every step: R^2",
        r_squared(np.array(run["renewed"][-1]), np.array(run["change"][-1])),
        least=0.99,
        predicted=1.0,
        note=f"{run['words']}; {run['frozen_r2']:.3g} with the frozen geometry",
    )


def _reported(what: str, runs: list[Run], by: str = "frozen") -> Record:
    r2 = [run.r2(by=by) for run in runs]
    size = np.median([run.sizes[-1] for run in runs])
    slope = np.median([run.slope(by=by) for run in runs])
    return told(
        NAME,
        f"{what}: median R^2 at {size:.2g} nats",
        float(np.median(r2)),
        note=f"{len(runs)} runs, worst {min(r2):.2f}, median slope {slope:.2f}",
    )


def _range(label: str, runs: list[Run]) -> Record:
    reach = [run.range for run in runs]
    median, kept = float(np.median(reach)), sum(np.isinf(reach))
    return told(
        NAME,
        f"{label}, frozen geometry: nats at which R^2 falls under {LEAST:g}, median",
        median if np.isfinite(median) else "beyond the runs",
        note=f"{min(reach):.2g} in the worst run; never in {kept} of {len(reach)}",
    )


def _signs(runs: list[Run]) -> list[Record]:
    """Of the renewed prediction where there is one, at the last step within the asserted size."""
    quantity = f"sign of the chosen response's movement, share right up to {FAR:g} nats"
    right, frozen, wrong = [], [], []
    runs = [run for run in runs if run.about["regime"] != "dominant"]
    for run in runs:
        k, w = run.within(FAR), run.about["pair"][0]
        if k > 0 and abs(run.measured[k, w]) > MOVED:
            best = run.frozen if run.renewed is None else run.renewed
            right.append(np.sign(best[k, w]) == np.sign(run.measured[k, w]))
            frozen.append(np.sign(run.frozen[k, w]) == np.sign(run.measured[k, w]))
            if not right[-1]:
                wrong.append(f"{best[k, w]:+.2g}, measured {run.measured[k, w]:+.2g}")
    if not right:
        return [not_run(NAME, quantity, f"no chosen response moved by more than {MOVED:g} nats")]
    counted = f"that move it by more than {MOVED:g} nats, out of {len(runs)}"
    note = f"{sum(right)} of {len(right)} runs {counted}; the geometry renewed in large ones"
    note += f"; wrong: {'; '.join(wrong)}" * bool(wrong)
    return [
        bounded(NAME, quantity, float(np.mean(right)), least=0.97, predicted=1.0, note=note),
        told(NAME, f"{quantity}, frozen geometry throughout", float(np.mean(frozen)), 1.0,
             f"{sum(frozen)} of {len(frozen)} runs"),
    ]  # fmt: skip


def _failing(runs: list[Run]) -> list[Record]:
    """Each run in which the likeliest candidate is rejected and pushed far."""
    kinds = {"frozen": "frozen geometry", "normalised": "frozen and normalised"}
    return [
        told(
            NAME,
            f"likeliest candidate rejected and pushed far, prompt {number}, {words}: R^2",
            run.r2(by=by),
            note=f"r {run.correlation(by):.2f}, slope {run.slope(by=by):.2f}, "
            f"at {run.sizes[-1]:.2g} nats",
        )
        for number, run in enumerate(runs)
        for by, words in kinds.items()
    ]


def draw(predicted: dict[str, Any], measured: dict[str, Any]) -> Figure:
    """Predicted against measured changes; the frozen prediction's range; where it fails."""
    runs = runs_of(predicted, measured)
    drawing = figure(7.4)
    top, bottom = drawing.subfigures(2, 1, height_ratios=[2, 1.05])  # pyright: ignore
    axes = top.subplots(2, 4)
    titles = ("small", "middle", "large", "large, renewed")
    regimes = ("near", "middle", "far", "far")
    letters = iter("abcdefgh")
    for row, (optimiser, label) in zip(axes, LABELS.items(), strict=True):
        for ax, title, regime in zip(row, titles, regimes, strict=True):
            by = "renewed" if title.endswith("renewed") else "frozen"
            _clouds(ax, chosen_from(runs, optimiser, regime), by)
            panel(ax, next(letters), f"{label}\n{title}" if title == "small" else title)
    top.supxlabel("predicted change of log-probability (nats)", fontsize=9)
    top.supylabel("measured change (nats)", fontsize=9)
    handles = axes[0, 0].get_legend_handles_labels()
    top.legend(*handles, loc="outside upper right", ncols=3)
    left, middle, right = bottom.subplots(1, 3, width_ratios=[1.2, 1, 1])
    _ranges(left, runs)
    panel(left, "i", "frozen geometry, large")
    failing = chosen_from(runs, "sgd", "dominant")
    for letter, ax, by in (("j", middle, "frozen"), ("k", right, "normalised")):
        _clouds(ax, failing, by)
        ax.set_xlabel("predicted change (nats)")
        panel(ax, letter, f"likeliest rejected,\n{by}")
    middle.set_ylabel("measured change (nats)")
    return drawing


def _clouds(ax: Axes, runs: list[Run], by: str) -> None:
    ends = [np.inf, -np.inf]
    for run in runs:
        x, y = getattr(run, by), run.measured[-1]
        pair = run.about["pair"]
        others = np.delete(np.arange(len(y)), pair)
        ends = [min(ends[0], x[-1].min(), y.min()), max(ends[1], x[-1].max(), y.max())]
        ax.plot(x[-1][others], y[others], color=GREY, **{**SIMULATED, "markersize": 3.5})
        for k, colour, marker in zip(pair, (BLUE, VERMILION), "^v", strict=True):
            marks = {**SIMULATED, "marker": marker, "markersize": 5, "color": colour}
            ax.plot(x[-1][k], y[k], **marks)
    ax.plot(ends, ends, color=BLACK, linewidth=0.8, zorder=1)
    for line, label in zip(ax.lines, ("other candidates", "chosen", "rejected"), strict=False):
        line.set_label(label)
    r2 = [run.r2(by=by) for run in runs]
    words = f"$R^2$ = {np.median(r2):.3f} ({min(r2):.2f})"
    ax.text(0.04, 0.97, words, transform=ax.transAxes, va="top", fontsize=7.5)


def _ranges(ax: Axes, runs: list[Run]) -> None:
    for (optimiser, label), colour in zip(LABELS.items(), (BLUE, VERMILION), strict=True):
        for number, run in enumerate(chosen_from(runs, optimiser, "far")):
            r2 = np.array([run.r2(k) for k in range(1, len(run.sizes))])
            r2[r2 < 0] = np.nan
            name = label if number == 0 else None
            ax.plot(run.sizes[1:], r2, color=colour, linewidth=0.9, alpha=0.7, label=name)
    ax.axhline(LEAST, color=BLACK, linewidth=0.8, linestyle=":")
    ax.set_xscale("log")
    ax.set_ylim(-0.3, 1.02)  # room for the legend
    ax.set_yticks(np.linspace(0, 1, 6))
    ax.set_xlabel("largest measured change so far (nats)")
    ax.set_ylabel("$R^2$")
    ax.legend(loc="lower left")
