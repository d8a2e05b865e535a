"""The experiment of arXiv 2602.12180 on a synthetic stand-in for its data (claim MRS-16).

The grid halves 1 - alpha and beta from cell to cell, because the fixed point depends on
``tau = (1 - alpha) beta`` only: eleven values of tau serve all 36 cells.
"""

from typing import Any

import numpy as np

from figures._following import follow, moduli
from prefdyn import MRSDPO, MRSIPO, PreferenceMatrix, ensemble
from prefdyn.games import games_from_scores, synthetic_scores
from prefdyn.games.helpsteer import collections
from prefdyn.policies import entropy

STEPS = np.arange(6)
ALPHA = 1 - 0.5**STEPS
BETA = 0.5**STEPS
LAM = np.array([0.2, 1.0])
TAU = 0.5 ** np.arange(2 * len(STEPS) - 1)
ROUNDS = 3000
RULES = {"ipo": MRSIPO, "dpo": MRSDPO}
LABELS = {"ipo": "MRS-IPO", "dpo": "MRS-DPO"}


def draw_games(seed: int, prompts: int) -> Any:
    """The cyclic and the strongly transitive games among those of made-up prompts."""
    scores, pairs = np.random.default_rng(seed).spawn(2)
    return collections(games_from_scores(synthetic_scores(prompts, scores), pairs))


def simulate(games: PreferenceMatrix) -> dict[str, np.ndarray]:
    """Cycle strength and last entropy of every game, (games, beta, alpha, lam), per rule."""
    results = {}
    for name, rule in RULES.items():
        cells = rule(games[:, None, None, None], BETA[:, None, None], ALPHA[:, None], LAM)
        run = ensemble(cells, rounds=ROUNDS, reducers=("cycle_strength", "entropy"))
        results |= {f"{name}_{measure}": values for measure, values in run.items()}
    return results


def predict(games: PreferenceMatrix) -> dict[str, np.ndarray]:
    """Entropy of the fixed point (games, tau, lam) and the spectral radius of every cell."""
    batch = games.batch_shape
    results = {}
    for name, rule in RULES.items():
        entropies = np.empty((*batch, len(TAU), len(LAM)))
        radii = np.empty((*batch, len(BETA), len(ALPHA), len(LAM)))
        for last, lam in enumerate(LAM):
            ladder = follow(lambda tau, r=rule, x=lam: r(games, beta=tau, alpha=0.0, lam=x), TAU)
            for k, found in enumerate(ladder):
                entropies[:, k, last] = entropy(found.point.log_policy)
                own = STEPS[(k - len(STEPS) < STEPS) & (k >= STEPS)]  # alpha steps with this tau
                radii[:, k - own, own, last] = moduli(found, ALPHA[own])
        results |= {f"{name}_fixed_entropy": entropies, f"{name}_radius": radii}
    return results


def heat_map(ax: Any, values: np.ndarray, top: float, colours: str) -> Any:
    """Values (beta, alpha) as coloured cells, 1/beta upwards and alpha to the right."""
    image = ax.imshow(values, origin="lower", cmap=colours, vmin=0, vmax=top, aspect="auto")
    ax.set_xticks(STEPS, [f"{a:.2f}".lstrip("0") if a else "0" for a in ALPHA])
    ax.set_yticks(STEPS, [f"{1 / b:.0f}" for b in BETA])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return image


def number(ax: Any, values: np.ndarray, dark: np.ndarray, form: str) -> None:
    """Write a number into every cell, white where the cell is dark."""
    for row, column in np.ndindex(values.shape):
        ax.text(
            column,
            row,
            form.format(values[row, column]),
            ha="center",
            va="center",
            fontsize=6.5,
            color="white" if dark[row, column] else "black",
        )
