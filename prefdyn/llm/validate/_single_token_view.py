"""Verdicts and figure of the single-token experiment."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.stats import spearmanr

from prefdyn.llm.validate._record import Record, bounded, not_run, told
from prefdyn.plots.house import BLUE, GREY, PALETTE, SIMULATED, figure, panel

NAME = "single_token"
SEEN = 0.05
"""Nats from which on a movement counts as one."""


def records(predicted: dict[str, Any], measured: dict[str, Any]) -> list[Record]:
    """Signs, sizes and gainers; how many pairs displace; then every pair drawn."""
    runs = list(_runs(predicted, measured))
    found = [
        _signs(runs, "the preferred token's movement", "chosen"),
        _signs(runs, "the rejected token's movement", "rejected"),
        _fit(runs),
        _all_signs(runs),
        _head_alone(predicted, measured),
    ]
    for arm in dict.fromkeys(run["arm"] for run in runs):
        own = [run for run in runs if run["arm"] == arm]
        found.append(
            told(
                NAME,
                f"{arm}: pairs whose preferred token falls while the loss falls, of {len(own)}",
                sum(_displaces(run) for run in own),
                sum(_chosen(run["predicted"], run) < 0 for run in own),
            )
        )
    found += [_gainers(runs), _alignment(runs), *_published(runs)]
    if not predicted["words"]:
        why = "The tokenizer has no single tokens for Yes, No, Never and Sure."
        found.append(not_run(NAME, "No over Never", f"{why} The model's own tokens were used."))
    alike = [[run for run in runs if run["pair"] is one["pair"]] for one in runs]
    return found + [_listed(*own) for one, own in zip(runs, alike, strict=True) if one is own[0]]


def _runs(predicted: dict[str, Any], measured: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every training run: its pair, and predicted and measured changes of the watched tokens."""
    for case, seen in zip(predicted["cases"], measured["cases"], strict=True):
        for pair, results in zip(case["pairs"], seen, strict=True):
            for arm, run in pair["runs"].items():
                result = results["runs"][arm]
                yield {
                    "arm": arm,
                    "case": case,
                    "pair": pair,
                    "predicted": np.array(run["change"]),
                    "measured": np.array(result["change"]),
                    "result": result,
                }


def _chosen(change: np.ndarray, run: dict[str, Any]) -> float:
    return float(change[run["pair"]["chosen"]])


def _displaces(run: dict[str, Any]) -> bool:
    before, after = run["result"]["loss"]
    return after < before and _chosen(run["measured"], run) < 0


def _name(run: dict[str, Any]) -> str:
    texts, pair = run["case"]["texts"], run["pair"]
    return f"“{texts[pair['chosen']]}” over “{texts[pair['rejected']]}”"


def _signs(runs: list, what: str, side: str) -> Record:
    """Whether one side of every pair moves the way that was predicted."""
    before, after = (np.array([run[key][run["pair"][side]] for run in runs]) for key in _BOTH)
    counts = np.abs(after) > SEEN
    quantity = f"share of signs right, {what} (above {SEEN} nat)"
    if not counts.any():
        return not_run(NAME, quantity, f"Nothing moved by {SEEN} nat.")
    right = ((before > 0) == (after > 0)) & counts
    wrong = [
        f"{_name(runs[i])} ({runs[i]['arm']}: {before[i]:+.2f}, measured {after[i]:+.2f})"
        for i in np.flatnonzero(counts & ~right)
    ]
    note = f"{right.sum()} of {counts.sum()} right, of {len(runs)} runs in all"
    note += f"; wrong: {', '.join(wrong)}" * bool(wrong)
    share = float(right.sum() / counts.sum())
    return bounded(NAME, quantity, share, least=0.97, predicted=1.0, note=f"{note}.")


_BOTH = ("predicted", "measured")


def _all_signs(runs: list) -> Record:
    before, after = (np.concatenate([run[key] for run in runs]) for key in _BOTH)
    counts = np.abs(after) > SEEN
    right = ((before > 0) == (after > 0))[counts]
    return told(
        NAME,
        f"share of signs right, all watched tokens (above {SEEN} nat)",
        float(right.mean()) if len(right) else None,
        1.0,
        f"{right.sum()} of {len(right)} right.",
    )


