"""Real and published games: what the theory says about each, and what runs do."""

from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures._following import follow, moduli
from prefdyn import MRSIPO, PreferenceMatrix, advise, ensemble, orbit, stability
from prefdyn.games import load
from prefdyn.plots.house import BLACK, BLUE, GREEN, PALETTE, PREDICTED, VERMILION, figure

TITLE = "Real games"
CAPTION = """
MRS-IPO, lam = 1, uniform reference; beta is the pull to the reference. Left: a simulated run at
alpha = 0 and the beta between 0.001 and 1 that is least stable there. Middle: spectral radius of
the fixed point over beta, predicted, for three alpha; bands are the central 90 % over 200 posterior
draws of the votes where there are votes (PandaLM: five language models judged by people;
Minneapolis: ranked ballots, whose cycle lies inside the sampling noise); circles are simulated, 16
far starts each, open where all of them settle and filled where some keep moving. Right: the advice
for one recipe. PandaLM and arXiv rankers are stable wherever one would look, Minneapolis except for
a tiny beta. The made-up "cyclic" matrix is unstable in a window of beta at alpha = 0; at smaller
beta its fixed point is stable again, but far starts go on cycling below the Condorcet winner.
"""
CLAIMS = ("MRS-4", "MRS-11", "MRS-14", "NS-5", "RND-1")

GAMES = ("pandalm", "minneapolis", "arxiv", "cyclic")
ALPHA = np.array([0.0, 0.5, 0.9])
TAU = np.geomspace(1.0, 1e-4, 41)
SHOWN = (1e-3, 1.0)
"""Values of beta on show."""
DRAWS = 200
BAND = (0.05, 0.95)
PROBES = np.geomspace(1.3e-3, 0.8, 10)
FAR_STARTS = 16
MOVING = 1e-8
"""Cycle strength from which a run counts as moving."""
ROUNDS = 3000
RECIPE: dict[str, Any] = {"alpha": 0.5, "lam": 1.0, "beta": 0.005}
"""The recipe that advice is asked about."""
COLOURS = (BLUE, GREEN, VERMILION)


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """For every game: radii with their posterior, probes by simulation, a run, the advice."""
    data = {"alpha": ALPHA, "tau": TAU, "probes": PROBES}
    for k, name in enumerate(GAMES):
        rng = np.random.default_rng([seed, k])
        game = load(name)
        data[f"{name}_names"] = np.array(game.names or [f"response {i}" for i in range(game.K)])
        data[f"{name}_radius"] = radii(game)
        if game.counts is not None:
            drawn = radii(game.draw(DRAWS, rng))
            data[f"{name}_band"] = np.quantile(drawn, BAND, axis=0)
            data[f"{name}_unstable"] = unstable_share(drawn)
        data[f"{name}_moving"] = moving(game, rng)
        beta = np.geomspace(*SHOWN, 61)
        radius = stability(MRSIPO(game, beta=beta, alpha=0.0, lam=1.0)).spectral_radius
        least_stable = beta[np.argmax(radius)]
        data[f"{name}_beta"] = np.array(least_stable)
        run = orbit(MRSIPO(game, beta=least_stable, alpha=0.0, lam=1.0), rounds=24, tolerance=0)
        data[f"{name}_policies"] = run.policies
        data[f"{name}_advice"] = np.array(advice(game, seed))
    return data


def radii(games: PreferenceMatrix) -> np.ndarray:
    """Spectral radius (..., tau, alpha) at ``beta = tau / (1 - alpha)``."""
    ladder = follow(lambda tau: MRSIPO(games, beta=tau, alpha=0.0, lam=1.0), TAU)
    return np.stack([moduli(found, ALPHA) for found in ladder], axis=-2)


def shown_radii(radius: np.ndarray) -> np.ndarray:
    """The same with NaN where beta is not on show."""
    beta = TAU[:, None] / (1 - ALPHA)
    return np.where((beta >= SHOWN[0]) & (beta <= SHOWN[1]), radius, np.nan)


def unstable_share(radius: np.ndarray) -> np.ndarray:
    """Share of the games (first axis) that are unstable at some beta on show, per alpha."""
    return np.mean(np.nanmax(shown_radii(radius), axis=-2) > 1, axis=0)


def moving(game: PreferenceMatrix, rng: np.random.Generator) -> np.ndarray:
    """Whether any of some far starts is still moving, (probes, alpha), by simulation."""
    starts = 0.98 * rng.dirichlet(np.full(game.K, 0.3), size=FAR_STARTS) + 0.02 / game.K
    rule = MRSIPO(game, beta=PROBES[:, None], alpha=ALPHA, lam=1.0)
    run = ensemble(rule, starts[:, None, None], ROUNDS, reducers=("cycle_strength",))
    return np.any(run["cycle_strength"] > MOVING, axis=0)


