"""Under-trained rounds: the smallest stable beta against the executed fraction of a round."""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from prefdyn import MRSDPO, MRSIPO, Inexact, Rule, orbit
from prefdyn.games import rock_paper_scissors
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
from prefdyn.policies import centre, log_softmax

TITLE = "Under-trained rounds are calmer"
CAPTION = """
Rock-paper-scissors with win rates 1/2 +- 0.3, lam = 1, uniform reference, each round executed to a
fraction kappa only. a: the beta (pull to the reference) below which the fixed point loses its
stability; predicted by formula (lines), simulated by bisection on whether a perturbation of 1e-3
grows or shrinks (dots; MRS-DPO at alpha = 0.5 only). b: rounds per turn at that beta; predicted
2 pi / arccos(1 - kappa (1 - alpha)) (lines), simulated from the rotation of the perturbation
(dots). Fewer steps per round lower the threshold and slow the rotation.
"""
CLAIMS = ("RND-1", "RND-2", "RND-3", "DPO-8")

STRENGTH = 0.3
KAPPA = np.array([0.05, 0.1, 0.2, 0.35, 0.6, 1.0])
ALPHA = np.array([0.0, 0.5, 0.9])
DPO_ALPHA = 0.5
KICK = 1e-3
BISECTIONS = 11
"""Halvings of a bracket of a factor four: the threshold comes out to 0.07 %."""
ROUNDS, WINDOW = 600, 130
"""Growth is seen between the first and the last window, two turns of the slowest rotation."""
COLOURS = (BLUE, GREEN, VERMILION)


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Thresholds and periods at onset for every kappa and alpha."""
    kappa, alpha = KAPPA[:, None], ALPHA
    game = rock_paper_scissors(STRENGTH)

    def ipo(beta):
        return Inexact(MRSIPO(game, beta=beta, alpha=alpha, lam=1.0), kappa)

    def dpo(beta):
        return Inexact(MRSDPO(game, beta=beta, alpha=DPO_ALPHA, lam=1.0), KAPPA)

    # Off-centre brackets, so that no midpoint is the predicted threshold itself.
    found = bisect(ipo, 0.45 * threshold(STRENGTH, kappa, alpha))
    fine = np.geomspace(KAPPA[0], 1, 60)
    return {
        "kappa": KAPPA,
        "alpha": ALPHA,
        "fine": fine,
        "ipo_predicted": threshold(STRENGTH, fine[:, None], alpha),
        "dpo_predicted": threshold(4 * STRENGTH, fine, DPO_ALPHA),
        "period_predicted": onset_period(fine[:, None], alpha),
        "ipo_simulated": found,
        "dpo_simulated": bisect(dpo, 0.45 * threshold(4 * STRENGTH, KAPPA, DPO_ALPHA)),
        "period_simulated": turning(ipo(found)),
    }


def threshold(strength: float, kappa: np.ndarray, alpha: np.ndarray | float) -> np.ndarray:
    """Largest unstable beta at lam = 1; MRS-DPO is MRS-IPO with four times the strength."""
    return strength / np.sqrt(3 * (1 - alpha) * (2 / kappa - 1 + alpha))


def onset_period(kappa: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Rounds per turn at the threshold."""
    return 2 * np.pi / np.arccos(1 - kappa * (1 - alpha))


def bisect(rule_at: Callable[[np.ndarray], Rule], low: np.ndarray) -> np.ndarray:
    """Beta where a small perturbation turns from growing to shrinking, between low and 4 low."""
    high = 4 * low
    for _ in range(BISECTIONS):
        middle = np.sqrt(low * high)
        size = np.linalg.norm(perturbation(rule_at(middle)), axis=-1)
        grows = size[-WINDOW:].mean(axis=0) > size[:WINDOW].mean(axis=0)
        low, high = np.where(grows, middle, low), np.where(grows, high, middle)
    return np.sqrt(low * high)


def turning(rule: Rule) -> np.ndarray:
    """Rounds per turn of a small perturbation, from its unwrapped phase."""
    phase = np.unwrap(np.angle(perturbation(rule) @ np.exp(2j * np.pi * np.arange(3) / 3)), axis=0)
    return 2 * np.pi * (len(phase) - 1) / np.abs(phase[-1] - phase[0])


def perturbation(rule: Rule) -> np.ndarray:
    """Centred logits (rounds, ..., 3) of a run that starts next to the uniform fixed point."""
    start = centre(KICK * np.array([1.0, -1.0, 0.0])) - np.log(3)
    run = orbit(rule, log_start=log_softmax(start), rounds=ROUNDS, tolerance=0)
    return centre(run.log_policies)


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Largest relative difference between simulation and prediction."""
    kappa, alpha = data["kappa"][:, None], data["alpha"]
    pairs = {
        "thresholds of MRS-IPO": (data["ipo_simulated"], threshold(STRENGTH, kappa, alpha)),
        "thresholds of MRS-DPO": (
            data["dpo_simulated"],
            threshold(4 * STRENGTH, data["kappa"], DPO_ALPHA),
        ),
        "periods": (data["period_simulated"], onset_period(kappa, alpha)),
    }
    worst = [f"{what} {np.abs(x / y - 1).max():.2%}" for what, (x, y) in pairs.items()]
    return [f"Simulation and prediction differ by at most: {', '.join(worst)}."]


def draw(data: dict[str, np.ndarray]) -> Figure:
    """Threshold and rotation, a line and dots per alpha."""
    drawing = figure(3.0)
    axes = drawing.subplots(1, 2)
    for k, (alpha, colour) in enumerate(zip(data["alpha"], COLOURS, strict=True)):
        for ax, name in ((axes[0], "ipo"), (axes[1], "period")):
            label = rf"$\alpha$ = {alpha:g}"
            ax.plot(
                data["fine"],
                data[f"{name}_predicted"][:, k],
                color=colour,
                label=label,
                **PREDICTED,
            )
            ax.plot(data["kappa"], data[f"{name}_simulated"][:, k], color=colour, **SIMULATED)
    axes[0].plot(
        data["fine"],
        data["dpo_predicted"],
        color=BLACK,
        linestyle="dashed",
        label=rf"MRS-DPO, $\alpha$ = {DPO_ALPHA:g}",
        **PREDICTED,
    )
    axes[0].plot(data["kappa"], data["dpo_simulated"], color=BLACK, **SIMULATED)
    for ax, letter, label, ticks in (
        (axes[0], "a", r"threshold of $\beta$", (0.03, 0.1, 0.3, 1)),
        (axes[1], "b", "period at the threshold (rounds)", (4, 10, 20, 40)),
    ):
        ax.set(xscale="log", yscale="log", xlabel=r"fraction $\kappa$ of a round", ylabel=label)
        ax.set_xticks((0.05, 0.1, 0.2, 0.5, 1))
        ax.set_yticks(ticks)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_locator(NullLocator())
        ax.grid(color=GREY, alpha=0.2)
        panel(ax, letter)
    axes[0].set_ylim(None, 2.5)
    axes[0].legend(loc="upper left", ncols=2)
    return drawing
