"""What many games at once say: rotation that rules bear, certificates, noise, locking."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from analysis.laboratory._games import collection
from analysis.laboratory.locking import recurrences
from analysis.laboratory.noise import amplitude_law, noisy_strength, stationary_strength
from analysis.laboratory.solvers import RULES, limit, strength_of_rotation, tuned
from analysis.laboratory.thresholds import certified_beta
from prefdyn import MRSIPO, stability
from prefdyn.plots.house import BLACK, GREY, PALETTE, PREDICTED, SIMULATED, figure, panel

TITLE = "What many games say"
CAPTION = """
Random cyclic games: no Condorcet winner, A_ij uniform in [-.48, .48]; uniform reference, lam = 1;
beta is the pull to the reference, beta_c the largest unstable one. a: how much rotation s/tau a
rule bears when its rounds shrink the distance to the equilibrium by m where preferences are
curl-free; predicted (lines, log scale) and, for 30 games of 5 responses at 10 tau, the largest
s/tau found stable and the smallest found unstable with the shipped Jacobians (up- and downward
triangles). b: beta_c of 1,000 games (two have none) as a share of three bounds that need no fixed
point: the bound of every game, (2/pi) lam max|A|/sqrt(1 - alpha^2) (local stability), and the
contraction and mirror-descent certificates (global); alpha = 1/2. c: cycle strength of
rock-paper-scissors (a = .3, alpha = 1/2) that sees n votes per pair, simulated (64 runs each);
predicted: slope -1/2 at beta_c, -1 above it. d: share of 200 games whose orbit returns exactly
within 80 rounds, simulated.
"""
CLAIMS = ("LAB-1", "LAB-2", "LAB-3", "LAB-4", "LAB-6")

M = np.array([0.3, 0.5, 0.7, 0.85, 0.95])
TAUS = np.geomspace(3e-3, 0.5, 10)
VOTES = np.array([50, 500, 5000])
RATIOS = np.array([1.0, 1.3])
DRIVES = np.array([1.1, 1.6, 2.5, 4, 8, 30])
ALPHAS = np.array([0.0, 0.5])
SIZES = (3, 4, 5, 6)
NUMBER, PROBED, FOLLOWED = 250, 30, 50
"""Games of each size for the bounds, for the limits, and for return times."""
A, ALPHA = 0.3, 0.5


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Limits of the rules and what is found; bounds; noisy runs; return times."""
    line = np.linspace(0.05, 0.97, 93)
    data = {
        "m": M,
        "line_m": line,
        "line": np.array([[limit(rule, m) for m in line] for rule in RULES]),
        "found": np.array([[_found(rule, m) for m in M] for rule in RULES]),
        "votes": VOTES,
        "ratios": RATIOS,
        "noisy": np.array([[noisy_strength(A, ALPHA, r, n) for n in VOTES] for r in RATIOS]),
        "noisy_predicted": np.array(
            [
                [amplitude_law()(A, n) for n in VOTES],
                [stationary_strength(A, ALPHA, RATIOS[1], n) for n in VOTES],
            ]
        ),
        "drives": DRIVES,
        "alphas": ALPHAS,
    }
    shares = [_bound_shares(*collection(K, NUMBER, ALPHA)) for K in SIZES]
    data["bounds"] = np.concatenate(shares, axis=1)
    data["locked"] = np.array([[_locked(alpha, drive) for drive in DRIVES] for alpha in ALPHAS])
    return data


def _found(rule: str, m: float) -> tuple[float, float]:
    """Largest s/tau among stable, smallest among unstable games; games of 5 responses."""
    games = collection(5, NUMBER, ALPHA)[0][:PROBED]
    sizes, stable = [], []
    for tau in TAUS:
        sizes.append(strength_of_rotation(rule, games, tau, m))
        stable.append(stability(tuned(rule, games, tau, m)).spectral_radius < 1)
    size, calm = np.concatenate(sizes), np.concatenate(stable)
    return size[calm].max(), size[~calm].min()


def _bound_shares(games: Any, beta_c: np.ndarray) -> np.ndarray:
    """beta_c over each bound, (3, games)."""
    universal = 2 / np.pi * np.abs(games.skew).max((-2, -1)) / np.sqrt(1 - ALPHA**2)
    return beta_c / np.array([universal, *certified_beta(games.skew, ALPHA)])


def _locked(alpha: float, drive: float) -> float:
    batches = [collection(K, FOLLOWED, float(alpha)) for K in SIZES]
    times = [recurrences(MRSIPO(games, beta / drive, alpha, 1.0)) for games, beta in batches]
    return float(np.isfinite(np.concatenate(times)).mean())