def advice(game: PreferenceMatrix, seed: int) -> list[str]:
    """What `advise` says about the recipe."""
    return list(advise(game, "ipo", **RECIPE, range=SHOWN, seed=seed).sentences)


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """How likely any instability is where there are votes, and where there are none, if any."""
    sentences = []
    for name in GAMES:
        top = np.nanmax(shown_radii(data[f"{name}_radius"]), axis=0)
        worst = ", ".join(f"{x:.2f}" for x in top)
        sentence = f"{name}: largest spectral radius for alpha = 0, 0.5, 0.9: {worst}"
        beside = _beside_stable(data, name)
        if beside:
            sentence += f"; {beside} simulated circles move beside a locally stable fixed point"
        if f"{name}_unstable" in data:
            shares = ", ".join(f"{x:.0%}" for x in data[f"{name}_unstable"])
            sentence += f"; posterior probability of any instability: {shares}"
        sentences.append(f"{sentence}.")
    return sentences


def at_probes(data: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Predicted radius (probes, alpha), read off the lines."""
    beta = data["tau"][::-1, None] / (1 - data["alpha"])
    radius = data[f"{name}_radius"][::-1]
    columns = zip(beta.T, radius.T, strict=True)
    return np.stack([np.interp(data["probes"], b, x) for b, x in columns], axis=-1)


def _beside_stable(data: dict[str, np.ndarray], name: str) -> int:
    return int((data[f"{name}_moving"] & (at_probes(data, name) < 0.99)).sum())


def draw(data: dict[str, np.ndarray]) -> Figure:
    """One row per game: a run, the radius over beta, the advice."""
    drawing = figure(8.6)
    axes = drawing.subplots(len(GAMES), 3, width_ratios=(1, 1.15, 1.25))
    for row, name in zip(axes, GAMES, strict=True):
        _draw_run(row[0], data, name)
        _draw_radii(row[1], data, name)
        row[2].axis("off")
        text = "\n".join("– " + fill(str(sentence), 46) for sentence in data[f"{name}_advice"])
        row[2].text(0, 1, text, va="top", fontsize=7, transform=row[2].transAxes)
    axes[0, 1].legend(loc="upper right", ncols=3, columnspacing=0.8, handlelength=1.2)
    alpha, lam, beta = RECIPE["alpha"], RECIPE["lam"], RECIPE["beta"]
    recipe = rf"$\alpha$ = {alpha:g}, $\lambda$ = {lam:g}, $\beta$ = {beta:g}"
    axes[0, 2].set_title(f"advice for {recipe}")
    axes[-1, 0].set_xlabel("round")
    axes[-1, 1].set_xlabel(r"$\beta$")
    return drawing


def _draw_run(ax: Any, data: dict[str, np.ndarray], name: str) -> None:
    policies = data[f"{name}_policies"]
    for curve, label, colour in zip(policies.T, data[f"{name}_names"], PALETTE, strict=False):
        short = str(label).partition("-")[0]
        ax.plot(curve, color=colour, linewidth=1.2, marker=".", markersize=3, label=short)
    # The right part of the axes is left to the legend.
    ax.set(ylabel="probability", ylim=(0, 1.02), xlim=(0, 1.95 * len(policies)), xticks=(0, 10, 20))
    ax.set_title(rf"{name}, $\alpha$ = 0, $\beta$ = {data[f'{name}_beta']:.2g}")
    ax.legend(fontsize=7, loc="center right", handlelength=1.0)


def _draw_radii(ax: Any, data: dict[str, np.ndarray], name: str) -> None:
    radius, probes = data[f"{name}_radius"], data["probes"]
    at = at_probes(data, name)
    for k, (alpha, colour) in enumerate(zip(data["alpha"], COLOURS, strict=True)):
        beta = data["tau"] / (1 - alpha)
        label = rf"$\alpha$ = {alpha:g}"
        ax.plot(beta, radius[:, k], color=colour, label=label, **PREDICTED)
        if f"{name}_band" in data:
            low, high = data[f"{name}_band"][..., k]
            ax.fill_between(beta, low, high, color=colour, alpha=0.2, linewidth=0)
        for moves in (False, True):
            chosen = data[f"{name}_moving"][:, k] == moves
            fill_colour = colour if moves else "white"
            ax.plot(probes[chosen], at[chosen, k], "o", color=colour, mfc=fill_colour, markersize=4)
    ax.axhline(1, color=BLACK, linestyle="dotted", linewidth=1)
    ax.set(xscale="log", xlim=SHOWN, ylim=(-0.05, 1.8), ylabel="spectral radius")
