"""Figure: the ratio of learning rates that decides whether a pair displaces."""

from typing import Any

import numpy as np

from prefdyn import DPO, orbit
from prefdyn.plots.house import (
    BLUE,
    GREY,
    PALETTE,
    PREDICTED,
    SIMULATED,
    VERMILION,
    figure,
    panel,
)
from prefdyn.policies import UnconstrainedFeatures
from prefdyn.rules import GradientStep

TITLE = "The ratio of learning rates decides displacement"
CAPTION = """
softmax(W h), one pair, DPO with beta = .1 (the pull to the reference, which is the start); rows W
learn kappa_W, the state h kappa_h times as fast as the step says. (a) Share of 400 random draws in
which the first step lowers the chosen token: predicted, those whose ratio is below the threshold of
DISP-4 (lines), and counted after gradient steps (dots), for four sizes of h. (b) No over Never,
five tokens: probabilities after a training time of 600 (dots, simulated) against the same ratio;
predicted threshold of the first step (line). It is no boundary of end states: above it No rises at
first, and Yes may still win in the end.
"""
CLAIMS = ("DISP-4", "DISP-5")

DRAWS, V, D = 400, 40, 12
SCALES = (1.0, 0.5, 0.3, 0.2)
RATIOS = np.geomspace(1e-3, 3, 15)
SMALL = 1e-6
"""Learning rate of the single step, whose sign is that of the rate."""

ROWS = np.array([[1, 0], [-1, 1], [-1.6, 1], [0.3, 0.2], [-0.9, 0.6]])
STATE = np.array([2.5, 7.0])
YES, NO, NEVER = 0, 1, 2
END_RATIOS = np.geomspace(1e-3, 3e-2, 18)
RATE, TIME = 0.5, 600


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Shares by formula and by counting; end states by simulation, the threshold by formula."""
    rng = np.random.default_rng(seed)
    W, h = rng.normal(size=(DRAWS, V, D)), rng.normal(size=(DRAWS, D))
    W[::2, 1] = W[::2, 0] + 0.4 * rng.normal(size=(DRAWS // 2, D))
    line = np.geomspace(RATIOS[0], RATIOS[-1], 200)
    thresholds = [threshold(W, scale * h) for scale in SCALES]
    policy = UnconstrainedFeatures(ROWS, STATE, kappa_W=END_RATIOS)
    rule = GradientStep(DPO(0.1), policy, [(NO, NEVER)], RATE)
    run = orbit(rule, rounds=int(TIME / RATE), save=int(TIME / RATE), tolerance=0, progress=False)
    return {
        "scales": np.array(SCALES),
        "ratio_line": line,
        "predicted": np.array([(line[:, None] < t).mean(-1) for t in thresholds]),
        "ratio": RATIOS,
        "simulated": np.array([[displaced(W, s * h, r) for r in RATIOS] for s in SCALES]),
        "end_ratio": END_RATIOS,
        "end": run.policies[-1],
        "threshold": threshold(ROWS[None], STATE[None], NO, NEVER),
    }


def threshold(W: np.ndarray, h: np.ndarray, chosen: int = 0, rejected: int = 1) -> np.ndarray:
    """kappa_W/kappa_h below which the chosen token falls, (draws,); negative where it never does.

    ``-<W_+ - Wbar, W_+ - W_-> / ((1 - pi_+ + pi_-) |h|^2)``.
    """
    logits = np.einsum("nvd,nd->nv", W, h)
    pi = np.exp(logits - logits.max(-1, keepdims=True))
    pi /= pi.sum(-1, keepdims=True)
    mean = np.einsum("nv,nvd->nd", pi, W)
    by_h = ((W[:, chosen] - mean) * (W[:, chosen] - W[:, rejected])).sum(-1)
    return -by_h / ((1 - pi[:, chosen] + pi[:, rejected]) * (h**2).sum(-1))


def displaced(W: np.ndarray, h: np.ndarray, ratio: float) -> float:
    """Share of the draws whose chosen token falls in a gradient step."""
    batch = np.hstack([W.reshape(len(W), -1), h])
    policy = UnconstrainedFeatures(W[0], h[0], kappa_W=ratio).at(batch)
    reference = np.full(V, -np.log(V))
    rule = GradientStep(DPO(0.1), policy, [(0, 1)], SMALL, reference=reference)
    after = rule.log_policy(rule.step(batch, 0, None))
    return float((after[:, 0] < policy.log_probs()[:, 0]).mean())


def draw(data: dict[str, np.ndarray]) -> Any:
    """Shares, and end states."""
    drawing = figure(3.1)
    ax_share, ax_end = drawing.subplots(1, 2)
    for k, scale in enumerate(data["scales"]):
        colour = {"color": PALETTE[k]}
        label = f"h = {scale:g} · normal"
        ax_share.plot(data["ratio_line"], data["predicted"][k], **colour, **PREDICTED, label=label)
        ax_share.plot(data["ratio"], data["simulated"][k], **colour, **SIMULATED)
    ax_share.set(xscale="log", xlabel=r"$\kappa_W/\kappa_h$", ylabel="share of draws displaced")
    ax_share.set_ylim(0, None)
    ax_share.legend()
    panel(ax_share, "a", "first step, random draws")

    for token, name, colour in ((YES, "Yes", VERMILION), (NO, "No, the chosen", BLUE)):
        marks = {**SIMULATED, "linestyle": ":", "linewidth": 0.8}
        ax_end.plot(data["end_ratio"], data["end"][:, token], color=colour, label=name, **marks)
    ax_end.axvline(data["threshold"][0], color=GREY, **PREDICTED)
    for way, side, x in (("falls", "right", -6), ("rises", "left", 36)):
        ax_end.annotate(
            f"No {way} in\nthe first step",
            (data["threshold"][0], 0.3),
            xytext=(x, 0),
            textcoords="offset points",
            ha=side,
            fontsize=8,
            color=GREY,
        )
    ax_end.set(xscale="log", xlabel=r"$\kappa_W/\kappa_h$", ylabel="probability at time 600")
    ax_end.legend(loc="center right")
    panel(ax_end, "b", "No over Never, end of training")
    return drawing


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Agreement of the shares, and the ratios between threshold and end-state boundary."""
    at = [np.abs(data["ratio_line"] - r).argmin() for r in data["ratio"]]
    gap = np.abs(data["simulated"] - data["predicted"][:, at]).max()
    above = data["end_ratio"] > data["threshold"][0]
    late = data["end_ratio"][above & (data["end"][:, YES] > 0.5)]
    reach = f"up to {late.max():.4f}" if len(late) else "at no ratio"
    return [
        f"Predicted and counted shares differ by at most {gap:.3f}.",
        f"Threshold of the first step for No over Never: {data['threshold'][0]:.5f}; Yes still "
        f"holds more than half of the mass at the end {reach}.",
    ]
