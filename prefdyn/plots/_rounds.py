"""What happens over the rounds: the policy itself, and its entropy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from prefdyn._errors import InputError
from prefdyn._simulate import Orbit
from prefdyn.plots._axes import FAINT, SOFT, axes, colour
from prefdyn.policies.softmax import entropy as entropy_of

LABELLED = 10
"""With more responses than this, a legend would squash the axes and is left out."""
DOTS = 300
"""With more saved rounds than this, dots would merge and only the line is drawn."""


def orbit(
    run: Orbit,
    ax: Axes | None = None,
    *,
    names: Sequence[str] | None = None,
    legend: bool = True,
    **line: Any,
) -> Axes:
    """Draw the probability of each response in every saved round.

    Nothing is smoothed or averaged, and every saved round is a vertex: a cycle of period two is a
    zigzag.

    Parameters
    ----------
    run
        An `Orbit` of a single policy.
    ax
        Axes to draw on; by default a new figure.
    names
        One name per response; numbers by default.
    legend
        Whether to say above the axes which line is which response (up to ten responses).
    **line
        Changes to the lines' style.

    Raises
    ------
    InputError
        For a batch of orbits, or a wrong number of names.
    """
    K = run.policies.shape[-1]
    if run.policies.ndim != 2:
        raise InputError(
            f"an orbit plot shows one run, not a batch of {run.policies.shape[1:-1]}: "
            "give one of them."
        )
    if names is not None and len(names) != K:
        raise InputError(f"{len(names)} names for {K} responses: give one each.")
    ax = axes(ax)
    for k, share in enumerate(run.policies.T):
        label = f"response {k}" if names is None else names[k]
        ax.plot(run.rounds, share, **_style(run, k, line), label=label)
    ax.set(xlabel="round", ylabel="probability", ylim=(-0.03, 1.03))
    if legend and K <= LABELLED:
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=min(K, 5), frameon=False)
    return ax


def entropy(run: Orbit, ax: Axes | None = None, **line: Any) -> Axes:
    """Draw the entropy of the policy in every saved round, one line per run of a batch.

    Parameters
    ----------
    run
        An `Orbit`, batched or not.
    ax
        Axes to draw on; by default a new figure.
    **line
        Changes to the lines' style.
    """
    ax = axes(ax)
    K = run.policies.shape[-1]
    values = np.asarray(entropy_of(run.log_policies)).reshape(len(run.rounds), -1)
    for k, value in enumerate(values.T):
        ax.plot(run.rounds, value, **_style(run, k, line))
    ax.axhline(np.log(K), color=FAINT, linewidth=1, zorder=1)
    ax.annotate(
        f"uniform, ln {K}",
        (1, np.log(K)),
        xycoords=("axes fraction", "data"),
        xytext=(-2, -3),
        textcoords="offset points",
        ha="right",
        va="top",
        color=SOFT,
        fontsize="small",
    )
    ax.set(xlabel="round", ylabel="entropy (nats)", ylim=(-0.03 * np.log(K), 1.06 * np.log(K)))
    return ax


def _style(run: Orbit, index: int, line: dict[str, Any]) -> dict[str, Any]:
    marker = "." if len(run.rounds) <= DOTS else ""
    return {"color": colour(index), "linewidth": 0.9, "marker": marker, "markersize": 4, **line}
