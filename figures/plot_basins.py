"""Figure: two attractors in one game: their basins, and how long the way there is."""

from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure

from prefdyn import MRSDPO, Basins, basins, games
from prefdyn.plots import project, simplex_axes
from prefdyn.plots.house import (
    BLACK,
    BLUE,
    CALM,
    GREY,
    MOVING,
    SEQUENTIAL,
    SIMULATED,
    VERMILION,
    figure,
    panel,
)

TITLE = "A stable fixed point beside a cycle: basins and times"
CAPTION = """
MRS-DPO on rock-paper-scissors with win rates 1/2 +- 0.47, alpha = 0, lam = 1, uniform reference
(beta is the pull to the reference), simulated. (a) Where starts on a triangular grid end at 1.005
times the critical beta, 4 a/sqrt 3: on the fixed point (light, dot), which linear analysis rightly
calls stable, or on the large cycle (blue, line). (b) Rounds until a start stays within 0.01 of its
attractor: few to the cycle, many to the fixed point, which draws in by beta_c/beta per round only,
and most of all along the border. (c) Share of the simplex that returns to the fixed point against
beta/beta_c, with binomial errors; shaded: two attractors, as predicted by NS-4, from beta_c to the
fold of the cycle at 1.014 beta_c.
"""
CLAIMS = ("NS-4", "DPO-8", "RUN-4")

STRENGTH = 0.47
FOLD = 1.014
"""Where the large cycle ends (NS-4)."""
RATIOS = np.array([1.002, 1.008, 1.012, 1.018])
SHOWN = 1.005
COARSE, FINE = 14, 36
"""Cells along an edge of the grids: over beta, and of the one on show."""


def critical() -> float:
    """Critical beta of MRS-DPO on rock-paper-scissors at alpha = 0, lam = 1 (DPO-8)."""
    return 4 * STRENGTH / np.sqrt(3)


def found(ratio: float, resolution: int) -> Basins:
    """Basins at a multiple of the critical beta."""
    rule = MRSDPO(games.rock_paper_scissors(STRENGTH), ratio * critical(), 0.0, 1.0)
    return basins(rule, resolution, rounds=8192)


def returning(result: Basins) -> tuple[float, float]:
    """Share of the starts that end on a fixed point, and its error."""
    for attractor, share, error in zip(
        result.attractors, result.fractions, result.fraction_errors, strict=True
    ):
        if attractor.kind == "fixed point":
            return float(share), float(error)
    return 0.0, 1 / len(result.starts)


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """One fine grid, and the share that returns along beta; no randomness."""
    shown = found(SHOWN, FINE)
    point = np.array([attractor.kind == "fixed point" for attractor in shown.attractors])
    cycle = shown.attractors[int(np.flatnonzero(~point)[0])]
    ratios = np.sort(np.append(RATIOS, SHOWN))
    shares = [
        returning(shown if ratio == SHOWN else found(ratio, COARSE)) for ratio in ratios.tolist()
    ]
    return {
        "starts": shown.starts,
        "returns": np.append(point, False)[shown.labels],
        "rounds": shown.rounds,
        "undecided": np.array(shown.undecided),
        "cycle": cycle.policies,
        "cycle_exponent": np.array([cycle.exponent, cycle.exponent_error]),
        "ratios": ratios,
        "shares": np.array(shares),
    }


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Shares and times."""
    home, rounds = data["returns"], data["rounds"]
    at = np.flatnonzero(data["ratios"] == SHOWN)[0]
    share, error = data["shares"][at]
    exponent, spread = data["cycle_exponent"]
    return [
        f"At {SHOWN} beta_c {share:.1%} +- {error:.1%} of the simplex returns to the stable fixed "
        f"point; {float(data['undecided']):.1%} of the {len(home)} starts are undecided.",
        f"Median rounds to within 0.01: {np.nanmedian(rounds[~home]):.0f} to the cycle, "
        f"{np.nanmedian(rounds[home]):.0f} to the fixed point; longest {np.nanmax(rounds):.0f}.",
        f"Largest Lyapunov exponent on the cycle {exponent:.4f} +- {spread:.4f} per round.",
    ]


def draw(data: dict[str, np.ndarray]) -> Figure:
    """Basins, times, and the share along beta."""
    drawing = figure(2.8)
    axes = drawing.subplots(1, 3, width_ratios=(1, 1.2, 1.05))
    _draw_basins(axes[0], data)
    _draw_times(drawing, axes[1], data)
    _draw_shares(axes[2], data)
    return drawing


def _triangle(ax: Any, data: dict[str, np.ndarray], values: np.ndarray, **style: Any) -> Any:
    simplex_axes(3, ax=ax)
    ax.set(xlim=(-1.05, 1.05), ylim=(-0.62, 1.3))  # room for the title above the corner's label
    x, y = project(data["starts"]).T
    return ax.scatter(x, y, c=values, s=11, marker="h", linewidths=0, **style)


def _draw_basins(ax: Any, data: dict[str, np.ndarray]) -> None:
    colours = ListedColormap([MOVING, CALM])
    _triangle(ax, data, data["returns"].astype(int), cmap=colours, vmin=0, vmax=1)
    x, y = project(data["cycle"]).T
    ax.plot(x, y, ".", color=BLUE, markersize=1.5, zorder=4)
    ax.plot(0, 0, "o", color=BLACK, markersize=4, zorder=5)
    panel(ax, "a", f"basins at {SHOWN:g} $β_c$")


def _draw_times(drawing: Figure, ax: Any, data: dict[str, np.ndarray]) -> None:
    rounds = np.maximum(data["rounds"], 1)
    dots = _triangle(ax, data, rounds, cmap=SEQUENTIAL, norm=LogNorm(1, np.nanmax(rounds)))
    drawing.colorbar(dots, ax=ax, label="rounds", shrink=0.75, pad=0.02)
    panel(ax, "b", "rounds to arrive")


def _draw_shares(ax: Any, data: dict[str, np.ndarray]) -> None:
    share, error = data["shares"].T
    ax.axvspan(1, FOLD, color=MOVING, alpha=0.5, linewidth=0, label="bistable (NS-4)")
    ax.errorbar(data["ratios"], share, error, fmt="none", ecolor=GREY, elinewidth=1, zorder=2)
    ax.plot(data["ratios"], share, color=VERMILION, label="simulated", **SIMULATED)
    ax.set(xlabel="β / $β_c$", ylabel="share that returns", ylim=(0, 1.05), xlim=(0.999, 1.02))
    ax.set_xticks([1, 1.01, 1.02])
    ax.legend(loc="upper left")
    panel(ax, "c", "fixed point's basin")
