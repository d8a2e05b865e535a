"""Figure: what becomes of the cycle far from onset: locked, quasi-periodic, chaotic."""

from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from prefdyn import MRSIPO, games, lyapunov, mode_locking, zero_one
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

TITLE = "Beyond onset: locked, quasi-periodic and chaotic rounds"
CAPTION = """
MRS-IPO on rock-paper-scissors, lam = 1, uniform reference and offline sampler; only alpha and
beta_c/beta matter, which is 1 where the fixed point loses its stability and grows with the drive
(beta is the pull to the reference; the paper's beta is 1/beta). Left column, alpha = 0.5. (a) Turns
per round, by weighted averages of the winding phase: simulated (dots), predicted at onset,
arccos(alpha)/2 pi with its slope (line); bars are intervals on which runs return exactly and the
number sticks to the rational beside them. (b) Lyapunov exponents with their standard errors;
predicted next to onset, 0 and -2 (1 - alpha^2)(beta_c/beta - 1), and their least possible mean, ln
alpha (lines). (c) The 0-1 test, median over 60 frequencies: 0 regular, 1 chaotic, made without
Jacobians; it is slow to see the weak chaos in which a run still visits a few bands in turn. Shaded:
chaos by both, the exponent positive by three errors and the test above 0.8. (d) Where the rotation
number is locked to 1/p (coloured, p as written; grey: to another rational), quasi-periodic (white),
or where there is none (black: the turns of single rounds are out of order, as under chaos); the
line is alpha of the other panels.
"""
CLAIMS = ("MRS-7", "MRS-8", "MRS-15", "RUN-1", "RUN-2", "RUN-3")

ALPHA = 0.5
DRIVE = np.linspace(1.02, 10, 170)
TONGUE_DRIVE, TONGUE_ALPHA = np.linspace(1.02, 10, 72), np.linspace(0, 0.95, 46)
SHOWN = (3, 4, 5, 6, 7, 8, 9)
"""Denominators of the tongues that are coloured."""
LABELLED = 0.2
"""Intervals of the drive at least this wide are labelled."""


def threshold(alpha: Any) -> Any:
    """Critical beta of rock-paper-scissors with win rates 1 and 0 at lam = 1 (MRS-5)."""
    return 0.5 / np.sqrt(3 * (1 - np.asarray(alpha) ** 2))


def rule(drive: Any, alpha: Any = ALPHA) -> MRSIPO:
    """MRS-IPO at a multiple of the critical 1/beta."""
    return MRSIPO(games.rock_paper_scissors(0.5), threshold(alpha) / drive, alpha, 1.0)


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """The staircase with exponents and the 0-1 test at one alpha, and the map of tongues."""
    betas = threshold(ALPHA) / DRIVE[::-1]
    stairs = mode_locking(rule(1.0), "beta", betas, settle=3000, refine=8)
    exponents = lyapunov(rule(DRIVE), rounds=2000, settle=3000)
    test = zero_one(rule(DRIVE), rounds=2000, settle=3000, frequencies=60, seed=seed)
    plateaus = [p for p in stairs.plateaus if p.period > 1]
    turns, periods = tongues()
    return {
        "drive": DRIVE,
        "rotation": stairs.rotation[::-1],
        "locked": stairs.locked[::-1],
        "plateaus": np.array([[p.turns, p.period] for p in plateaus]),
        "plateau_ends": threshold(ALPHA) / np.array([[p.high, p.low] for p in plateaus]),
        "exponents": exponents.exponents,
        "exponent_errors": exponents.errors,
        "zero_one": np.asarray(test.value),
        "zero_one_spread": np.asarray(test.spread),
        "tongue_turns": turns,
        "tongue_periods": periods,
    }


def tongues() -> tuple[np.ndarray, np.ndarray]:
    """Numerators and denominators (alpha, drive) of locked runs; -1 where no number exists."""
    shape = (len(TONGUE_ALPHA), len(TONGUE_DRIVE))
    turns, periods = np.zeros(shape, dtype=int), np.zeros(shape, dtype=int)
    for row, alpha in enumerate(TONGUE_ALPHA):
        found = mode_locking(
            rule(1.0, alpha),
            "beta",
            threshold(alpha) / TONGUE_DRIVE[::-1],
            rounds=320,
            settle=3000,
            largest_period=60,
            refine=0,
        )
        turns[row], periods[row] = found.turns[::-1], found.periods[::-1]
        none = np.isnan(found.rotation[::-1]) & (found.returns[::-1] == 0)
        periods[row, none] = -1
    return turns, periods


