"""Figure: what cures do to the stable region, and to one orbit."""

from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from prefdyn import (
    MRSIPO,
    AdaptiveBeta,
    Averaged,
    Extragradient,
    Inexact,
    Optimistic,
    Rule,
    cures,
    ensemble,
    games,
    orbit,
    stability,
)
from prefdyn.plots.house import BLACK, BLUE, CALM, GREEN, GREY, ORANGE, VERMILION, figure, panel

TITLE = "Cures: which rounds settle where plain ones cycle"
CAPTION = """
MRS-IPO on rock-paper-scissors with win rates 1/2 +- 0.4, lam = 1, uniform reference. a-d: predicted
stable region in the plane of alpha and the turning lam s/beta (s = 0.4/sqrt 3) of plain rounds
(grey line) and of cured ones (coloured line), from the closed forms of their multipliers; points
are simulated, two on either side of the line at each alpha: filled where a perturbation of 0.001
has shrunk over 400 rounds, open where it has grown. Above the line unstable. Optimism harms below
alpha = 0.828 and averaging of rate 1/2 above 0.536. e: distance of the policy from the fixed point
against the number of optima computed, from (0.9, 0.07, 0.03), beta = 0.1, alpha = 0.5, where plain
rounds cycle for ever; every cure keeps the fixed point. beta is the pull to the reference; the
paper's beta is 1/beta.
"""
CLAIMS = ("CURE-1", "CURE-2", "CURE-3", "CURE-4", "CURE-5", "CURE-6", "RND-2")