def _fit(runs: list) -> Record:
    """R² over the watched tokens, median over the runs."""
    scores = []
    for run in runs:
        error = ((run["measured"] - run["predicted"]) ** 2).sum()
        scores.append(1 - error / ((run["measured"] - run["measured"].mean()) ** 2).sum())
    worst = int(np.argmin(scores))
    return told(
        NAME,
        "R² of the watched tokens' changes, about one nat at most, median over the runs",
        float(np.median(scores)),
        1.0,
        f"Worst: {scores[worst]:.3f}, {_name(runs[worst])} ({runs[worst]['arm']}).",
    )


def _head_alone(predicted: dict[str, Any], measured: dict[str, Any]) -> Record:
    """With the hidden state fixed a single pair never displaces, and how fast it rises."""
    rises = [results["head_alone"] for case in measured["cases"] for results in case]
    expected = [
        pair["one_layer"]["chosen_rises_by"]
        for case in predicted["cases"]
        for pair in case["pairs"]
    ]
    ratios = np.array(rises) / expected
    return bounded(
        NAME,
        "head trained alone: rise of the preferred token over its prediction, furthest from 1 "
        "(DISP-4)",
        float(ratios[np.abs(ratios - 1).argmax()]),
        least=0.95,
        most=1.05,
        predicted=1.0,
        note=f"From {ratios.min():.3f} to {ratios.max():.3f}; {len(rises)} pairs.",
    )


def _published(runs: list) -> list[Record]:
    """Named pairs beside the published tables, in which the preferred token always falls."""
    named = [run for run in runs if run["pair"]["why"] == "named" and run["arm"] in PUBLISHED]
    found = []
    for name, arm in dict.fromkeys((_name(run), run["arm"]) for run in named):
        own = [run for run in named if (_name(run), run["arm"]) == (name, arm)]
        found.append(
            told(
                NAME,
                f"{name}, {arm}: prompts after which the preferred token falls, of {len(own)}",
                sum(_displaces(run) for run in own),
                sum(_chosen(run["predicted"], run) < 0 for run in own),
                "In the published tables it falls on every model listed, of one to eight billion "
                "parameters (arXiv 2410.08847).",
            )
        )
    return found


PUBLISHED = ("DPO", "IPO")


def _gainers(runs: list) -> Record:
    shared = []
    for run in runs:
        start = np.exp(run["case"]["log_probs"])
        best = np.argsort(-start * np.expm1(run["predicted"]))[:3]
        tokens = [run["case"]["tokens"][i] for i in best]
        shared.append(len(set(tokens) & set(run["result"]["gainers"])) / 3)
    return told(
        NAME,
        "share of the three tokens that gain most probability which the prediction names",
        float(np.mean(shared)),
        1.0,
        "Predicted among the watched tokens, measured among the whole vocabulary.",
    )


def _alignment(runs: list) -> Record:
    """Rank correlation of the others' changes with their unembeddings' alignment (DISP-3)."""
    found = []
    for run in runs:
        others = np.setdiff1d(
            np.arange(len(run["measured"])), [run["pair"]["chosen"], run["pair"]["rejected"]]
        )
        aligned = np.array(run["pair"]["one_layer"]["alignment"])[others]
        ranks: Any = spearmanr(aligned, run["measured"][others])
        found.append(float(ranks.statistic))
    return told(
        NAME,
        "rank correlation of other tokens' changes with their alignment, median (DISP-3)",
        float(np.median(found)),
        1.0,
        "1 in a model of one layer whose hidden states are free; here only a tendency.",
    )


def _listed(run: dict[str, Any], *others: dict[str, Any]) -> Record:
    """A drawn pair: what was predicted of its preferred token, and what it did; other objectives.

    Parameters
    ----------
    run
        The pair under the first objective.
    *others
        The same pair under the others.
    """
    start = np.exp(run["case"]["log_probs"][run["pair"]["chosen"]])
    change = _chosen(run["measured"], run)
    fell = "displaced" if _displaces(run) else "not displaced"
    rest = "; ".join(
        f"{other['arm']} {_chosen(other['measured'], other):+.3f} "
        f"({_chosen(other['predicted'], other):+.3f})"
        for other in others
    )
    return told(
        NAME,
        f"{run['arm']}, {run['case']['prompt']!r}, {_name(run)}: change of the preferred (nat)",
        change,
        _chosen(run["predicted"], run),
        f"{run['pair']['why']}; {fell}; probability {start:.3f} to {start * np.exp(change):.3f}; "
        f"gains: {_gained(run)}. The others, in brackets predicted: {rest}.",
    )


