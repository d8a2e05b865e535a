"""Verdicts and figure of the squeezing experiment."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from prefdyn.llm.validate._record import Record, bounded, not_run, told
from prefdyn.plots.house import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    PREDICTED,
    SIMULATED,
    VERMILION,
    figure,
    panel,
)

NAME = "squeezing"
ROLES = ("greedy", "chosen", "probe", "probe", "own", "foreign")
"""What each answer to a prompt is; ``own`` is rejected in the control, ``foreign`` off-policy."""
WORDS = {
    "greedy": "greedy continuation",
    "chosen": "chosen answer",
    "probe": "sampled probes",
    "own": "the control's rejected answer",
    "foreign": "off-policy answer",
}
COLOURS = {"greedy": BLUE, "chosen": GREEN, "probe": GREY, "foreign": VERMILION}
SEEN = 0.01
"""Nats from which on a movement counts as one; single precision blurs them by 1e-5."""
LINEAR = 0.1
"""Nats around 0 within which the axis of panel a is linear."""
EARLY = 3.0
"""Nats up to which a frozen geometry is held to its signs."""


def records(predicted: dict[str, Any], measured: dict[str, Any]) -> list[Record]:
    """Signs by the kernel; then how often squeezing occurs, which nothing guarantees."""
    runs = list(_runs(predicted, measured))
    # A frozen geometry is known to fail where a dominant answer is pushed far, the control's case,
    # and some nats away from where it was measured: signs are asserted off-policy and early.
    off = [run for run in runs if "control" not in run["arm"]]
    own = [run for run in runs if "control" in run["arm"]]
    early, everybody = [_at(run, EARLY) for run in off], list(range(len(ROLES)))
    near = f"off-policy, where the fastest answer is {EARLY:g} nats away"
    found = [
        _signs(early, f"the greedy continuation, {near}", [0], least=0.9),
        _signs(early, f"all answers, {near}", everybody, least=0.9),
        _signs(off, "the greedy continuation, off-policy, end of training", [0]),
        _signs(off, "all answers, off-policy, end of training", everybody),
        _signs(own, "all answers, control, end of training", everybody),
    ]
    for arm in dict.fromkeys(run["arm"] for run in runs):
        found += _outcomes(arm, [run for run in runs if run["arm"] == arm])
    return found + _next_tokens(predicted, measured)


def _runs(predicted: dict[str, Any], measured: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every training run, with predicted and measured changes (steps + 1, R)."""
    for case, seen in zip(predicted["cases"], measured["cases"], strict=True):
        for arm, run in case["runs"].items():
            yield {
                "arm": arm,
                "case": case,
                "predicted": np.array(run["change"]),
                "measured": np.array(seen["runs"][arm]["change"]),
                "likeliest": seen["runs"][arm]["likeliest"],
            }


def _at(run: dict[str, Any], distance: float) -> dict[str, Any]:
    """A run up to the first step at which some answer is predicted to be that far away."""
    far = np.flatnonzero(np.abs(run["predicted"]).max(1) >= distance)
    steps = slice(int(far[0]) + 1 if len(far) else None)
    return run | {key: run[key][steps] for key in _BOTH}


def _signs(runs: list, what: str, rows: list[int], least: float | None = None) -> Record:
    before, after = (np.array([run[key][-1][rows] for run in runs]) for key in _BOTH)
    counts = np.abs(after) > SEEN
    quantity = f"share of signs right, {what} (above {SEEN} nat)"
    if not counts.any():
        return not_run(NAME, quantity, f"Nothing moved by {SEEN} nat.")
    right = ((before > 0) == (after > 0)) & counts
    wrong = [
        f"{WORDS[ROLES[rows[j]]]} ({runs[i]['arm']}, {runs[i]['case']['prompt']!r}: predicted "
        f"{before[i, j]:+.2f}, measured {after[i, j]:+.2f})"
        for i, j in np.argwhere(counts & ~right)
    ]
    note = f"{right.sum()} of {counts.sum()} right, of {counts.size} in all"
    note += f"; wrong: {', '.join(wrong)}" * bool(wrong)
    share = float(right.sum() / counts.sum())
    if least is None:
        return told(NAME, quantity, share, 1.0, f"{note}.")
    return bounded(NAME, quantity, share, least=least, predicted=1.0, note=f"{note}.")


