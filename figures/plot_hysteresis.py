"""Figure: cycles that grow from nothing, and cycles that appear at full size, with hysteresis."""

from typing import Any

import numpy as np

from prefdyn import MRSDPO, MRSIPO, Rule, ensemble, games, normal_form, orbit
from prefdyn.plots.house import (
    BLACK,
    BLUE,
    GREY,
    PREDICTED,
    SIMULATED,
    VERMILION,
    figure,
    panel,
)
from prefdyn.policies import log_softmax

TITLE = "Supercritical and subcritical onsets: where turning β back does not undo a cycle"
CAPTION = """
Rock-paper-scissors of strength a, alpha = 0, lam = 1, uniform reference and offline sampler; beta
is the pull to the reference. (a) to (c) Simulated: size of what a run settles on, max |pi - 1/3|,
as beta is turned down (blue, from a start beside the fixed point) and up again (orange, from the
cycle), each value started from where the last one ended. Lines: size of the small cycle by the sign
and size of the first Lyapunov coefficient, to lowest order; stable where solid, unstable where
dashed. Upright line: the predicted threshold; dotted: the fold where the large cycle of (c) ends
(claim NS-4). Diamonds: the edge between the two fates, the unstable cycle, found by halving between
starts that return and starts that do not. (d) The coefficient at the threshold, over 1 - alpha^2,
for |q|^2 = 3: lines by formula, dots by the package's normal form at alpha = 0.5.
"""
CLAIMS = ("NS-1", "NS-3", "NS-4", "MRS-8", "DPO-8")

