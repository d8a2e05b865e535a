"""Figure: from which log-probabilities an objective can lower the chosen response."""

from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from figures._objectives import FAMILIES, family, ordered, pushes_at
from prefdyn.plots.house import BLACK, CALM, GREY, figure
from prefdyn.policies import Tabular

TITLE = "Which objectives can lower the chosen response, and from where"
CAPTION = """
The plane of both log-probabilities, as changes a (chosen) and b (rejected) from the reference; the
cross is policy = reference, and responses, lengths and parameters are those of the figure before.
Arrows: the direction (d_w, -d_l) in which the pushes ask both to move. Colours: what the pushes can
do to the chosen response of a lone pair in a table of logits. Pale: it cannot fall, whatever the
table. Blue: d_l > 2 d_w, so that it falls beside a dominant third response (ENT-3). Green:
d_l < 0 <= d_w, the rejected response is pulled up and takes from a dominant chosen one. Orange:
d_w < 0, it is pushed down itself. White: no push. Objectives per token owe their blue to the
lengths alone: d_l/d_w = n_w/n_l = 2.5 here, and a chosen response of at most twice the rejected
one's length would make them pale. Predicted from the pushes alone; simulated:
the colours of all panels are held to the sign of the first-order change in random tables of three
to six responses, whose result stands below. beta is the pull to the reference.
"""
CLAIMS = ("ENT-3", "ENT-4")

BETA = 0.1
REACH = 15.0
"""Largest change of a log-probability shown, in nats."""
WORDS = ("no push", "cannot fall", "falls beside a third", "rejected pulled up", "pushed down")
COLOURS = ("#FFFFFF", CALM, "#9CC5E6", "#A6D9C5", "#F2B48C")
TABLES = 20_000


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Regions by the pushes; whether chosen falls in random tables, from their Gram matrices."""
    line = np.linspace(-REACH, REACH, 121 if full else 61)
    a, b = np.meshgrid(line, line, indexing="ij")
    ids = ordered()
    pushes = np.array([pushes_at(id, a, b, BETA) for id in ids])
    regions = np.array([region(*pair) for pair in pushes])
    levels, falls = falls_in_tables(pushes, regions, np.random.default_rng(seed))
    return {
        "ids": np.array(ids),
        "line": line,
        "pushes": pushes.astype(np.float32),
        "regions": regions.astype(np.int8),
        "levels": levels,
        "falls": falls,
    }


def region(d_w: np.ndarray, d_l: np.ndarray) -> np.ndarray:
    """Index into `WORDS`, by the pushes alone.

    In a table ``d log pi_w = d_w (1 - 2 pi_w + S) + d_l (pi_w + pi_l - S)`` with ``S = sum pi^2``.
    """
    pushed_down, pulled_up = d_w < 0, (d_l < 0) & (d_w >= 0)
    entangled = d_l > 2 * d_w
    idle = (d_w == 0) & (d_l == 0)
    return np.select([idle, pushed_down, pulled_up, entangled], [0, 4, 3, 2], 1)


def falls_in_tables(
    pushes: np.ndarray, regions: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Regions met, and in which share of their pushes some random table lowers the chosen response.

    Tables run from flat to one with a dominant response, which is the chosen one or a third.
    """
    K_ww, K_wl = random_grams(rng)
    levels = np.unique(regions)
    shares = []
    for level in levels:
        where = np.argwhere(regions == level)
        where = where[rng.choice(len(where), min(400, len(where)), replace=False)]
        d_w, d_l = (pushes[where[:, 0], side, where[:, 1], where[:, 2]] for side in (0, 1))
        size = np.maximum(np.abs(d_w), np.abs(d_l)) + (level == 0)
        # Relative to the larger push: the sign of what is left of a cancellation is rounding.
        change = np.outer(d_w / size, K_ww) - np.outer(d_l / size, K_wl)
        shares.append((change < -1e-12).any(axis=1).mean())
    return levels, np.array(shares)


