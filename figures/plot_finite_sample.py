"""Averaging over runs hides a cycle."""

import numpy as np
from matplotlib.figure import Figure

from prefdyn import MRSIPO, FiniteSample, cycle_strength, orbit, stability
from prefdyn.games import rock_paper_scissors
from prefdyn.plots.house import BLACK, BLUE, PALETTE, VERMILION, figure, panel

TITLE = "Averaging over runs hides a cycle"
CAPTION = """
Rock-paper-scissors with win rates 1/2 +- 0.3, MRS-IPO with alpha = 0.8, lam = 1, beta = 0.2 (the
pull to the reference), 40 runs from the same start; every round estimates the game from a number of
votes per pair. a: ten runs (thin) and the mean over all 40 (thick), simulated. b: cycle strength
over rounds 200 to 600, simulated, of each run and then averaged (dots) and of the averaged run
(crosses). Predicted: an unstable fixed point, so that every run cycles (line: the same run without
noise), and phases that noise has spread, so that averaging 40 runs divides the variance by 40
(dashed). With very many votes the phases have not spread yet, and the mean still shows the cycle.
"""
CLAIMS = ("MRS-4", "MRS-5", "MRS-17")

STRENGTH = 0.3
RECIPE = {"alpha": 0.8, "beta": 0.2, "lam": 1.0}
VOTES = np.array([5, 10, 20, 50, 100, 200, 500, 1000])
SHOWN = 20
RUNS = 40
ROUNDS = 600
FIRST = 200


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Policies of the shown runs, and both orders of averaging for every number of votes."""
    rule = MRSIPO(rock_paper_scissors(STRENGTH), **RECIPE)
    start = np.tile([0.5, 0.3, 0.2], (RUNS, 1))
    per_run, of_mean = [], []
    shown = np.empty(0)
    for k, votes in enumerate(VOTES):
        run = orbit(FiniteSample(rule, int(votes)), start, ROUNDS, seed=seed + k)
        settled = run.policies[FIRST:]
        per_run.append(cycle_strength(settled, burn_in=0).mean())
        of_mean.append(cycle_strength(settled.mean(axis=1), burn_in=0))
        if votes == SHOWN:
            shown = run.policies[..., 0]
    exact = orbit(rule, start[0], ROUNDS).policies[FIRST:]
    return {
        "votes": VOTES,
        "without_noise": np.array(cycle_strength(exact, burn_in=0)),
        "per_run": np.array(per_run),
        "of_mean": np.array(of_mean),
        "first_response": shown,
        "spectral_radius": np.array(stability(rule).spectral_radius),
    }


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """By how much the mean curve understates the cycle."""
    k = int(np.flatnonzero(data["votes"] == SHOWN)[0])
    runs, mean = data["per_run"][k], data["of_mean"][k]
    return [
        f"With {SHOWN} votes the runs' cycle strength is {runs:.3f} on average, that of their mean "
        f"{mean:.4f}, {runs / mean:.0f} times less. "
        f"The predicted spectral radius is {data['spectral_radius']:.2f}."
    ]


def draw(data: dict[str, np.ndarray]) -> Figure:
    """Runs and their mean; cycle strength the right and the wrong way round."""
    drawing = figure(2.9)
    axes = drawing.subplots(1, 2, width_ratios=(1.7, 1))
    curves = data["first_response"]
    rounds = np.arange(len(curves))
    for k, curve in enumerate(curves[:, :10].T):
        axes[0].plot(rounds, curve, color=PALETTE[k % 6], linewidth=0.7, alpha=0.8)
    axes[0].plot(rounds, curves.mean(axis=1), color=BLACK, linewidth=2.6, label="mean of 40 runs")
    axes[0].set(xlabel="round", ylabel="probability of the first response", ylim=(0, 1.1))
    axes[0].set_xlim(0, 150)
    axes[0].legend(loc="upper right")
    panel(axes[0], "a", f"{SHOWN} votes per pair and round")
    axes[1].loglog(data["votes"], data["per_run"], "o", color=BLUE, label="per run, averaged")
    axes[1].axhline(data["without_noise"], color=BLUE, zorder=1)
    axes[1].plot(data["votes"], data["of_mean"], "X", color=VERMILION, label="of the averaged run")
    axes[1].plot(
        data["votes"], data["per_run"] / RUNS, color=VERMILION, linestyle="dashed", zorder=1
    )
    axes[1].set(xlabel="votes per pair and round", ylabel="cycle strength", ylim=(1e-4, 2))
    axes[1].legend(loc="upper right")
    panel(axes[1], "b")
    return drawing