_BOTH = ("predicted", "measured")
PUBLISHED = (
    "Published for large models over epochs of a whole data set: nearly everything falls and the "
    "greedy continuation gains (arXiv 2407.10490)."
)


def _outcomes(arm: str, runs: list) -> list[Record]:
    """Counts and mean changes of one arm."""
    before, after = (np.array([run[key][-1] for run in runs]) for key in _BOTH)
    lost = [i for i, role in enumerate(ROLES) if role != "greedy"]
    rest = [i for i, role in enumerate(ROLES) if role not in ("greedy", "chosen")]

    def squeezed(change: np.ndarray, others: list[int]) -> int:
        return int(((change[:, 0] > 0) & (change[:, others] < 0).all(1)).sum())

    found = [
        told(
            NAME,
            f"{arm}: prompts whose greedy continuation gains, of {len(runs)}",
            int((after[:, 0] > 0).sum()),
            int((before[:, 0] > 0).sum()),
        )
    ]
    for others, words in ((rest, "all but it and chosen fall"), (lost, "all else falls")):
        found.append(
            told(
                NAME,
                f"{arm}: prompts whose greedy continuation gains while {words}, of {len(runs)}",
                squeezed(after, others),
                squeezed(before, others),
                PUBLISHED if arm == "DPO, off-policy" else "",
            )
        )
    for role in dict.fromkeys(ROLES):
        rows = [i for i, one in enumerate(ROLES) if one == role]
        found.append(
            told(
                NAME,
                f"{arm}: mean change of log p, {WORDS[role]} (nat)",
                float(after[:, rows].mean()),
                float(before[:, rows].mean()),
                f"From {after[:, rows].min():.2f} to {after[:, rows].max():.2f}.",
            )
        )
    start, end = np.mean([run["likeliest"] for run in runs], axis=0)
    found.append(
        told(
            NAME,
            f"{arm}: mean log p of what the model then writes greedily (nat)",
            float(end),
            note=f"Before training {start:.3f}.",
        )
    )
    return found


def _next_tokens(predicted: dict[str, Any], measured: dict[str, Any]) -> list[Record]:
    """A small step against one answer: next tokens, by the kernel and as in logistic regression."""
    steps = [
        (case["next"], seen["next"])
        for case, seen in zip(predicted["cases"], measured["cases"], strict=True)
    ]
    n = len(steps)
    watched = sum(len(seen["change"]) for _, seen in steps)
    kernel, rule = [], []
    for foretold, seen in steps:
        change = np.array(seen["change"])
        # What moves by less than a hundredth of the fastest is lost in single precision.
        moved = np.abs(change) > 0.01 * np.abs(change).max()
        kernel += list(((np.array(foretold["change"]) > 0) == (change > 0))[moved])
        others = moved & (np.array(foretold["tokens"]) != foretold["first"])
        rises = np.exp(foretold["log_probs"]) > seen["bar"]
        rule += list((rises == (change > 0))[others])
    return [
        bounded(
            NAME,
            "small step against an answer: share of signs of next tokens right, by the kernel",
            float(np.mean(kernel)),
            least=0.97,
            predicted=1.0,
            note=f"{sum(kernel)} of {len(kernel)} right; left out what moves by less than a "
            f"hundredth of its prompt's fastest token, {watched - len(kernel)} of {watched}.",
        ),
        told(
            NAME,
            "small step against an answer: share of signs of next tokens right, by the threshold "
            "of logistic regression (SQZ-3)",
            float(np.mean(rule)),
            1.0,
            f"{sum(rule)} of {len(rule)} right. A theorem where features are fixed, here only a "
            "tendency; left out the lowered token too.",
        ),
        told(
            NAME,
            f"small step against an answer: prompts whose likeliest other next token rises, of {n}",
            sum(seen["best_rises"] for _, seen in steps),
            n,
            "Certain in logistic regression (SQZ-2), not here.",
        ),
        told(
            NAME,
            "small step against an answer: mean share of all other next tokens that rise",
            float(np.mean([seen["risen"] for _, seen in steps])),
        ),
    ]


