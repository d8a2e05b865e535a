"""Figure: how cycles of MRS-IPO begin: period, size, windows of beta, and bistability."""

from typing import Any

import numpy as np

from prefdyn import MRSIPO, PreferenceMatrix, critical, ensemble, fixed_point, games, orbit
from prefdyn import stability as stability_of
from prefdyn.plots.house import (
    BLACK,
    BLUE,
    GREY,
    PALETTE,
    PREDICTED,
    SIMULATED,
    VERMILION,
    figure,
    panel,
)

TITLE = "How cycles begin: period, size, windows of β, and a bistable game"
CAPTION = """
Lines are predicted, dots are simulated with MRS-IPO, lam = 1, uniform reference and offline
sampler. (a) Rounds per turn on rock-paper-scissors just below the critical beta, against
2 pi / arccos(alpha). (b) Size of its cycle against the distance from the boundary, for three
alphas, against 4/(3 sqrt 3) sqrt(eps), the same line for all. (c) A Condorcet winner who beats
each member of a rock-paper-scissors of strength 0.482 by the given margin, alpha = 0.5: spectral
radius against beta, exact, and growth per round of a simulated small perturbation. Smaller beta is
not always worse: each cycle fills a window, which closes as the margin grows. (d) A bistable game
over four responses at 1.05 times its critical beta, alpha = 0.3: a start next to the fixed point
returns at the predicted rate, a far one (uniform) cycles for good. beta is the pull to the
reference; the paper's beta is 1/beta.
"""
CLAIMS = ("MRS-4", "MRS-5", "MRS-7", "MRS-8", "MRS-14", "NS-5")

