"""A training log over its steps, with what was found in it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from prefdyn._errors import InputError
from prefdyn.plots._axes import FAINT, INK, SOFT, colour
from prefdyn.plots.house import GREY, figure

if TYPE_CHECKING:
    from prefdyn.runlog import Finding, RunLog

Curve = tuple[str, np.ndarray, np.ndarray]
"""Label, steps, values."""

_UPPER = (
    ("log-probability (nats)", ("chosen", "rejected", "greedy")),
    ("log-probability per token (nats)", ("chosen_per_token", "rejected_per_token")),
    ("reward", ("reward_chosen", "reward_rejected")),
)
_LOWER = (
    ("reward margin", "reward_margin"),
    ("entropy (nats per token)", "entropy"),
    ("mass inside", "mass_inside"),
    ("share of pairs won", "accuracy"),
    ("loss", "loss"),
)
_SEVERITY: dict[str, dict[str, Any]] = {
    "alarm": {"color": INK, "linestyle": "-"},
    "warning": {"color": SOFT, "linestyle": "--"},
}
"""How the line of a finding is drawn, worst first; nothing needs to be done about the others."""
LABELLED = 6
"""Curves of a panel that are drawn; the labels of more would not fit."""
DOTS = 100
"""With more readings than this, dots would merge and only the line is drawn."""
_APART = 0.075
"""Least distance between two labels, as a share of the axes' height."""


def run_log(run: Any, ax: Axes | None = None, below: Axes | None = None) -> Axes:
    """Draw a training log: what becomes likelier and what less, and the margin under it.

    Above are the log-probabilities of chosen, rejected and greedy responses (rewards, or the policy
    of each round, where a log has no more), labelled at their ends, with a dotted line at the level
    from which the chosen ones started.  Below is the reward margin, or the nearest to it that the
    log has.  Findings of a diagnosis stand where they begin.  Nothing is smoothed.

    Parameters
    ----------
    run
        A `prefdyn.RunLog` or a `prefdyn.Diagnosis`.
    ax
        Axes of the upper panel; by default both panels are on a new figure.
    below
        Axes of the lower panel; not drawn where only `ax` is given.

    Returns
    -------
    matplotlib.axes.Axes
        The upper panel.

    Raises
    ------
    InputError
        If the log has neither log-probabilities nor rewards nor rounds nor a loss.
    """
    log, findings = getattr(run, "log", run), getattr(run, "findings", ())
    title, curves = _upper(log)
    lower = _lower(log, title)
    if ax is None:
        ax, below = _panels(lower is not None)
    for k, curve in enumerate(curves):
        _draw(ax, curve, colour(k))
    _label(ax, curves)
    if curves[0][0].startswith("chosen"):
        ax.axhline(curves[0][2][0], color=FAINT, linestyle=":", linewidth=1, zorder=1)
    ax.set(ylabel=title)
    bottom = ax
    if below is not None and lower is not None:
        _draw(below, (lower[0], *lower[1:]), GREY)
        below.set(ylabel=lower[0])
        bottom = below
    bottom.set(xlabel="round" if _by_rounds(log) else "step")
    _mark(ax, below if lower is not None else None, findings)
    return ax


def _panels(two: bool) -> tuple[Axes, Axes | None]:
    """One panel on a new figure, or two above each other."""
    from matplotlib import pyplot

    drawn = pyplot.figure(figsize=figure(4.4).get_size_inches(), layout="constrained")
    if not two:
        return drawn.add_subplot(), None
    upper, lower = drawn.subplots(2, sharex=True, height_ratios=(2.2, 1))
    return upper, lower


def _by_rounds(log: "RunLog") -> bool:
    return log.rounds is not None and not any(map(log.get, ("chosen", "rejected")))


def _upper(log: "RunLog") -> tuple[str, list[Curve]]:
    """The title and curves of the first kind that the log has."""
    for title, names in _UPPER:
        found = [(name, one) for name in names if (one := log.get(name)) is not None]
        if found:
            words = [name.removeprefix("reward_").partition("_")[0] for name, _ in found]
            curves = [
                (word, one.steps, one.values) for word, (_, one) in zip(words, found, strict=True)
            ]
            return title, curves
    if log.rounds is not None:
        times = np.arange(len(log.rounds))
        columns = zip(log.round_names, log.rounds.T, strict=True)
        return "log-policy", [(name, times, values) for name, values in columns][:LABELLED]
    loss = log.get("loss")
    if loss is None:
        raise InputError("the log has nothing that is drawn: no log-probability, reward or loss.")
    return "loss", [("loss", loss.steps, loss.values)]


def _lower(log: "RunLog", upper: str) -> Curve | None:
    """The margin, or the nearest to it."""
    margin = log.get("reward_margin")
    chosen, rejected = log.get("chosen"), log.get("rejected")
    if margin is None and chosen is not None and rejected is not None:
        steps, a, b = np.intersect1d(chosen.steps, rejected.steps, return_indices=True)
        if len(steps):
            return "margin (nats)", steps, chosen.values[a] - rejected.values[b]
    for title, name in _LOWER:
        one = log.get(name)
        if one is not None and title != upper:
            return title, one.steps, one.values
    return None


def _draw(ax: Axes, curve: Curve, shade: str) -> None:
    _, steps, values = curve
    marker = "." if len(steps) <= DOTS else ""
    ax.plot(steps, values, color=shade, linewidth=0.9, marker=marker, markersize=4)


def _label(ax: Axes, curves: Sequence[Curve]) -> None:
    """Names at the right ends of the curves, moved apart where they would touch."""
    low, high = ax.get_ylim()
    wanted = np.array([(values[-1] - low) / (high - low) for _, _, values in curves])
    order = np.argsort(wanted)
    places = np.clip(wanted[order], 0, 1)
    for _ in range(50):
        gaps = np.diff(places)
        close = gaps < _APART
        if not close.any():
            break
        push = np.where(close, (_APART - gaps) / 2 + 1e-6, 0)
        places[:-1] -= push
        places[1:] += push
    for k, place in zip(order, places, strict=True):
        ax.annotate(
            curves[k][0],
            (1, place),
            xycoords="axes fraction",
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=colour(int(k)),
            fontsize="small",
        )


def _mark(ax: Axes, below: Axes | None, findings: Sequence["Finding"]) -> None:
    """A line through both panels where each finding begins, named above them."""
    begun: dict[int, list[Finding]] = {}
    for finding in findings:
        if finding.since is not None and finding.severity in _SEVERITY:
            begun.setdefault(finding.since, []).append(finding)
    left, right = ax.get_xlim()
    for k, (since, found) in enumerate(sorted(begun.items())):
        worst = min((one.severity for one in found), key=list(_SEVERITY).index)
        for panel in (ax, below):
            if panel is not None:
                panel.axvline(since, linewidth=0.9, zorder=1, **_SEVERITY[worst])
        words = dict.fromkeys(one.kind.replace("_", " ") for one in found)
        ax.annotate(
            f"{', '.join(words)} from {since}",
            (since, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3 + 10 * k),
            textcoords="offset points",
            ha="left" if since < (left + right) / 2 else "right",
            color=_SEVERITY[worst]["color"],
            fontsize="small",
            annotation_clip=False,
        )