def draw(data: dict[str, np.ndarray]) -> Figure:
    """Limits, bounds, noise and locking."""
    drawing = figure(6.0)
    axes = drawing.subplots(2, 2)
    _draw_limits(axes[0, 0], data)
    _draw_bounds(axes[0, 1], data)
    _draw_noise(axes[1, 0], data)
    _draw_locked(axes[1, 1], data)
    return drawing


def _draw_limits(ax: Any, data: dict[str, np.ndarray]) -> None:
    rows = zip(RULES, data["line"], data["found"], PALETTE, strict=False)
    for rule, line, found, colour in rows:
        ax.plot(data["line_m"], line, color=colour, label=rule, **PREDICTED)
        for ends, marker in zip(found.T, "^v", strict=True):
            style = {**SIMULATED, "marker": marker, "color": colour, "markersize": 5}
            ax.plot(data["m"], ends, **style)
    ax.set(yscale="log", ylim=(0.1, 60), xlabel="m, what a round leaves of a curl-free distance")
    ax.set_ylabel("largest stable rotation, s/τ")
    ax.set_yticks([0.1, 0.5, 1, 2, 5, 10, 20], ["0.1", "0.5", "1", "2", "5", "10", "20"])
    ax.yaxis.set_tick_params(which="minor", labelleft=False)
    ax.legend(loc="lower right", handlelength=1.0)
    panel(ax, "a", "rotation that a rule bears")


def _draw_bounds(ax: Any, data: dict[str, np.ndarray]) -> None:
    names = ("every game (local)", "contraction (global)", "mirror descent (global)")
    bins = np.linspace(0, 1, 41)
    for name, shares, colour in zip(names, data["bounds"], PALETTE, strict=False):
        ax.hist(shares, bins, histtype="step", color=colour, linewidth=1.5, label=name)
    ax.set(xlim=(0, 1), xlabel="$β_c$ / bound", ylabel="games of 1,000")
    ax.legend(loc="upper right")
    panel(ax, "b", "how far bounds are from the truth")


def _draw_noise(ax: Any, data: dict[str, np.ndarray]) -> None:
    rows = zip(data["ratios"], data["noisy"], data["noisy_predicted"], PALETTE, strict=False)
    for ratio, found, predicted, colour in rows:
        where = "at $β_c$" if ratio == 1 else f"at {ratio:g} $β_c$"
        ax.plot(data["votes"], predicted, color=colour, label=where, **PREDICTED)
        ax.plot(data["votes"], found, color=colour, **SIMULATED)
    ax.set(xscale="log", yscale="log", xlabel="votes per pair and round, n")
    ax.set_ylabel("cycle strength")
    ax.legend()
    panel(ax, "c", "finite samples never settle")


def _draw_locked(ax: Any, data: dict[str, np.ndarray]) -> None:
    for alpha, locked, colour in zip(data["alphas"], data["locked"], PALETTE, strict=False):
        ax.plot(data["drives"], locked, color=colour, label=f"α = {alpha:g}", **SIMULATED)
        ax.plot(data["drives"], locked, color=colour, linewidth=0.7, zorder=1)
    ax.axhline(1, color=GREY, linewidth=0.8, zorder=0)
    ax.set(xscale="log", ylim=(0, 1.05), xlabel="strength of the drive, $β_c$/β")
    ax.set_xticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    ax.xaxis.set_tick_params(which="minor", labelbottom=False)
    ax.set_ylabel("share of games that lock", color=BLACK)
    ax.legend(loc="lower right")
    panel(ax, "d", "strong drive locks")


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """The numbers behind the panels."""
    below, above = np.moveaxis(data["found"], -1, 0)
    predicted = np.array([[limit(rule, m) for m in data["m"]] for rule in RULES])
    wrong = int(np.sum(~(below <= predicted)) + np.sum(~(above >= predicted)))
    median = np.median(data["bounds"], axis=1)
    noise = np.abs(data["noisy"] / data["noisy_predicted"] - 1).max()
    return [
        f"No stable game above, and no unstable one below, a predicted limit: {wrong} exceptions.",
        f"In the median game beta_c is {median[0]:.2f} of the bound of every game, {median[1]:.2f} "
        f"of the contraction's and {median[2]:.2f} of mirror descent's; at most "
        f"{data['bounds'][0].max():.3f} of the first.",
        f"Cycle strength under noise is within {noise:.0%} of the prediction.",
        f"At alpha = 0, {data['locked'][0, -1]:.0%} of the games lock under the strongest drive, "
        f"at alpha = 1/2 {data['locked'][1, -1]:.0%}.",
    ]
