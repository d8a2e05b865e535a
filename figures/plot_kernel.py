"""The kernel view: changes of log-probs predicted from one measurement, against training."""

from collections.abc import Callable
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.kernel_view.training import agreement, predict, predict_in_function_space, train
from analysis.kernel_view.trajectories import PAIR, SEEDS, toy
from prefdyn.plots.house import BLACK, BLUE, GREY, SIMULATED, VERMILION, figure, panel
from prefdyn.rules import Adam

TITLE = "One simulator for all policies: predicted and actual changes of log-probs"
CAPTION = """
DPO, beta = 0.1 (the pull to the reference), 20 steps on one pair, ten candidates of a two-layer
tanh network over 60 responses, 8 random networks. Predicted change of each candidate's log-prob
(horizontal) against the simulated one, real training by torch (dots); on the line they agree. a to
c: gradient descent at rate 0.3, chosen the fifth and rejected the fourth most likely, predicted
from the start log-probs and a Gram matrix K that is frozen, or measured again on the true path
every 5 steps, or every step. d, e: AdamW at rates 1e-3 and 2.5e-3, predicted by running Adam in
function space with the gradients of the start. f: where the frozen prediction fails (descent at
rate 0.5): logits 8 times as large, the dominant candidate rejected and pushed far; correlation and
slope do not tell. Medians of 8 networks in each panel; R^2 is that of the prediction itself,
without a fit; shift is the mean error.
"""
CLAIMS = ("KER-1", "KER-5", "KER-7")

RATE = 0.3
SLOW, FAST = 1e-3, 2.5e-3
PANELS = {
    "frozen": "K frozen",
    "every_5": "K every 5 steps",
    "every_step": "K every step",
    "adam_slow": "AdamW, frozen gradients",
    "adam_fast": "AdamW, rate 2.5 times",
    "dominant": "dominant one rejected",
}
DOMINANT = (4, 0)
"""Chosen and rejected of the failing case: the likeliest candidate is rejected."""


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Predicted and actual changes (networks, 10) for every panel."""
    import torch

    gradient_descent = partial(torch.optim.SGD, lr=RATE)
    data = {}
    for name, every in {"frozen": 20, "every_5": 5, "every_step": 1}.items():
        data[name] = _runs(seed, gradient_descent, partial(predict, rate=RATE, every=every))
    for name, rate in {"adam_slow": SLOW, "adam_fast": FAST}.items():
        adam = partial(torch.optim.AdamW, lr=rate, weight_decay=0)
        data[name] = _runs(seed, adam, partial(_by_adam, rate=rate))
    far = partial(torch.optim.SGD, lr=0.5)
    data["dominant"] = _runs(seed, far, partial(predict, rate=0.5), peak=8.0, pair=DOMINANT)
    return data


def _by_adam(policy, pair, path, rate: float) -> np.ndarray:
    """The prediction that needs no point of the true path."""
    return predict_in_function_space(policy, pair, rate, Adam())


def _runs(
    seed: int, make_optimiser: Callable, by: Callable, peak: float = 1.0, pair=PAIR
) -> np.ndarray:
    """Predicted and actual changes, (2, networks, candidates)."""
    changes = []
    for k in range(SEEDS):
        policy = toy(seed + k, peak)
        start = policy.log_probs()
        path = train(policy, pair, make_optimiser)
        changes.append([by(policy, pair, path) - start, policy.log_probs(path[-1]) - start])
    return np.swapaxes(changes, 0, 1)


def medians(data: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Medians over the networks of r, R^2, slope, shift and largest change."""
    return np.median([agreement(*pair) for pair in np.swapaxes(data[name], 0, 1)], axis=0)


def draw(data: dict[str, np.ndarray]) -> Figure:
    """Six panels; chosen, rejected and other candidates are told apart."""
    drawing = figure(5.4)
    axes = drawing.subplots(2, 3)
    for letter, ax, (name, title) in zip("abcdef", axes.flat, PANELS.items(), strict=True):
        _draw_panel(ax, data, name)
        panel(ax, letter, title)
    drawing.supxlabel("predicted change of log-prob (nats)", fontsize=9)
    drawing.supylabel("actual change of log-prob (nats)", fontsize=9)
    drawing.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return drawing


def _draw_panel(ax: Axes, data: dict[str, np.ndarray], name: str) -> None:
    predicted, actual = data[name]
    chosen, rejected = DOMINANT if name == "dominant" else PAIR
    others = np.delete(np.arange(predicted.shape[-1]), [chosen, rejected])
    ends = np.array([min(predicted.min(), actual.min()), max(predicted.max(), actual.max())])
    ax.plot(ends, ends, color=BLACK, linewidth=0.8, zorder=1)
    small = {**SIMULATED, "markersize": 4}
    ax.plot(predicted[:, others].ravel(), actual[:, others].ravel(), color=GREY, **small)
    for k, colour, marker in ((chosen, BLUE, "^"), (rejected, VERMILION, "v")):
        marks = {**SIMULATED, "marker": marker, "markersize": 6, "color": colour}
        ax.plot(predicted[:, k], actual[:, k], **marks)
    for line, label in zip(ax.lines[1:], ("other candidates", "chosen", "rejected"), strict=True):
        line.set_label(label)
    r, r2, slope, shift, _ = medians(data, name)
    ax.text(
        0.04,
        0.97,
        f"r = {r:.3f}\n$R^2$ = {r2:.3f}\nslope = {slope:.2f}\nshift = {shift:.1f}",
        transform=ax.transAxes,
        va="top",
        fontsize=7.5,
    )


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """R^2, slope and what neither shows."""
    rows = {name: medians(data, name) for name in PANELS}
    frozen, failing = rows["frozen"], rows["dominant"]
    return [
        f"Gradient descent, largest change {frozen[4]:.1f} nats: R^2 {frozen[1]:.2f} with a frozen "
        f"K (r {frozen[0]:.3f}, slope {frozen[2]:.2f}), {rows['every_5'][1]:.3f} measured every "
        f"5 steps, {rows['every_step'][1]:.4f} every step.",
        f"AdamW in function space: R^2 {rows['adam_slow'][1]:.2f} at {rows['adam_slow'][4]:.1f} "
        f"nats, {rows['adam_fast'][1]:.2f} at {rows['adam_fast'][4]:.1f} nats.",
        f"The failing case, {failing[4]:.0f} nats: R^2 {failing[1]:.1f}, although r is "
        f"{failing[0]:.3f} and the slope {failing[2]:.2f}; all candidates are off by a common "
        f"{failing[3]:.0f} nats, the normaliser that a frozen K does not follow.",
    ]