def _gained(run: dict[str, Any]) -> str:
    """Up to three tokens that gained most, if they gained 0.0005 at least."""
    result = run["result"]
    pairs = zip(result["gainer_texts"], result["gains"], strict=True)
    return ", ".join(f"{text} {gain:+.3f}" for text, gain in pairs if gain > 5e-4) or "none"


def draw(predicted: dict[str, Any], measured: dict[str, Any]) -> Figure:
    """Predicted against measured, displaced pairs per objective, and the pair that falls most."""
    runs = list(_runs(predicted, measured))
    drawing = figure(5.6)
    top, bottom = drawing.subfigures(2, 1, squeeze=False, height_ratios=(1.2, 1))[:, 0]
    left, right = top.subplots(1, 2, width_ratios=(1, 1.1))
    _draw_changes(left, runs)
    panel(left, "a", "preferred token")
    _draw_counts(right, runs)
    panel(right, "b", "pairs that displace")
    ax = bottom.subplots()
    dpo = [run for run in runs if run["arm"] == runs[0]["arm"]]
    fallen = min(dpo, key=lambda run: _chosen(run["measured"], run))
    _draw_tokens(ax, fallen)
    prompt = fallen["case"]["prompt"].replace("\n", " / ")
    panel(ax, "c", f"{_name(fallen)} after “{prompt}” ({fallen['arm']})".replace("$", r"\$"))
    return drawing


def _draw_changes(ax: Axes, runs: list) -> None:
    points = []
    for colour, arm in zip(PALETTE, dict.fromkeys(run["arm"] for run in runs), strict=False):
        own = [run for run in runs if run["arm"] == arm]
        x, y = ([_chosen(run[key], run) for run in own] for key in _BOTH)
        ax.plot(x, y, color=colour, label=arm, **SIMULATED)
        points += x + y
    ends = [min(points), max(points)]
    ax.axline((0, 0), slope=1, color=GREY, linewidth=0.9, zorder=1)
    ax.axhline(0, color=GREY, linewidth=0.5, linestyle=":", zorder=0)
    ax.axvline(0, color=GREY, linewidth=0.5, linestyle=":", zorder=0)
    room = 0.06 * (ends[1] - ends[0])
    ax.set(
        xlim=(ends[0] - room, ends[1] + room),
        ylim=(ends[0] - room, ends[1] + room),
        xlabel="predicted change of log p (nat)",
        ylabel="measured change of log p (nat)",
    )
    ax.legend(loc="upper left", handletextpad=0.1, borderaxespad=0.1)


def _draw_counts(ax: Axes, runs: list) -> None:
    arms = list(dict.fromkeys(run["arm"] for run in runs))
    groups = [[run for run in runs if run["arm"] == arm] for arm in arms]
    foretold = [sum(_chosen(run["predicted"], run) < 0 for run in own) for own in groups]
    seen = [sum(_displaces(run) for run in own) for own in groups]
    at = np.arange(len(arms))
    ax.bar(at, foretold, width=0.7, color="#C9C9C9", label="predicted")
    ax.plot(at, seen, color=BLUE, label="measured", **SIMULATED)
    names = [arm.replace(", ", ",\n").replace("head frozen", "head\nfrozen") for arm in arms]
    ax.set_xticks(at, [f"{name}\nof {len(own)}" for name, own in zip(names, groups, strict=True)])
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(ylim=(0, max([*foretold, *seen, 4]) * 1.25), ylabel="pairs")
    ax.legend()


def _draw_tokens(ax: Axes, run: dict[str, Any]) -> None:
    start = np.exp(run["case"]["log_probs"])
    foretold, seen = (start * np.expm1(run[key]) for key in _BOTH)
    ends = [run["pair"]["chosen"], run["pair"]["rejected"]]
    most = [int(i) for i in np.argsort(-np.abs(seen)) if i not in ends][:10]
    order = ends + sorted(most, key=lambda i: -seen[i])
    at = np.arange(len(order))
    ax.bar(at, foretold[order], width=0.7, color="#C9C9C9", label="predicted")
    ax.plot(at, seen[order], color=BLUE, label="measured", **SIMULATED)
    ax.axhline(0, color=GREY, linewidth=0.6)
    names = [run["case"]["texts"][i].replace("$", r"\$") for i in order]
    names[:2] = [f"{names[0]}\nchosen", f"{names[1]}\nrejected"]
    ax.set_xticks(at, names)
    ax.set_ylabel("change of p")
    ax.legend()
