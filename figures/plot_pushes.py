"""Figure: how hard each objective pushes the chosen response up and the rejected one down."""

from typing import Any

import numpy as np

from figures._objectives import FAMILIES, family, ordered, pushes_at
from prefdyn import objectives
from prefdyn.plots.house import BLUE, GREY, PREDICTED, VERMILION, figure

TITLE = "The pushes of all objectives"
CAPTION = """
Pushes d_w = -dL/d log pi_w on the chosen response (blue: up where positive) and d_l = dL/d log pi_l
on the rejected one (orange, dashed: down where positive), by autodiff of the one loss that is also
trained, along a path on which both move apart: the log-ratios to the reference are a = h/2 and
b = -h/2, so that policy is reference at h = 0. Each panel has its own scale: the number at the
upper left is the largest push shown. Chosen 25 tokens, rejected 10, of -2 nats each under the
reference and spread evenly; those that sort see a batch of one; win rates 0.9 and 0.1. beta = 0.1
(the pull to the reference; targets of IPO and the calibrated ones are 1/(2 beta)), except that
objectives per token keep their published values; kto at z0 = 2 nats, bco at delta = 0, bpo at
alpha = 0.6 (none is published), alpha_dpo at a standard deviation of 1. Below zero: a blue curve
pushes the chosen response down, an orange one the rejected one up. All curves are predicted;
simulated steps stand in the phase picture.
"""
CLAIMS = ("ENT-4",)

BETA = 0.1
REACH = 30.0
"""Largest margin shown, in nats."""


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Pushes of every objective along the path; no randomness."""
    h = np.linspace(-REACH, REACH, 601 if full else 241)
    ids = ordered()
    pushes = np.array([pushes_at(id, h / 2, -h / 2, BETA) for id in ids])
    return {"ids": np.array(ids), "h": h, "pushes": pushes}


def draw(data: dict[str, np.ndarray]) -> Any:
    """One panel for each objective, family by family, and one for the legend."""
    drawing = figure(9.6)
    axes = drawing.subplots(7, 6, sharex=True).ravel()
    for ax, id, (d_w, d_l) in zip(axes, data["ids"], data["pushes"], strict=False):
        scale = float(np.abs([d_w, d_l]).max())
        ax.axhline(0, color=GREY, linewidth=0.6)
        ax.axvline(0, color=GREY, linewidth=0.4)
        ax.plot(data["h"], d_w / scale, color=BLUE, **PREDICTED)
        ax.plot(data["h"], d_l / scale, color=VERMILION, linestyle=(0, (3, 1.5)), **PREDICTED)
        ax.set(ylim=(-1.15, 1.45), yticks=[], xticks=[-20, 0, 20])
        ax.spines["left"].set_visible(False)
        ax.set_title(str(id), fontsize=8, pad=10.5)
        ax.text(0, 1.02, FAMILIES[family(str(id))], **_small(ax))
        ax.text(0.02, 0.98, _number(scale), **{**_small(ax), "va": "top", "color": "black"})
    for above, ax in zip(axes[len(data["ids"]) - 6 :], axes[len(data["ids"]) :], strict=False):
        above.tick_params(labelbottom=True)  # nothing below it carries the numbers
        ax.set_axis_off()
        ax.plot([], [], color=BLUE, label="$d_w$, chosen up", **PREDICTED)
        ax.plot([], [], color=VERMILION, linestyle=(0, (3, 1.5)), label="$d_l$, rejected down")
        ax.legend(loc="center", fontsize=7, handlelength=1.6, borderpad=0)
    drawing.supxlabel("log-ratio margin h = a − b (nats)", fontsize=9)
    drawing.supylabel("push, relative to the largest of the panel", fontsize=9)
    return drawing


def _number(x: float) -> str:
    """Two digits, without an exponent up to a thousand."""
    return f"{x:.2g}" if x < 100 else f"{x:.0f}" if x < 1000 else f"{x:.0e}".replace("e+0", "e")


def _small(ax: Any) -> dict[str, Any]:
    return {"transform": ax.transAxes, "fontsize": 6, "color": GREY, "va": "bottom"}


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Which objectives push back, start by lowering the chosen response, or leave alone."""
    ids, (d_w, d_l) = data["ids"], data["pushes"].transpose(1, 0, 2)
    at_start = d_w[:, len(data["h"]) // 2]

    def names(which: np.ndarray) -> str:
        return ", ".join(ids[which]) or "none"

    return [
        f"{len(ids)} of {len(objectives.names())} objectives of the registry are shown.",
        f"Pushed down at policy = reference, the chosen response, by: {names(at_start < 0)}.",
        f"Somewhere on the path it is pushed down by: {names(d_w.min(-1) < 0)}.",
        f"Somewhere the rejected response is pushed up by: {names(d_l.min(-1) < 0)}.",
        f"Equal pushes all along: {names((d_w == d_l).all(-1))}.",
    ]