RATIOS = np.concatenate([np.arange(0.94, 0.999, 0.006), np.arange(0.998, 1.0421, 0.004)])
FOLD = 1.025
"""Of a = .48, claim NS-4."""
SYSTEMS = ((MRSIPO, 0.3), (MRSDPO, 0.3), (MRSDPO, 0.48))
EDGES = np.array([1.002, 1.004, 1.008, 1.012, 1.016, 1.02])
SETTLE, WATCH = 5000, 1000


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Sweeps, edges and coefficients; no randomness."""
    data = {"ratio": RATIOS, "threshold_gain": np.array([1.0, 4.0, 4.0])}
    for k, (kind, a) in enumerate(SYSTEMS):
        down, up = _sweeps(kind, a)
        data[f"down_{k}"], data[f"up_{k}"] = down, up
        data[f"line_ratio_{k}"], data[f"line_{k}"] = _predicted(kind, a)
    data["edge_ratio"], data["edge"] = EDGES, _edges()
    strengths = np.linspace(0.02, 0.49, 13)
    data["strength"] = strengths
    data["coefficient"] = np.array(
        [
            [3 * normal_form(_rule(kind, a, 1.0, 0.5)).coefficient for a in strengths]
            for kind in KINDS
        ]
    )
    data["coefficient"] /= 1 - 0.5**2
    return data


KINDS = (MRSIPO, MRSDPO)


def _rule(kind: type, a: float, ratio: Any, alpha: float = 0.0) -> Rule:
    """The recipe at multiples of its predicted threshold (MRS-5, DPO-8)."""
    gain = 4 if kind is MRSDPO else 1
    threshold = gain * a / np.sqrt(3 * (1 - alpha**2))
    return kind(games.rock_paper_scissors(a), threshold * np.asarray(ratio), alpha, 1.0)


def _curvature(kind: type, a: Any) -> Any:
    """``-l1/(1 - alpha^2)`` for |q|^2 = 3, claims NS-3 and NS-4."""
    return 0.75 - (4 * np.asarray(a) ** 2 if kind is MRSDPO else 0 * np.asarray(a))


def _predicted(kind: type, a: float) -> tuple[np.ndarray, np.ndarray]:
    """Size of the small cycle near the threshold, ``(2/3) sqrt(eps/curvature)``."""
    curvature = float(_curvature(kind, a))
    ratio = 1 / (1 + np.sign(curvature) * np.geomspace(1e-6, 0.06 if curvature > 0 else 0.02, 200))
    return ratio, 2 / 3 * np.sqrt((1 / ratio - 1) / curvature)


def _sweeps(kind: type, a: float) -> np.ndarray:
    """Sizes (2, ratios) of what runs settle on as beta is turned down, and up again."""
    nudge = np.array([1e-3, 0, -1e-3])
    state = log_softmax(nudge)
    settled = np.empty((2, len(RATIOS), 3))
    for way, order in enumerate((np.arange(len(RATIOS))[::-1], np.arange(len(RATIOS)))):
        for k in order:
            run = ensemble(
                _rule(kind, a, RATIOS[k]),
                log_starts=log_softmax(state + nudge),  # rounding would hold it at a fixed point
                rounds=SETTLE,
                reducers=["last_log_policy"],
                progress=False,
            )
            state = settled[way, k] = run["last_log_policy"]
    return _size(_rule(kind, a, RATIOS), settled)


def _size(rule: Rule, log_policies: np.ndarray) -> np.ndarray:
    run = orbit(rule, log_start=log_policies, rounds=WATCH, tolerance=0, progress=False)
    return np.abs(run.policies - 1 / 3).max(axis=(0, -1))


def _edges() -> np.ndarray:
    """Size of the unstable cycle at EDGES, by halving between starts that return and do not."""
    kind, a = SYSTEMS[2]
    rule = _rule(kind, a, EDGES)
    direction = np.array([1.0, 0, -1])
    low, high = np.zeros(len(EDGES)), np.full(len(EDGES), 3.0)
    for _ in range(26):
        middle = (low + high) / 2
        run = ensemble(
            rule,
            log_starts=log_softmax(middle[:, None] * direction),
            rounds=3000,
            reducers=["last_log_policy"],
            progress=False,
        )
        returns = np.abs(np.exp(run["last_log_policy"]) - 1 / 3).max(axis=-1) < 0.03
        low, high = np.where(returns, middle, low), np.where(returns, high, middle)
    start = log_softmax(low[:, None] * direction)
    run = orbit(rule, log_start=start, rounds=300, tolerance=0, progress=False)
    # Past the first rounds, in which the run falls onto the edge, and before it leaves it.
    return np.abs(run.policies[40:140] - 1 / 3).max(axis=(0, -1))


def draw(data: dict[str, np.ndarray]) -> Any:
    """Four panels."""
    drawing = figure(5.8)
    axes = drawing.subplots(2, 2)
    names = ("MRS-IPO, a = 0.3", "MRS-DPO, a = 0.3", "MRS-DPO, a = 0.48")
    for k, (ax, name) in enumerate(zip(axes.flat, names, strict=False)):
        _draw_sweep(ax, data, k)
        panel(ax, "abc"[k], name)
    _draw_coefficient(axes[1, 1], data)
    return drawing


def _draw_sweep(ax: Any, data: dict[str, np.ndarray], k: int) -> None:
    ratio, line = data[f"line_ratio_{k}"], data[f"line_{k}"]
    subcritical = ratio[-1] > 1
    ax.axvline(1, color=GREY, linewidth=0.8)
    if subcritical:
        ax.axvline(FOLD, color=GREY, linewidth=1.0, linestyle=":")
        ax.axvspan(1, FOLD, color=GREY, alpha=0.12, linewidth=0)
    style = {**PREDICTED, "linestyle": "--" if subcritical else "-"}
    word = "unstable, predicted" if subcritical else "predicted"
    ax.plot(ratio, line, color=BLACK, label=word, **style)
    if subcritical:
        edge = {**SIMULATED, "marker": "D", "color": BLACK, "label": "unstable, by halving"}
        ax.plot(data["edge_ratio"], data["edge"], **edge)
    ax.plot(data["ratio"], data[f"down_{k}"], color=BLUE, label="β turned down", **SIMULATED)
    up = {**SIMULATED, "markersize": 7, "markerfacecolor": "none", "markeredgecolor": VERMILION}
    ax.plot(data["ratio"], data[f"up_{k}"], label="β turned up", **{**up, "markeredgewidth": 1.1})
    ax.set(xlabel="β / $β_c$", ylabel="size of the cycle, max |π − 1/3|", ylim=(-0.02, 0.6))
    ax.legend(loc="upper right" if not subcritical else "lower left")


def _draw_coefficient(ax: Any, data: dict[str, np.ndarray]) -> None:
    fine = np.linspace(0, 0.5, 200)
    for kind, colour, name, found in zip(
        KINDS, (BLUE, VERMILION), ("MRS-IPO", "MRS-DPO"), data["coefficient"], strict=True
    ):
        ax.plot(fine, -_curvature(kind, fine), color=colour, **PREDICTED)
        ax.plot(data["strength"], found, color=colour, label=name, **SIMULATED)
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.text(0.01, 0.02, "subcritical ↑", color=GREY, va="bottom", fontsize=8)
    ax.text(0.01, -0.02, "supercritical ↓", color=GREY, va="top", fontsize=8)
    ax.set(xlabel="strength a", ylabel="$l_1$ / (1 − α²)", ylim=(-0.85, 0.35))
    ax.legend(loc="center left", bbox_to_anchor=(0, 0.3))
    panel(ax, "d", "the coefficient that decides")


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """How far the sweeps part, and how good the predictions are."""
    sentences = []
    for k, name in enumerate(("MRS-IPO, a = 0.3", "MRS-DPO, a = 0.3", "MRS-DPO, a = 0.48")):
        apart = np.abs(data[f"up_{k}"] - data[f"down_{k}"]) > 0.05
        where = data["ratio"][apart]
        loop = (
            f"part from {where.min():.3f} to {where.max():.3f} beta_c" if apart.any() else "agree"
        )
        sentences.append(f"{name}: the sweeps down and up {loop}.")
    small = []
    for k in (0, 1):
        near = (data["ratio"] < 1) & (data["ratio"] > 0.98)
        expected = np.interp(
            data["ratio"][near], data[f"line_ratio_{k}"][::-1], data[f"line_{k}"][::-1]
        )
        small.append(np.abs(data[f"down_{k}"][near] / expected - 1).max())
    edge = data["edge"][0] / np.interp(EDGES[0], data["line_ratio_2"], data["line_2"]) - 1
    formula = np.stack([-_curvature(kind, data["strength"]) for kind in KINDS])
    return [
        *sentences,
        f"Size of the small stable cycle within 2 % of the threshold: off by at most "
        f"{max(small):.1%} from the lowest order.",
        f"Unstable cycle at {EDGES[0]:g} beta_c: {edge:+.0%} against the lowest order.",
        f"Coefficient: within {np.abs(data['coefficient'] - formula).max():.0e} of the formula.",
    ]
