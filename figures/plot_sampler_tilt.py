"""Tilting the sampler to strong opponents: which gaps widen, and which do not."""

import numpy as np
from matplotlib.figure import Figure

from prefdyn import MRS, PreferenceMatrix
from prefdyn.games import bradley_terry, strongly_transitive
from prefdyn.plots.house import BLUE, GREEN, GREY, PREDICTED, SIMULATED, VERMILION, figure, panel

TITLE = "Sampling the strong more often"
CAPTION = """
One round of IPO from a uniform reference, beta = 0.5 (the pull to the reference), as sampling mass
moves to the best of four ranked responses. a, b: log-odds between neighbours in rank; predicted
(lines) from the difference of their win rates against the sampler, simulated (dots) by minimising
the loss. Bradley-Terry with rewards 2, 1, 0, -1: the top gap widens and the lower ones shrink;
additive preferences: the sampler does not matter. c: simulated distribution of the change of the
gap in win rate in 3,000 random strongly transitive games when mass moves one or more ranks up;
where the advantage over the lower neighbour falls with the rank of the opponent (condition, blue)
no gap may shrink, elsewhere (orange) both happen. Only additive preferences meet the condition in
every gap, because what i gains between opponents k and k + 1 is what k loses between i and i + 1.
"""
CLAIMS = ("IPO-7", "IPO-8")

BETA = 0.5
REWARDS = np.array([2.0, 1.0, 0.0, -1.0])
ADDITIVE = np.array([0.25, 0.08, -0.03, -0.22])
MASS = np.linspace(0.25, 0.97, 13)
DRAWS = 3000
COLOURS = (BLUE, GREEN, VERMILION)


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Gaps between neighbours by mass on the top response, and their changes in random games."""
    K = len(REWARDS)
    mu = np.column_stack([MASS, *[(1 - MASS) / (K - 1)] * (K - 1)])
    games = {
        "bradley_terry": bradley_terry(REWARDS),
        "additive": PreferenceMatrix(0.5 + ADDITIVE[:, None] - ADDITIVE),
    }
    data = {"mass": MASS}
    for name, game in games.items():
        data[f"{name}_predicted"] = (mu @ advantages(game).T) / BETA
        data[f"{name}_simulated"] = -np.diff(minimiser(game, mu), axis=-1)

    rng = np.random.default_rng(seed)
    drawn = strongly_transitive(K, rng, strict=True, size=DRAWS)
    before = rng.dirichlet(np.ones(K), size=DRAWS)
    change = _moved_up(before, rng)
    advantage = advantages(drawn)
    data["condition"] = np.all(np.diff(advantage, axis=-1) <= 0, axis=-1)
    data["change"] = (
        np.diff(minimiser(drawn, before), axis=-1)
        - np.diff(minimiser(drawn, before + change), axis=-1)
    ) * BETA
    return data


def advantages(game: PreferenceMatrix) -> np.ndarray:
    """``P_ik - P_jk`` of neighbours i, j = i + 1 in rank against opponent k, (..., K - 1, K)."""
    return -np.diff(game.P, axis=-2)


def minimiser(game: PreferenceMatrix, mu: np.ndarray) -> np.ndarray:
    """Log-probabilities of the policy that minimises the IPO loss, found by Newton's method."""
    rule = MRS(game, "ipo", beta=BETA, alpha=0.0, lam=0.0, offline=mu)
    return rule.log_policy(rule.step(rule.init(np.full(game.K, 1 / game.K)), 0, None))


def _moved_up(mu: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change of the sampler when half the mass of some response goes to a better one."""
    n, K = mu.shape
    worse = rng.integers(1, K, size=n)
    better = rng.integers(0, worse)
    moved = 0.5 * mu[np.arange(n), worse]
    change = np.zeros_like(mu)
    change[np.arange(n), better] += moved
    change[np.arange(n), worse] -= moved
    return change


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """How often gaps shrink with and without the condition."""
    condition, change = data["condition"], data["change"]
    return [
        f"Where the condition holds ({condition.sum()} gaps) the largest shrinkage is "
        f"{max(0.0, -change[condition].min()):.1e}; where it fails ({(~condition).sum()} gaps) "
        f"{np.mean(change[~condition] < 0):.0%} of the gaps shrink."
    ]


def draw(data: dict[str, np.ndarray]) -> Figure:
    """Two games side by side, and random ones."""
    drawing = figure(2.9)
    axes = drawing.subplots(1, 3, width_ratios=(1, 1, 1.1))
    titles = {"bradley_terry": "Bradley-Terry", "additive": "additive"}
    for k, (name, title) in enumerate(titles.items()):
        for i, colour in enumerate(COLOURS):
            label = f"{i + 1} over {i + 2}"
            predicted, simulated = data[f"{name}_predicted"], data[f"{name}_simulated"]
            axes[k].plot(data["mass"], predicted[:, i], color=colour, label=label, **PREDICTED)
            axes[k].plot(data["mass"], simulated[:, i], color=colour, **SIMULATED)
        axes[k].set(xlabel="mass on the best response", ylim=(0, 0.5))
        panel(axes[k], "ab"[k], title)
    axes[0].set_ylabel("gap in log-probability (nats)")
    axes[0].legend(title="ranks")
    for holds, colour, label in ((True, BLUE, "holds"), (False, VERMILION, "fails")):
        axes[2].ecdf(data["change"][data["condition"] == holds], color=colour, label=label)
    axes[2].axvline(0, color=GREY, linewidth=0.8, linestyle="dotted")
    axes[2].set(
        xlim=(-0.05, 0.05),
        xticks=(-0.04, 0, 0.04),
        xlabel="change of the gap in win rate",
        ylabel="share of gaps that change less",
    )
    axes[2].legend(title="condition", loc="lower right")
    panel(axes[2], "c", "random strongly transitive")
    return drawing