def chaotic(data: dict[str, np.ndarray]) -> np.ndarray:
    """Where the exponent is positive by three errors and the 0-1 test says so, too (n,)."""
    first, error = data["exponents"][:, 0], data["exponent_errors"][:, 0]
    return (first > 3 * error) & (data["zero_one"] > 0.8)


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Shares of the drive, the strongest chaos, and how well both tests agree."""
    strange, first = chaotic(data), data["exponents"][:, 0]
    shares = f"locked on {np.mean(data['locked']):.0%}, chaotic on {np.mean(strange):.0%}"
    clear = (data["zero_one"] < 0.2) | (data["zero_one"] > 0.8)
    sign = np.abs(first) > 3 * data["exponent_errors"][:, 0]
    both = clear & sign
    agree = np.mean((data["zero_one"] > 0.5)[both] == (first > 0)[both])
    wide = np.argsort(np.ptp(data["plateau_ends"], axis=1))[::-1][:3]
    rationals = ", ".join(
        f"{turns}/{period} for beta_c/beta from {low:.3f} to {high:.3f}"
        for (turns, period), (low, high) in zip(
            data["plateaus"][wide], data["plateau_ends"][wide], strict=True
        )
    )
    return [
        f"alpha = {ALPHA}: of the drives shown, {shares}.",
        f"Largest exponent {np.nanmax(first):.2f} nats per round, at beta_c/beta = "
        f"{data['drive'][np.nanargmax(first)]:.1f}.",
        f"Widest locked intervals: {rationals}.",
        f"Where both are clear, the 0-1 test and the sign of the exponent agree on {agree:.1%}.",
    ]


def draw(data: dict[str, np.ndarray]) -> Figure:
    """Staircase, exponents and 0-1 test in one column, tongues in the other."""
    drawing = figure(6.6)
    grid = drawing.add_gridspec(3, 2, width_ratios=(1.15, 1), height_ratios=(1.2, 1.1, 0.7))
    top = drawing.add_subplot(grid[0, 0])
    middle = drawing.add_subplot(grid[1, 0], sharex=top)
    bottom = drawing.add_subplot(grid[2, 0], sharex=top)
    _draw_stairs(top, data)
    _draw_exponents(middle, data)
    _draw_test(bottom, data)
    _draw_tongues(drawing.add_subplot(grid[:, 1]), data)
    bottom.set_xlabel("drive, $β_c$/β")
    for ax in (top, middle):
        ax.tick_params(labelbottom=False)
    return drawing


def _draw_stairs(ax: Any, data: dict[str, np.ndarray]) -> None:
    free = ~data["locked"]
    style = {**SIMULATED, "markersize": 2.5, "markeredgewidth": 0}
    ax.plot(data["drive"][free], data["rotation"][free], color=BLUE, label="simulated", **style)
    near = np.array([1.0, 1.9])
    angle, w = np.arccos(ALPHA), np.sqrt(1 - ALPHA**2)
    slope = ALPHA * w / 3 - w**2 / 3 / np.tan(1.5 * angle)
    line = (angle + (near - 1) * slope) / (2 * np.pi)
    ax.plot(near, line, color=BLACK, label="predicted at onset", **PREDICTED)
    ends = zip(data["plateaus"], data["plateau_ends"], strict=True)
    for (turns, period), (low, high) in ends:
        ax.plot([low, high], [turns / period] * 2, color=VERMILION, linewidth=3, zorder=4)
        if high - low > LABELLED:
            ax.annotate(
                f"{turns}/{period}",
                ((low + high) / 2, turns / period),
                xytext=(0, -11),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=VERMILION,
            )
    ax.plot([], [], color=VERMILION, linewidth=3, label="locked")
    ax.set(ylabel="turns per round", ylim=(0.155, 0.262))
    ax.legend(loc="upper left")
    panel(ax, "a", f"rotation number, α = {ALPHA:g}")


def _draw_exponents(ax: Any, data: dict[str, np.ndarray]) -> None:
    for k, (colour, label) in enumerate(((BLUE, "largest"), (GREEN, "second"))):
        value, error = data["exponents"][:, k], data["exponent_errors"][:, k]
        ax.plot(data["drive"], value, color=colour, linewidth=1, label=label)
        ax.fill_between(data["drive"], value - error, value + error, color=colour, alpha=0.3)
    near = np.array([1, 1.35])
    ax.plot(near, -2 * (1 - ALPHA**2) * (near - 1), color=BLACK, **PREDICTED)
    ax.axhline(0, color=BLACK, linewidth=0.8)
    ax.axhline(np.log(ALPHA), color=GREY, linestyle="dashed", linewidth=1)
    ax.annotate(
        "ln α",
        (1, np.log(ALPHA)),
        xycoords=("axes fraction", "data"),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=GREY,
    )
    for low, high in stretches(data["drive"], chaotic(data)):
        ax.axvspan(low, high, color=VERMILION, alpha=0.12, linewidth=0)
    ax.set(ylabel="exponent (nats/round)")
    ax.legend(loc="lower left")
    panel(ax, "b", "Lyapunov exponents (shaded: chaos by b and c)")


def stretches(drive: np.ndarray, chosen: np.ndarray) -> list[tuple[float, float]]:
    """Intervals of the drive around successive chosen values, half a step wider on both sides."""
    step = (drive[1] - drive[0]) / 2
    edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen.astype(int), [0]])))
    return [(drive[a] - step, drive[b - 1] + step) for a, b in pairwise(edges)][::2]


def _draw_test(ax: Any, data: dict[str, np.ndarray]) -> None:
    style = {**SIMULATED, "markersize": 2.5, "markeredgewidth": 0}
    ax.plot(data["drive"], data["zero_one"], color=BLUE, **style)
    for low, high in stretches(data["drive"], chaotic(data)):
        ax.axvspan(low, high, color=VERMILION, alpha=0.12, linewidth=0)
    ax.set(ylabel="0–1 test, K", ylim=(-0.1, 1.1), yticks=(0, 1))
    panel(ax, "c", "0–1 test")


def _draw_tongues(ax: Any, data: dict[str, np.ndarray]) -> None:
    turns, periods = data["tongue_turns"], data["tongue_periods"]
    shade = np.zeros(periods.shape)  # 0: quasi-periodic, 1: none, 2: another rational, then 1/p
    shade[periods < 0] = 1
    shade[periods > 1] = 2
    for k, p in enumerate(SHOWN):
        shade[(turns == 1) & (periods == p)] = 3 + k
    colours = ["white", "#303030", "#C9C9C9", *_palette()]
    ax.pcolormesh(
        TONGUE_DRIVE,
        TONGUE_ALPHA,
        shade,
        cmap=ListedColormap(colours),
        vmin=-0.5,
        vmax=len(colours) - 0.5,
        rasterized=True,
    )
    for k, p in enumerate(SHOWN):
        rows, columns = np.nonzero(shade == 3 + k)
        if len(rows) < 12:
            continue
        # The label goes where the tongue is: the member nearest to its middle.
        middle = np.argmin(
            ((rows - rows.mean()) / len(TONGUE_ALPHA)) ** 2
            + ((columns - columns.mean()) / len(TONGUE_DRIVE)) ** 2
        )
        place = TONGUE_DRIVE[columns[middle]], TONGUE_ALPHA[rows[middle]]
        ax.text(*place, f"1/{p}", ha="center", va="center", fontsize=8, fontweight="bold")
    ax.axhline(ALPHA, color=BLACK, linewidth=0.8, linestyle="dotted")
    ax.set(xlabel="drive, $β_c$/β", ylabel="α", xlim=(1, 10), ylim=(0, 0.95))
    panel(ax, "d", "Arnold tongues")


def _palette() -> list[str]:
    return ["#56B4E9", "#009E73", "#E69F00", "#CC79A7", "#F0E442", "#0072B2", "#D55E00"]