STRENGTH = 0.4
S = STRENGTH / np.sqrt(3)
SHOWN = np.linspace(0.06, 0.96, 10)
SIDES = np.array([0.8, 0.95, 1.05, 1.25])
KICK, ROUNDS = 1e-3, 400
START = (0.9, 0.07, 0.03)
BETA, ALPHA, OPTIMA = 0.1, 0.5, 200
NAMES = ("half rounds", "optimism", "extragradient", "average, rate 1/2")
COLOURS = (BLUE, VERMILION, GREEN, ORANGE)


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Boundaries by formula, growth of perturbations and orbits by simulation."""
    alpha = np.linspace(0, 0.995, 200)
    data: dict[str, Any] = {
        "alpha": alpha,
        "shown": SHOWN,
        "sides": SIDES,
        "names": np.array(NAMES),
    }
    data["boundaries"] = np.stack([boundary(name, alpha) for name in NAMES])
    data["plain"] = np.sqrt(1 - alpha**2)
    turning = SIDES[:, None] * np.stack([boundary(name, SHOWN) for name in NAMES])[:, None]
    data["turning"] = turning
    data["grows"] = np.stack([grows(name, y) for name, y in zip(NAMES, turning, strict=True)])
    return data | _orbits()


def boundary(name: str, alpha: np.ndarray) -> np.ndarray:
    """Largest stable turning ``lam s/beta``."""
    if name == "half rounds":
        return np.sqrt((1 - alpha) * (3 + alpha))
    if name == "optimism":
        b = 6 - 8 * alpha + alpha**2
        return np.sqrt((np.sqrt(b**2 + 12 * (1 - alpha**2)) - b) / 6)
    if name == "extragradient":
        b = 2 * alpha - alpha**2
        return np.sqrt((b + np.sqrt(b**2 + 4 * (1 - alpha**2))) / 2)
    return np.sqrt(3 * (1 - alpha**2)) * (1 - alpha / 2) / (1 + alpha / 2)


def cured(name: str, rule: MRSIPO) -> Rule:
    """The shipped rule."""
    if name == "half rounds":
        return Inexact(rule, 0.5)
    if name == "optimism":
        return Optimistic(rule)
    return Extragradient(rule) if name == "extragradient" else Averaged(rule, rate=0.5)


def grows(name: str, turning: np.ndarray) -> np.ndarray:
    """Whether a small perturbation is larger in the last fifth of the rounds than at the start."""
    rule = MRSIPO(games.rock_paper_scissors(STRENGTH), S / turning, SHOWN, 1.0)
    start = np.array([1 + KICK, 1 - KICK, 1.0]) / 3
    run = ensemble(
        cured(name, rule), start, ROUNDS, burn_in=0.8, reducers=("mean_policy", "cycle_strength")
    )
    last = ((run["mean_policy"] - 1 / 3) ** 2).mean(-1) + run["cycle_strength"]
    return last > ((start - 1 / 3) ** 2).mean()


def _orbits() -> dict[str, Any]:
    """Distance from the fixed point after every optimum of plain and cured rounds."""
    rule = MRSIPO(games.rock_paper_scissors(STRENGTH), BETA, ALPHA, 1.0)
    best = {cure.name: cure for cure in cures(rule, far_starts=4)}
    runs: dict[str, tuple[Rule, int, Any]] = {
        "plain rounds": (rule, 1, stability(rule).spectral_radius)
    }
    for name, cure in best.items():
        if not name.startswith("proved"):
            runs[name] = (cure.rule, cure.evaluations, cure.spectral_radius)
    distances, costs = [], []
    for one, cost, _ in runs.values():
        run = orbit(one, START, rounds=OPTIMA, tolerance=0)
        distances.append(np.abs(run.policies - 1 / 3).max(-1))
        costs.append(cost)
    return {
        "orbit_names": np.array(list(runs)),
        "orbit_costs": np.array(costs),
        "orbit_radii": np.array([radius for _, _, radius in runs.values()]),
        "distances": np.array(distances),
        "adaptive_fraction": _last_fraction(rule),
    }


def _last_fraction(rule: MRSIPO) -> np.ndarray:
    adaptive = AdaptiveBeta(rule)
    state = orbit(adaptive, START, rounds=OPTIMA, tolerance=0).state
    return np.asarray(adaptive.fraction(np.asarray(state)))


def draw(data: dict[str, np.ndarray]) -> Any:
    """A panel per cure, and orbits."""
    drawing = figure(5.6)
    grid = drawing.add_gridspec(2, 4, height_ratios=(1, 1.1))
    first = None
    for k, (name, colour) in enumerate(zip(data["names"], COLOURS, strict=True)):
        ax = drawing.add_subplot(grid[0, k], sharey=first)
        first = first or ax
        ax.fill_between(data["alpha"], 0, data["boundaries"][k], color=CALM, zorder=0)
        ax.plot(data["alpha"], data["plain"], color=GREY, linestyle="--", linewidth=1.2)
        ax.plot(data["alpha"], data["boundaries"][k], color=colour, linewidth=1.6)
        x = np.broadcast_to(data["shown"], data["turning"][k].shape)
        for growing, face in ((False, colour), (True, "white")):
            chosen = data["grows"][k] == growing
            ax.plot(
                x[chosen],
                data["turning"][k][chosen],
                linestyle="none",
                marker="o",
                markersize=3.4,
                markeredgecolor=colour,
                markerfacecolor=face,
                markeredgewidth=0.7,
            )
        ax.tick_params(labelleft=k == 0)
        ax.set(xlim=(0, 1), xticks=(0, 0.5, 1), ylim=(0, 2.2), xlabel="α")
        if k == 0:
            ax.set_ylabel("turning  λs/β")
        panel(ax, "abcd"[k], str(name))
    _draw_orbits(drawing.add_subplot(grid[1, :]), data)
    handles = [
        Line2D([], [], color=GREY, linestyle="--", label="plain rounds: boundary"),
        Line2D([], [], color=BLACK, label="cured rounds: boundary"),
        Line2D([], [], color=BLACK, linestyle="none", marker="o", markersize=4, label="shrinks"),
        Line2D(
            [],
            [],
            color=BLACK,
            linestyle="none",
            marker="o",
            markersize=4,
            markerfacecolor="white",
            label="grows",
        ),
    ]
    drawing.legend(handles=handles, loc="outside upper center", ncols=4)
    return drawing


def _draw_orbits(ax: Any, data: dict[str, np.ndarray]) -> None:
    colours = {
        "plain rounds": BLACK,
        "smaller rounds": BLUE,
        "small optimistic rounds": VERMILION,
        "small extragradient rounds": GREEN,
        "rounds against a running average of the policies": ORANGE,
        "rounds of adaptive beta": GREY,
    }
    rows = zip(
        data["orbit_names"],
        data["orbit_costs"],
        data["orbit_radii"],
        data["distances"],
        strict=True,
    )
    for name, cost, radius, distance in rows:
        optima = np.arange(len(distance)) * cost
        label = f"{name}: {radius:.3f}" + (" (of two optima)" if cost == 2 else "")
        style = "--" if name == "rounds of adaptive beta" else "-"
        ax.plot(optima, np.maximum(distance, 1e-14), style, color=colours[str(name)], label=label)
    ax.set(
        yscale="log",
        xlim=(0, 1.6 * OPTIMA),
        ylim=(1e-12, 2),
        xlabel="optima computed",
        ylabel="distance from the fixed point",
    )
    ax.legend(loc="lower right", bbox_to_anchor=(1, 0.12), title="spectral radius per round")
    panel(ax, "e", "one recipe, plain and cured")


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Agreement of points and lines; optima each cure needs."""
    expected = np.broadcast_to(data["sides"][:, None] > 1, data["grows"].shape)
    agree = int(np.sum(expected == data["grows"]))
    needed = []
    for name, cost, distance in zip(
        data["orbit_names"], data["orbit_costs"], data["distances"], strict=True
    ):
        home = np.flatnonzero(distance < 1e-6)
        needed.append(f"{name} {home[0] * cost}" if len(home) else f"{name} not within {OPTIMA}")
    return [
        f"{agree} of {expected.size} simulated perturbations grow or shrink as predicted.",
        f"Optima computed until the policy is 1e-6 from the fixed point: {', '.join(needed)}.",
        "The adaptive rule ends at a fraction of "
        f"{float(data['adaptive_fraction']):.4f}; the best fixed one is "
        f"{(1 - ALPHA) / ((1 - ALPHA) ** 2 + (S / BETA) ** 2):.4f}.",
    ]