def random_grams(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """``K_ww`` and ``K_wl`` of random tables, chosen first and rejected second."""
    grams = []
    for K in range(3, 7):
        logits = rng.normal(size=(TABLES // 8, K)) * rng.exponential(3.0, (TABLES // 8, 1))
        for dominant in (0, 2):
            lifted = logits.copy()
            lifted[:, dominant] += rng.exponential(4.0, TABLES // 8)
            grams.append(np.asarray(Tabular(np.zeros(K)).gram(lifted))[:, 0, :2])
    return tuple(np.concatenate(grams).T)  # pyright: ignore[reportReturnType]


def draw(data: dict[str, np.ndarray]) -> Any:
    """One panel for each objective, family by family, and one for the legend."""
    drawing = figure(9.9)
    axes = drawing.subplots(7, 6, sharex=True, sharey=True).ravel()
    few = np.linspace(0, len(data["line"]) - 1, 9).astype(int)[1:-1]
    at = data["line"][few]
    for ax, id, pushes, regions in zip(
        axes, data["ids"], data["pushes"], data["regions"], strict=False
    ):
        colours = {"cmap": ListedColormap(COLOURS), "vmin": 0, "vmax": len(COLOURS) - 1}
        extent = (-REACH, REACH, -REACH, REACH)
        ax.imshow(regions.T, origin="lower", extent=extent, aspect="auto", **colours)
        d_w, d_l = (part[np.ix_(few, few)] for part in pushes)
        size = np.hypot(d_w, d_l)
        size = np.where(size > 0, size, np.inf)
        arrows = {"color": BLACK, "width": 0.012, "headwidth": 4.5, "scale": 12, "pivot": "mid"}
        ax.quiver(at, at, (d_w / size).T, (-d_l / size).T, **arrows)
        ax.plot(0, 0, marker="+", color=BLACK, markersize=7)
        ax.set(xticks=[-10, 0, 10], yticks=[-10, 0, 10])
        ax.set_title(str(id), fontsize=8, pad=10.5)
        small = {"fontsize": 6, "color": GREY, "va": "bottom", "transform": ax.transAxes}
        ax.text(0, 1.02, FAMILIES[family(str(id))], **small)
    for above, ax in zip(axes[len(data["ids"]) - 6 :], axes[len(data["ids"]) :], strict=False):
        above.tick_params(labelbottom=True)  # nothing below it carries the numbers
        ax.set_axis_off()
        patches = [
            Patch(facecolor=colour, edgecolor=GREY, linewidth=0.5, label=word)
            for colour, word in zip(COLOURS, WORDS, strict=True)
        ]
        ax.legend(handles=patches, loc="center", fontsize=6, handlelength=1.2, borderpad=0)
    drawing.supxlabel("chosen: a = log π − log ref (nats)", fontsize=9)
    drawing.supylabel("rejected: b = log π − log ref (nats)", fontsize=9)
    return drawing


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Which objectives can lower the chosen response, and how the colours fared."""
    ids, regions = data["ids"], data["regions"]
    middle = len(data["line"]) // 2
    start = regions[:, middle : middle + 1, middle]

    def names(which: Any) -> str:
        return ", ".join(ids[which]) or "none"

    shares = {
        WORDS[level]: f"{share:.0%}"
        for level, share in zip(data["levels"], data["falls"], strict=True)
    }
    return [
        f"Never here, in no table: {names((regions <= 1).all((1, 2)))}.",
        f"Can fall from policy = reference: {names((start >= 2).any(1))}.",
        f"Pushed down somewhere: {names((regions == 4).any((1, 2)))}.",
        f"Can fall beside a third response somewhere: {names((regions == 2).any((1, 2)))}.",
        "Share of the pushes of each colour for which a random table was found in which the chosen "
        f"response falls: {', '.join(f'{word} {share}' for word, share in shares.items())}.",
    ]