def draw(predicted: dict[str, Any], measured: dict[str, Any]) -> Figure:
    """Mean paths, all final changes, and next tokens after a small step."""
    runs = list(_runs(predicted, measured))
    drawing = figure(5.8)
    top, bottom = drawing.subfigures(2, 1, squeeze=False, height_ratios=(1.15, 1))[:, 0]
    left, right = top.subplots(1, 2)
    _draw_paths(left, [run for run in runs if run["arm"] == runs[0]["arm"]])
    panel(left, "a", runs[0]["arm"])
    _draw_ends(right, runs)
    panel(right, "b", "all answers, end of training")
    ax = bottom.subplots()
    _draw_next(ax, predicted, measured)
    panel(ax, "c", "next tokens after a small step")
    return drawing


def _draw_paths(ax: Axes, runs: list) -> None:
    foretold, seen = (np.mean([run[key] for run in runs], axis=0) for key in _BOTH)
    at = np.arange(len(seen))
    names = {"probe": "probes", "foreign": "rejected"}
    for role, colour in COLOURS.items():
        rows = [i for i, one in enumerate(ROLES) if one == role]
        ax.plot(at, foretold[:, rows].mean(1), color=colour, **PREDICTED)
        label = names.get(role, role)
        ax.plot(at, seen[:, rows].mean(1), color=colour, label=label, **SIMULATED)
    ax.axhline(0, color=GREY, linewidth=0.5, linestyle=":", zorder=0)
    # The rejected answer falls by nats while the others move by tenths.
    ax.set_yscale("symlog", linthresh=LINEAR)
    ax.set(xlabel="step", ylabel="mean change of log p (nat)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    low, high = ax.get_ylim()
    ax.set_ylim(2 * low, 20 * max(high, LINEAR))  # room for the legend
    ax.legend(loc="upper left", handletextpad=0.1, ncols=2)


def _draw_ends(ax: Axes, runs: list) -> None:
    shapes = ("o", "s", "^")
    for shape, arm in zip(shapes, dict.fromkeys(run["arm"] for run in runs), strict=True):
        x, y = (
            np.concatenate([run[key][-1] for run in runs if run["arm"] == arm]) for key in _BOTH
        )
        style = {**SIMULATED, "marker": shape, "markersize": 4}
        ax.plot(x, y, color={"o": VERMILION, "s": BLUE, "^": BLACK}[shape], label=arm, **style)
    ax.axline((0, 0), slope=1, color=GREY, linewidth=0.9, zorder=1)
    ax.set(xlabel="predicted change of log p (nat)", ylabel="measured change of log p (nat)")
    ax.legend(loc="lower right", handletextpad=0.1)


def _draw_next(ax: Axes, predicted: dict[str, Any], measured: dict[str, Any]) -> None:
    for case, seen in zip(predicted["cases"], measured["cases"], strict=True):
        p = np.exp(case["next"]["log_probs"])
        change = 1000 * np.array(seen["next"]["change"])
        lowered = np.array(case["next"]["tokens"]) == case["next"]["first"]
        first = case is predicted["cases"][0]
        ax.plot(
            p[~lowered],
            change[~lowered],
            color=BLUE,
            label="measured" if first else "_",
            **SIMULATED,
        )
        ax.plot(
            p[lowered],
            change[lowered],
            color=VERMILION,
            label="the answer's first, measured" if first else "_",
            **SIMULATED,
        )
        foretold = 1000 * np.array(case["next"]["change"])
        ax.plot(p, foretold, "_", color=BLACK, label="predicted" if first else "_", zorder=4)
    ax.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    ax.set(xscale="log", xlabel="probability before", ylabel="change of log p (10⁻³ nat)")
    beside_title = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": 3}
    ax.legend(**beside_title, handletextpad=0.3, columnspacing=1)
