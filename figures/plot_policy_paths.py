"""Figure: paths of MRS-IPO on a cyclic game, and what raising alpha or lam/beta does to them."""

from typing import Any

import numpy as np

from prefdyn import MRSIPO, Orbit, fixed_point, games, orbit
from prefdyn.plots.house import figure, panel

TITLE = "More of the current policy, or a weaker pull, turns convergence into a cycle"
CAPTION = """
MRS-IPO on rock-paper-scissors with winning probability 0.9 (a = 0.4), uniform reference and
offline sampler, first 100 rounds from the square. Middle: raised alpha (the reference follows the
policy). Right: raised lam/beta (more on-policy data, or a weaker pull). Predicted: the fixed point,
filled where it is stable and hollow where not, and the spectral radius
sqrt(alpha^2 + (lam a / beta)^2 / 3) in each title; above 1 the fixed point repels. Simulated: paths
(blue), where the orbit stays after 2,000 rounds (black), streamlines of the one-round displacement
(grey; rounds jump across them), and the probabilities below, a dot for every round. beta is the
pull to the reference; the paper's beta is 1/beta.
"""
CLAIMS = ("MRS-1", "MRS-3", "MRS-4", "MRS-5")

A = 0.4
RECIPES = {  # name: alpha, lam, beta
    "baseline": (0.5, 1.0, 0.5),
    "raised α": (0.9, 1.0, 0.5),
    "raised λ/β": (0.5, 1.0, 0.2),
}
ROUNDS, SETTLED, KEPT = 100, 2_000, 1_000


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Fixed points and radii by formula; paths, attractors and flow from the map; no randomness."""
    from prefdyn import plots

    alpha, lam, beta = np.transpose(list(RECIPES.values()))
    game = games.rock_paper_scissors(A)
    rules = [MRSIPO(game, b, a, m) for a, m, b in RECIPES.values()]
    start = np.array([0.7, 0.2, 0.1])
    runs = [orbit(rule, start, SETTLED + KEPT, tolerance=0).policies for rule in rules]
    return {
        "a": np.array(A),
        "alpha": alpha,
        "lam": lam,
        "beta": beta,
        "names": np.array(list(RECIPES)),
        "spectral_radius": np.sqrt(alpha**2 + (lam * A / beta) ** 2 / 3),
        "fixed_points": np.stack([fixed_point(rule).policy for rule in rules]),
        "paths": np.stack([run[: ROUNDS + 1] for run in runs]),
        "attractors": np.stack([run[SETTLED + 1 :] for run in runs]),
        **{f"streamlines_{k}": plots.streamlines(rule) for k, rule in enumerate(rules)},
    }


def draw(data: dict[str, np.ndarray]) -> Any:
    """Portraits above, probabilities over rounds below."""
    import mpltern  # noqa: F401  registers the ternary projection

    from prefdyn import plots

    drawing = figure(5.0)
    grid = drawing.add_gridspec(2, 3, height_ratios=(1.25, 1))
    responses = ["rock", "scissors", "paper"]
    for k, name in enumerate(data["names"]):
        ax = drawing.add_subplot(grid[0, k], projection="ternary")
        plots.simplex_axes(3, [response[0].upper() for response in responses], ax)
        plots.flow(data[f"streamlines_{k}"], ax)
        plots.cycle(data["attractors"][k], ax)
        plots.path(data["paths"][k], ax, linewidth=0.5, markersize=3)
        radius = data["spectral_radius"][k]
        plots.fixed_point(data["fixed_points"][k], radius < 1, ax)
        recipe = rf"α = {data['alpha'][k]:g}, λ/β = {data['lam'][k] / data['beta'][k]:g}"
        panel(ax, "abc"[k], f"{name}\n{recipe}, radius {radius:.2f}")

        ax = drawing.add_subplot(grid[1, k])
        path = data["paths"][k]
        run = Orbit(path, np.log(path), np.arange(len(path)), "", None)
        plots.orbit(run, ax, names=responses, legend=False, linewidth=0.5, markersize=2.5)
        ax.set_ylim(0, 1)
        if k:
            ax.set(ylabel="", yticklabels=[])
    handles = drawing.axes[1].lines
    drawing.legend(handles, responses, loc="outside lower center", ncols=3, markerscale=3)
    return drawing


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Where each orbit ended, measured on the last rounds."""
    sentences = []
    for k, name in enumerate(data["names"]):
        spread = np.ptp(data["attractors"][k], axis=0).max()
        verdict = (
            "has settled"
            if spread < 1e-9
            else f"keeps moving, each probability over a range of up to {spread:.2f}"
        )
        radius = data["spectral_radius"][k]
        sentences.append(f"{name}: predicted radius {radius:.3f}; the simulated policy {verdict}.")
    return sentences
