"""Which properties of a ranking survive one round, under which sampler."""

from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from prefdyn import MRS, PreferenceMatrix
from prefdyn.games import (
    condorcet_winner,
    copeland,
    is_transitive,
    random,
    ranking_margin,
    smith_set,
    strongly_transitive,
)
from prefdyn.plots.house import BLACK, BLUE, GREY, VERMILION, figure, panel

TITLE = "One round: what the sampler lets through"
CAPTION = """
The policy that minimises the IPO loss from a uniform reference, beta = 0.5 (beta is the pull to the
reference; it does not change the ranking). Top: win rates against the sampler (predicted, bars) and
beta times the log-probability of the minimiser, shifted to the same mean (simulated, dots), for a
game built so that its Condorcet winner loses the first place under uniform sampling; a sampler that
knows the game repairs it. Bottom: share of K = 4 games with the property whose minimiser keeps it
(simulated), by kind of game and sampler: uniform; random or nearly always one response, both fixed
before the game; tuned to game and property by a linear programme. Frames are what is proved, always
(blue) or never (orange). "Built to fail" is built against the sampler of its column (against the
uniform one in the last); "out of reach" is a transitive game whose order no sampler keeps.
"""
CLAIMS = ("IPO-1", "IPO-3", "IPO-4", "IPO-5", "IPO-6")

BETA = 0.5
GAMES = 100
K = 4
PROPERTIES = ("top", "smith", "order")
PROPERTY_NAMES = ("Condorcet winner first", "Smith set on top", "whole order kept")
SAMPLERS = ("uniform", "random", "nearly\none", "tuned")
CLASSES = ("built to fail", "random", "transitive", "strongly transitive", "out of reach")
PROVED = {  # (class, sampler) -> share; properties of PROPERTIES to which it applies
    ("built to fail", 0): (0, 0, 0),
    ("built to fail", 1): (0, 0, 0),
    ("built to fail", 2): (0, 0, 0),
    ("built to fail", 3): (1, 1, None),
    ("random", 3): (1, 1, None),
    ("transitive", 3): (1, 1, None),
    **{("strongly transitive", sampler): (1, 1, 1) for sampler in range(4)},
    ("out of reach", 0): (None, None, 0),
    ("out of reach", 1): (None, None, 0),
    ("out of reach", 2): (None, None, 0),
    ("out of reach", 3): (1, 1, 0),
}


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Shares (class, sampler, property) of games whose property the IPO minimiser keeps."""
    rng = np.random.default_rng(seed)
    kept = np.full((len(CLASSES), len(SAMPLERS), len(PROPERTIES)), np.nan)
    for row, kind in enumerate(CLASSES):
        for column, mu in enumerate(_fixed_samplers(rng)):
            games = _games(kind, mu, rng)
            ranking = minimiser(games, mu)
            kept[row, column] = [_share(games, ranking, name) for name in PROPERTIES]
        games = _games(kind, np.full((GAMES, K), 1 / K), rng)
        for k, name in enumerate(PROPERTIES):
            mu = np.stack([tuned(game, differences(game, name)) for game in games])
            kept[row, -1, k] = _share(games, minimiser(games, mu), name)

    uniform = np.full(K, 1 / K)
    example = built_to_fail(uniform)
    shown = np.stack([uniform, tuned(example, differences(example, "top"))])
    return {
        "kept": kept,
        "example_P": example.P,
        "example_mu": shown,
        "win_rates": shown @ example.P.T,
        "log_policy": minimiser(example, shown),
    }


def minimiser(games: PreferenceMatrix, mu: np.ndarray) -> np.ndarray:
    """Log-probabilities of the policy that minimises the IPO loss, found by Newton's method."""
    rule = MRS(games, "ipo", beta=BETA, alpha=0.0, lam=0.0, offline=mu)
    return rule.log_policy(rule.step(rule.init(np.full(games.K, 1 / games.K)), 0, None))


def differences(game: PreferenceMatrix, name: str) -> list[tuple[int, int]]:
    """Pairs (upper, lower) that a property asks for; none if the game has nothing to lose."""
    others = range(game.K)
    if name == "top":
        winner = condorcet_winner(game)
        return [] if winner is None else [(winner, j) for j in others if j != winner]
    if name == "smith":
        best = smith_set(game)
        return [(i, j) for i in best for j in others if j not in best]
    if not is_transitive(game):
        return []
    order = [int(i) for i in np.argsort(-copeland(game))]
    return list(pairwise(order))


def tuned(game: PreferenceMatrix, pairs: list[tuple[int, int]]) -> np.ndarray:
    """The sampler of largest margin (IPO-4), given full support; uniform if nothing is asked."""
    uniform = np.full(game.K, 1 / game.K)
    return 0.999 * ranking_margin(game, pairs)[1] + 0.001 * uniform if pairs else uniform


