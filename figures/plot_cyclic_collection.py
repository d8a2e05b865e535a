"""The paper's experiment on cyclic preferences: who keeps turning, and where."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import _collections as experiment
from prefdyn.plots.house import SEQUENTIAL, VERMILION, figure

TITLE = "The experiment, cyclic preferences"
CAPTION = """
Synthetic stand-in for scored responses (four per prompt, one random attribute per pair; not
HelpSteer): 118 preference matrices that contain a strict three-cycle, 3,000 rounds from a mildly
ranked start, uniform reference and offline sampler, first third discarded.
Simulated (colours and numbers): mean cycle strength, i.e. the time variance of the policy averaged
over responses and then over matrices; the percentage of matrices whose policy keeps moving
(standard deviation above 0.01); entropy of the last policy, on a cycle a snapshot. Predicted
(lines, interpolated between cells): where 10, 50 and 80 % of the fixed points are past the exact
local boundary, from multipliers and without any run. A policy can move beside a locally stable
fixed point too.
beta is the pull to the reference; the axis shows 1/beta, which the paper calls beta.
"""
CLAIMS = ("MRS-4", "MRS-16", "DPO-6", "NS-4", "RND-1")

MATRICES = 118
PROMPTS = 4000
MOVING = 1e-4
"""Cycle strength from which a policy counts as moving: a standard deviation of 0.01.

Just inside the boundary the start is not forgotten in 1,000 rounds; what is left is below this.
"""
SHARES: dict[float, Any] = {0.1: "dotted", 0.5: "solid", 0.8: "dashed"}
"""Predicted shares of unstable matrices that get a line, and its style."""


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Simulated measures and predicted radii of the cyclic matrices; `full` changes nothing."""
    games = experiment.draw_games(seed, PROMPTS).cyclic[:MATRICES]
    predicted = experiment.predict(games)
    return {
        "P": games.P,
        "alpha": experiment.ALPHA,
        "beta": experiment.BETA,
        "lam": experiment.LAM,
        **experiment.simulate(games),
        **{name: values for name, values in predicted.items() if name.endswith("radius")},
    }


def shares(data: dict[str, np.ndarray], rule: str) -> tuple[np.ndarray, np.ndarray]:
    """Simulated share of moving and predicted share of unstable matrices, (beta, alpha, lam)."""
    moving = data[f"{rule}_cycle_strength"] > MOVING
    return moving.mean(axis=0), (data[f"{rule}_radius"] > 1).mean(axis=0)


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """How far simulation and prediction differ, and how."""
    sentences = []
    for rule, label in experiment.LABELS.items():
        moving = data[f"{rule}_cycle_strength"] > MOVING
        unstable = data[f"{rule}_radius"] > 1
        sentences.append(
            f"{label}: of {moving.size} runs, {np.sum(moving & unstable)} move and have an "
            f"unstable fixed point; {np.sum(moving & ~unstable)} move, theirs being stable; "
            f"{np.sum(~moving & unstable)} move by less than 0.01, theirs being unstable."
        )
    return sentences


def draw(data: dict[str, np.ndarray]) -> Figure:
    """Rows are lam, columns are rules: cycle strength on the left, entropy on the right."""
    drawing = figure(5.2)
    axes = drawing.subplots(2, 4, sharex=True, sharey=True)
    steps = experiment.STEPS
    scale = max(data[f"{rule}_cycle_strength"].mean(axis=0).max() for rule in experiment.RULES)
    images = []
    for row, lam in enumerate(data["lam"]):
        for column, (rule, label) in enumerate(experiment.LABELS.items()):
            moving, unstable = shares(data, rule)
            strength = data[f"{rule}_cycle_strength"].mean(axis=0)[..., row]
            entropy = data[f"{rule}_entropy"].mean(axis=0)[..., row]
            for ax, values, top in (
                (axes[row, column], strength, scale),
                (axes[row, column + 2], entropy, np.log(data["P"].shape[-1])),
            ):
                images.append(experiment.heat_map(ax, values, top, SEQUENTIAL))
                ax.contour(
                    steps,
                    steps,
                    unstable[..., row],
                    levels=list(SHARES),
                    linestyles=list(SHARES.values()),
                    colors=VERMILION,
                    linewidths=1.5,
                )
            experiment.number(
                axes[row, column], 100 * moving[..., row], strength < 0.6 * scale, "{:.0f}"
            )
            if row == 0:
                axes[0, column].set_title(label)
                axes[0, column + 2].set_title(label)
        axes[row, 0].set_ylabel(rf"$\lambda$ = {lam:g}" + "\n" + r"1/$\beta$")
        axes[row, 2].set_ylabel(r"1/$\beta$")
        axes[row, 2].tick_params(labelleft=True)
    for ax in axes[-1]:
        ax.set_xlabel(r"$\alpha$")
    for image, columns, label in (
        (images[0], axes[:, :2], "mean cycle strength; numbers: % of policies moving"),
        (images[1], axes[:, 2:], "entropy of the last policy (nats)"),
    ):
        drawing.colorbar(image, ax=columns, location="top", aspect=35, label=label)
    drawing.legend(
        handles=[
            Line2D([], [], color=VERMILION, linestyle=line, label=f"{share:.0%} of the matrices")
            for share, line in SHARES.items()
        ],
        title="Predicted to be past the local boundary:",
        loc="outside lower center",
        ncols=len(SHARES),
    )
    return drawing
