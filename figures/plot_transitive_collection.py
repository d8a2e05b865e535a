"""The paper's experiment on strongly transitive preferences: collapse, and its floor."""

import numpy as np
from matplotlib.figure import Figure

from figures import _collections as experiment
from prefdyn.plots.house import BLACK, BLUE, PREDICTED, SEQUENTIAL, SIMULATED, VERMILION, figure

TITLE = "The experiment, strongly transitive preferences"
CAPTION = """
Synthetic stand-in for scored responses (not HelpSteer): preference matrices whose rows dominate one
another, most of them weakly because integer scores tie; 3,000 rounds from a mildly ranked start,
uniform reference and offline sampler. Simulated: entropy of the last policy, mean over matrices
(colours, numbers, dots: all 36 cells of the map to the left). Predicted: entropy of the fixed point
(lines), which depends on alpha and beta through (1 - alpha) beta only; and the floor that ties
leave (dotted): mean of ln n, n being the responses that tie with the top one when lam = 1, and
those with the same row when lam < 1, because the offline sampler breaks the other ties.
beta is the pull to the reference; the axis shows 1/beta, which the paper calls beta.
"""
CLAIMS = ("MRS-11", "MRS-12", "MRS-16", "DPO-4", "DPO-6")

MATRICES = 200
PROMPTS = 4000
MATRICES_FULL = 4924
PROMPTS_FULL = 14_000
TIE = 1e-9


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Simulated measures, predicted entropies and floors; `full` takes the paper's 4,924."""
    matrices, prompts = (MATRICES_FULL, PROMPTS_FULL) if full else (MATRICES, PROMPTS)
    games = experiment.draw_games(seed, prompts).strongly_transitive[:matrices]
    return {
        "P": games.P,
        "alpha": experiment.ALPHA,
        "beta": experiment.BETA,
        "lam": experiment.LAM,
        "tau": experiment.TAU,
        "floor": floors(games.P, experiment.LAM),
        **experiment.simulate(games),
        **experiment.predict(games),
    }


def floors(P: np.ndarray, lam: np.ndarray) -> np.ndarray:
    """Mean entropy (nats) as ``(1 - alpha) beta -> 0``, for every lam: what ties leave."""
    top = P.mean(axis=-1).argmax(axis=-1)
    row = np.take_along_axis(P, top[:, None, None], axis=1)
    tied = np.abs(row[:, 0] - 0.5) < TIE
    same = np.all(np.abs(P - row) < TIE, axis=-1)
    return np.array([np.log((tied if x == 1 else same).sum(axis=-1)).mean() for x in lam])


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Agreement with the fixed point, and whether anything turns."""
    sentences = []
    for rule, label in experiment.LABELS.items():
        unstable = (data[f"{rule}_radius"] > 1).sum()
        strength = data[f"{rule}_cycle_strength"].max()
        gap = np.abs(_predicted(data, rule) - data[f"{rule}_entropy"].mean(axis=0)).max()
        sentences.append(
            f"{label}: {unstable} of {data[f'{rule}_radius'].size} fixed points are past the local "
            f"boundary, the largest cycle strength is {strength:.1e}, and no mean entropy is "
            f"farther than {gap:.1e} nats from the prediction."
        )
    return sentences


def draw(data: dict[str, np.ndarray]) -> Figure:
    """Rows are lam: maps of the two rules, and both on the one axis that matters."""
    drawing = figure(4.2)
    axes = drawing.subplots(2, 3, width_ratios=(1, 1, 1.35))
    top = np.log(data["P"].shape[-1])
    drive = 1 / np.multiply.outer(data["beta"], 1 - data["alpha"])
    for row, lam in enumerate(data["lam"]):
        curve = axes[row, 2]
        for column, (rule, colour) in enumerate(
            zip(experiment.RULES, (BLUE, VERMILION), strict=True)
        ):
            entropy = data[f"{rule}_entropy"].mean(axis=0)[..., row]
            experiment.heat_map(axes[row, column], entropy, top, SEQUENTIAL)
            experiment.number(axes[row, column], entropy, entropy < 0.6 * top, "{:.2f}")
            expected = data[f"{rule}_fixed_entropy"].mean(axis=0)[:, row]
            label = experiment.LABELS[rule]
            curve.plot(1 / data["tau"], expected, color=colour, label=label, **PREDICTED)
            curve.plot(drive.ravel(), entropy.ravel(), color=colour, **SIMULATED)
            axes[0, column].set_title(f"{label}: last entropy (nats)")
        curve.axhline(
            data["floor"][row], color=BLACK, linestyle="dotted", label="floor left by ties"
        )
        curve.set(xscale="log", ylim=(0, 1.45), ylabel="entropy (nats)")
        axes[row, 0].set_ylabel(rf"$\lambda$ = {lam:g}" + "\n" + r"1/$\beta$")
        axes[row, 1].set_ylabel(r"1/$\beta$")
    for ax in axes[1, :2]:
        ax.set_xlabel(r"$\alpha$")
    axes[0, 2].set_title("lines predicted, dots simulated")
    axes[1, 2].set_xlabel(r"1/((1 − $\alpha$) $\beta$)")
    axes[1, 2].legend(loc="upper right")
    return drawing


def _predicted(data: dict[str, np.ndarray], rule: str) -> np.ndarray:
    """Predicted mean entropy in every cell, (beta, alpha, lam)."""
    expected = data[f"{rule}_fixed_entropy"].mean(axis=0)
    steps = experiment.STEPS
    return expected[np.add.outer(steps, steps)]