def built_to_fail(mu: np.ndarray) -> PreferenceMatrix:
    """Transitive game whose Condorcet winner is not ranked first under the sampler mu (IPO-3).

    Of the two responses sampled least, the first beats everyone narrowly and the second everyone
    else for certain.
    """
    order = np.argsort(mu, kind="stable")
    eps = 0.05 * mu[order[2:]].sum()
    A = np.triu(np.full((len(mu), len(mu)), eps), 1)
    A[1, 2:] = 0.5
    A = A - A.T
    position = np.argsort(order)
    return PreferenceMatrix(0.5 + A[position[:, None], position])


def out_of_reach() -> PreferenceMatrix:
    """Transitive game 0 > 1 > 2 > 3 whose order no sampler keeps (IPO-5)."""
    A = np.zeros((4, 4))
    A[np.triu_indices(4, 1)] = 0.05, 0.2, 0.05, 0.4, 0.2, 0.05
    return PreferenceMatrix(0.5 + A - A.T)


def _fixed_samplers(rng: np.random.Generator) -> list[np.ndarray]:
    """One sampler per game (games, K), chosen before the game, of each kind."""
    drawn = 0.9 * rng.dirichlet(np.ones(K), size=GAMES) + 0.1 / K
    peaked = 0.96 * np.eye(K)[rng.integers(K, size=GAMES)] + 0.01
    return [np.full((GAMES, K), 1 / K), drawn, peaked]


def _games(kind: str, mu: np.ndarray, rng: np.random.Generator) -> PreferenceMatrix:
    if kind == "built to fail":
        return PreferenceMatrix(np.stack([built_to_fail(one).P for one in mu]))
    if kind == "out of reach":
        return PreferenceMatrix(np.broadcast_to(out_of_reach().P, (GAMES, K, K)))
    if kind == "strongly transitive":
        return strongly_transitive(K, rng, strict=True, size=GAMES)
    games = random(K, rng, size=GAMES)
    if kind == "random":
        return games
    upper = np.triu(np.abs(games.skew))
    return PreferenceMatrix(0.5 + upper - upper.swapaxes(-1, -2))


def _share(games: PreferenceMatrix, ranking: np.ndarray, name: str) -> float:
    """Share of the games with a property whose ranking keeps it; NaN if none has it."""
    verdicts = [
        all(logits[i] > logits[j] for i, j in pairs)
        for game, logits in zip(games, ranking, strict=True)
        if (pairs := differences(game, name))
    ]
    return float(np.mean(verdicts)) if verdicts else np.nan


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """How many cells are as proved."""
    agree = [
        data["kept"][CLASSES.index(kind), sampler, k] == expected
        for (kind, sampler), proved in PROVED.items()
        for k, expected in enumerate(proved)
        if expected is not None
    ]
    return [f"{sum(agree)} of the {len(agree)} framed cells are as proved."]


def draw(data: dict[str, np.ndarray]) -> Figure:
    """Bars of the example above, one table per property below."""
    drawing = figure(5.4)
    axes = drawing.subplot_mosaic("aaabbb;ccddee", height_ratios=(1, 1.4))
    _draw_example([axes["a"], axes["b"]], data)
    for k, name in enumerate(PROPERTY_NAMES):
        ax = axes["cde"[k]]
        shares = data["kept"][..., k]
        ax.imshow(shares, cmap="Greys", vmin=0, vmax=2.5, aspect="auto")
        for row, column in np.ndindex(shares.shape):
            share = shares[row, column]
            text = "–" if np.isnan(share) else f"{share:.0%}"
            ax.text(column, row, text, ha="center", va="center", fontsize=7.5)
            proved = PROVED.get((CLASSES[row], column), (None,) * 3)[k]
            if proved is not None:
                colour = BLUE if proved else VERMILION
                corner = (column - 0.44, row - 0.42)
                ax.add_patch(_frame(corner, 0.88, 0.84, colour))
        ax.set_xticks(range(len(SAMPLERS)), SAMPLERS, fontsize=6.5)
        ax.set_yticks(range(len(CLASSES)), CLASSES if k == 0 else [])
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        panel(ax, "cde"[k], name)
    return drawing


def _draw_example(axes: list[Any], data: dict[str, np.ndarray]) -> None:
    winner = condorcet_winner(PreferenceMatrix(data["example_P"]))
    titles = ("uniform sampler", "sampler tuned to the game")
    for k, (ax, title) in enumerate(zip(axes, titles, strict=True)):
        colours = np.where(np.arange(K) == winner, BLUE, GREY)
        ax.bar(range(K), data["win_rates"][k], color=colours, width=0.6)
        log_policy = data["log_policy"][k]
        shown = 0.5 + BETA * (log_policy - data["example_mu"][k] @ log_policy)
        ax.plot(range(K), shown, "o", color=BLACK, markersize=5)
        for i, share in enumerate(data["example_mu"][k]):
            ax.text(i, 0.03, f"{share:.2f}", ha="center", color="white", fontsize=8)
        ax.set_xticks(range(K), ["Condorcet\nwinner", *(f"response {i}" for i in range(1, K))])
        panel(ax, "ab"[k], title)
        ax.set_xlabel("white: shares of the sampler")
        ax.set(ylabel="win rate", ylim=(0, 1))


def _frame(corner: tuple[float, float], width: float, height: float, colour: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(corner, width, height, fill=False, edgecolor=colour, linewidth=1.6)
