"""Two responses: one round as a curve, and a run as the staircase between it and the diagonal."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from prefdyn._errors import InputError
from prefdyn._simulate import orbit
from prefdyn.plots._axes import FAINT, INK, axes, colour
from prefdyn.plots._flow import displacement
from prefdyn.rules import Rule

POINTS = 1001
"""Policies at which the curve is computed, evenly spaced in probability."""


def cobweb(
    rule: Rule,
    start: Any = None,
    rounds: int = 50,
    ax: Axes | None = None,
    *,
    response: int = 0,
    names: Sequence[str] | None = None,
    **line: Any,
) -> Axes:
    """Draw a round of a rule over two responses as a curve, and a run as steps along it.

    Where the curve crosses the diagonal is a fixed point; it is stable where the slope there lies
    between -1 and 1.

    Parameters
    ----------
    rule
        A single `Rule` over two responses, whose state is one number: one with memory is no curve.
        One with random rounds is replaced by its ``skeleton``.
    start
        Probabilities (2,) that the run starts from; by default the rule's own start.
    rounds
        Rounds to draw, each a vertical step to the curve and a horizontal one to the diagonal.
    ax
        Axes to draw on; by default a new figure.
    response
        The response whose probability is drawn.
    names
        One name per response.
    **line
        Changes to the style of the steps.

    Raises
    ------
    InputError
        For more than two responses, a batch, a rule with memory, or a wrong response or names.
    """
    rule = rule.skeleton
    _check(rule, response, names)
    ax = axes(ax)
    share = np.linspace(0, 1, POINTS + 2)[1:-1]
    policies = np.stack([share, 1 - share], axis=-1)[:, :: 1 if response == 0 else -1]
    following = (policies + displacement(rule, policies))[:, response]
    ax.plot([0, 1], [0, 1], color=FAINT, linewidth=1, zorder=1)
    ax.plot(share, following, color=INK, linewidth=1.4, zorder=2)
    visited = orbit(rule, start, rounds, tolerance=0, progress=False).policies[:, response]
    style = {"color": colour(0), "linewidth": 0.8, "zorder": 3, **line}
    ax.plot(np.repeat(visited, 2)[:-1], np.repeat(visited, 2)[1:], **style)
    ax.plot(*visited[[0, 0]], **{**style, "marker": "s", "markersize": 6, "zorder": 4})
    name = f"response {response}" if names is None else names[response]
    ax.set(
        xlabel=f"probability of {name}",
        ylabel="… one round later",
        xlim=(0, 1),
        ylim=(0, 1),
        aspect="equal",
    )
    return ax


def _check(rule: Rule, response: int, names: Sequence[str] | None) -> None:
    if rule.K != 2:
        raise InputError(f"a cobweb shows two responses, not {rule.K}: draw a portrait instead.")
    if rule.batch_shape:
        raise InputError(
            f"a cobweb shows one rule, not a batch of {rule.batch_shape}: give one of them."
        )
    numbers = rule.neutral.shape[0] - rule.neutral.shape[1]
    if numbers != 1:
        raise InputError(
            f"a cobweb needs a rule whose next policy follows from this one, but the state of this "
            f"one holds {numbers} numbers: draw its orbit over rounds instead."
        )
    if response not in (0, 1):
        raise InputError(f"there is no response {response}: choose 0 or 1.")
    if names is not None and len(names) != 2:
        raise InputError(f"{len(names)} names for 2 responses: give one each.")