A = 0.4
MARGINS = (0.02, 0.05, 0.095, 0.15)
BISTABLE = (-0.070, 0.340, 0.035, 0.457, -0.023, 0.359)  # upper triangle of A, row by row


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Theory by formula and by multipliers, simulations by iterating; no randomness."""
    return {**_period(), **_size(200_000), **_window(), **_bistable()}


def _period() -> dict[str, np.ndarray]:
    game = games.rock_paper_scissors(A)
    line = np.linspace(0, 0.98, 200)
    alpha = np.array([0.0, 0.15, 0.3, 0.45, 0.6, 0.7, 0.8, 0.85, 0.9, 0.94, 0.97])
    beta = _threshold(alpha) / 1.002
    start = np.full(3, 1 / 3) + 0.03 * np.array([1, 0, -1])
    run = ensemble(
        MRSIPO(game, beta, alpha, 1.0), start, 6_000, reducers=["period"], progress=False
    )
    return {
        "period_line_alpha": line,
        "period_line": 2 * np.pi / np.arccos(line),
        "period_alpha": alpha,
        "period": run["period"],
        "period_predicted": 2 * np.pi / np.arccos(alpha),
    }


def _size(rounds: int) -> dict[str, np.ndarray]:
    alpha = np.array([0.0, 0.5, 0.9])
    distance = np.geomspace(1e-3, 0.5, 11)
    rule = MRSIPO(
        games.rock_paper_scissors(A),
        _threshold(alpha)[:, None] / (1 + distance),
        alpha[:, None],
        1.0,
    )
    settled = ensemble(rule, rounds=rounds, reducers=["last_log_policy"], progress=False)
    # Long enough for the phase, which returns after almost whole rounds, to pass every extreme.
    run = orbit(rule, log_start=settled["last_log_policy"], rounds=6_000, progress=False)
    return {
        "size_alpha": alpha,
        "size_distance": distance,
        "size": np.abs(run.policies - 1 / 3).max(axis=(0, -1)),
        "size_predicted": 4 / (3 * np.sqrt(3)) * np.sqrt(distance),
    }


def _threshold(alpha: np.ndarray) -> np.ndarray:
    """Critical beta of rock-paper-scissors at lam = 1 (MRS-5)."""
    return A / np.sqrt(3 * (1 - alpha**2))


def _window() -> dict[str, np.ndarray]:
    margins = np.array(MARGINS)
    game = games.condorcet_over_cycle(margins[:, None], 0.482)
    line, beta = np.geomspace(0.004, 1, 240), np.geomspace(0.005, 0.8, 24)
    return {
        "window_margins": margins,
        "window_line_beta": line,
        "window_line": stability_of(MRSIPO(game, line, 0.5, 1.0)).spectral_radius,
        "window_beta": beta,
        "window_growth": _growth(MRSIPO(game, beta, 0.5, 1.0)),
        "window_radius": stability_of(MRSIPO(game, beta, 0.5, 1.0)).spectral_radius,
    }


def _growth(rule: MRSIPO, size: float = 1e-6, burn_in: int = 200, rounds: int = 600) -> np.ndarray:
    """Mean growth per round of a small perturbation, brought back to its size after every round."""
    rest = fixed_point(rule).state
    moved = rule.step(rest, 0, None)
    shift = size * np.linspace(1, -1, rule.K)
    logs = np.zeros(rest.shape[:-1])
    for t in range(burn_in + rounds):
        difference = rule.step(rest + shift, 0, None) - moved
        length = np.linalg.norm(difference, axis=-1)
        if t >= burn_in:
            logs = logs + np.log(length / np.linalg.norm(shift, axis=-1))
        shift = size * difference / length[..., None]
    return np.exp(logs / rounds)


def _bistable() -> dict[str, np.ndarray]:
    skew = np.zeros((4, 4))
    skew[np.triu_indices(4, 1)] = BISTABLE
    game = PreferenceMatrix(0.5 + skew - skew.T)
    threshold = critical(MRSIPO(game, 1.0, 0.3, 1.0), "beta", (1e-3, 10)).value
    rule = MRSIPO(game, 1.05 * threshold, 0.3, 1.0)
    point = fixed_point(rule)
    near = point.policy * (1 + 0.01 * np.array([1, -1, 1, -1]))
    starts = np.stack([near / near.sum(), np.full(4, 0.25)])
    policies = orbit(rule, starts, rounds=300, progress=False).policies
    return {
        "bistable_beta_critical": np.array(threshold),
        "bistable_radius": np.array(stability_of(rule, point).spectral_radius),
        "bistable_distance": np.abs(policies - point.policy).max(axis=-1).T,
    }


def draw(data: dict[str, np.ndarray]) -> Any:
    """Four panels."""
    drawing = figure(5.8)
    (ax_period, ax_size), (ax_window, ax_bistable) = drawing.subplots(2, 2)
    _draw_period(ax_period, data)
    _draw_size(ax_size, data)
    _draw_window(ax_window, data)
    _draw_bistable(ax_bistable, data)
    return drawing


def _draw_period(ax: Any, data: dict[str, np.ndarray]) -> None:
    ax.plot(
        data["period_line_alpha"], data["period_line"], color=BLUE, label="predicted", **PREDICTED
    )
    ax.plot(data["period_alpha"], data["period"], color=BLUE, label="simulated", **SIMULATED)
    ax.set(xlabel="α", ylabel="period (rounds)", yscale="log", xlim=(-0.03, 1))
    ax.set_yticks([4, 6, 10, 20, 30], ["4", "6", "10", "20", "30"])
    ax.minorticks_off()
    ax.legend()
    panel(ax, "a", "period at onset")


def _draw_size(ax: Any, data: dict[str, np.ndarray]) -> None:
    distance = data["size_distance"]
    ax.plot(distance, data["size_predicted"], color=GREY, label="predicted, any α", **PREDICTED)
    markers = zip(data["size_alpha"], data["size"], PALETTE, "os^", strict=False)
    for alpha, size, colour, marker in markers:
        style = {**SIMULATED, "color": colour, "marker": marker}
        ax.plot(distance, size, label=f"α = {alpha:g}", **style)
    ax.set(xscale="log", yscale="log", xlabel="distance from the boundary, $β_c$/β − 1")
    ax.set_yticks([0.03, 0.1, 0.3], ["0.03", "0.1", "0.3"])
    ax.yaxis.set_tick_params(which="minor", labelleft=False)
    ax.set_ylabel("amplitude, max |π − 1/3|")
    ax.legend()
    panel(ax, "b", "size of the cycle")


def _draw_window(ax: Any, data: dict[str, np.ndarray]) -> None:
    ax.axhline(1, color=GREY, linewidth=0.8)
    for k, margin in enumerate(data["window_margins"]):
        colour = PALETTE[k]
        line = {**PREDICTED, "color": colour, "label": f"margin {margin:g}"}
        ax.plot(data["window_line_beta"], data["window_line"][k], **line)
        ax.plot(data["window_beta"], data["window_growth"][k], color=colour, **SIMULATED)
    ax.set(xscale="log", xlabel="β (pull to the reference)", ylabel="growth per round")
    ax.legend()
    panel(ax, "c", "a window of β")


def _draw_bistable(ax: Any, data: dict[str, np.ndarray]) -> None:
    near, far = data["bistable_distance"]
    rounds = np.arange(len(near))
    rate = float(data["bistable_radius"])
    dots = {**SIMULATED, "markersize": 3, "markeredgewidth": 0}
    ax.plot(rounds, far, color=VERMILION, label="far start", **dots)
    ax.plot(rounds, near, color=BLUE, label="near start", **dots)
    line = {**PREDICTED, "color": BLACK, "zorder": 4, "label": f"predicted, {rate:.3f}$^t$"}
    ax.plot(rounds, near[0] * rate**rounds, **line)
    ax.set(yscale="log", xlabel="round", ylabel="distance from the fixed point")
    ax.legend(loc="lower left")
    panel(ax, "d", "two fates at one β")


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Errors of the predictions, measured."""
    period = np.abs(data["period"] / data["period_predicted"] - 1).max()
    small = data["size_distance"] < 0.01
    size = np.abs(data["size"][:, small] / data["size_predicted"][small] - 1).max()
    growth = np.abs(data["window_growth"] / data["window_radius"] - 1).max()
    windows = [
        f"margin {margin:g}: " + (f"{beta.min():.3g} to {beta.max():.3g}" if len(beta) else "none")
        for margin, radius in zip(data["window_margins"], data["window_line"], strict=True)
        for beta in [data["window_line_beta"][radius > 1]]
    ]
    near, far = data["bistable_distance"][:, -1]
    return [
        f"Period: the simulated value differs from the prediction by at most {period:.2%}.",
        f"Amplitude: within {size:.1%} of the prediction closer than 0.01 to the boundary.",
        f"Growth per round: within {growth:.2%} of the spectral radius.",
        f"Unstable windows of beta, {'; '.join(windows)}.",
        f"Bistable game: after 300 rounds the near start is {near:.1e} from the fixed point, "
        f"the far one {far:.2f}.",
    ]
