"""Learning from votes how to sample: recovery, margins and numbers of votes."""

from itertools import islice

import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import brentq
from scipy.special import rel_entr

from prefdyn import (
    MRSIPO,
    AdaptiveSampler,
    PreferenceMatrix,
    learn_sampler,
    max_margin_sampler,
    orbit,
)
from prefdyn.games import Evidence, condorcet_winner, load, random, smith_set
from prefdyn.plots.house import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PREDICTED,
    PURPLE,
    SIMULATED,
    VERMILION,
    figure,
    panel,
)

TITLE = "A sampler that learns from votes"
CAPTION = """
a, b: share of games whose top (Condorcet winner or Smith set) the IPO optimum ranks first, by the
number of votes told (simulated, K = 5, 16 games). Blue: the sampler learned from votes on the pairs
that decide; orange: the same from votes spread over all pairs. Dashed, on up to 400 such games:
samplers fixed in advance, whatever the votes, and on-policy rounds that know the game (beta, the
pull to the reference, 0.5 and 0.05). a: random games with a proper Smith set, the top ahead by 0.02
or more. b: those of them on which the uniform sampler fails, and the game built against it (IPO-3).
c: built-in matrices; true margin of the learned sampler over that of the best sampler if the game
were known (simulated, medians of three runs; crosses: uniform sampler), rings: certified at 95
percent; a tenth is given up so that every response is sampled, and in Minneapolis, where an edge is
0.001, win rates within 0.05 of 1/2 count as ties. d: votes until the Condorcet winner is certified,
by its lead over all others (dots: simulated medians of seven games) and predicted from the evidence
per vote (lines); dotted: lower bound of any rule, K = 12. e: votes until certified, over those of
the adaptive rule, on random games with a Condorcet winner ahead by 0.05 or more, for elimination
and for all pairs alike (simulated; line: median).
"""
CLAIMS = ("VOTE-2", "VOTE-4", "VOTE-5", "VOTE-6", "IPO-3", "IPO-4")

K = 5
GAMES = 16
FIXED_GAMES = 400
LOOKS = np.array([10, 30, 100, 300, 1000, 3000, 10_000, 30_000])
LEAD = 0.02
DELTA = 0.05
PULLS = (0.5, 0.05)
BUILT_IN = {"pandalm": 0.0, "arxiv": 0.0, "cyclic": 0.0, "minneapolis": 0.05}
"""Matrices, and what counts as a tie: Minneapolis has an edge of 0.001."""
BATCHES = np.array([20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000])
RUNS = 7
MARGIN_RUNS = 3
SIZES = (3, 6, 12)
LEADS = np.array([0.02, 0.05, 0.1, 0.2, 0.4])
FIXED = ("uniform", "half on one", *(f"on-policy, {beta:g}" for beta in PULLS))
COLOURS = (BLUE, GREEN, VERMILION, PURPLE)


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Recovery by votes, margins on real games, and votes by lead and by rule of asking."""
    rng = np.random.default_rng(seed)
    data: dict[str, np.ndarray] = {
        "looks": LOOKS,
        "batches": BATCHES,
        "leads": LEADS,
        "sizes": np.array(SIZES),
    }
    games = (game for game in random(K, rng, size=20_000) if lead(game) >= LEAD)
    plain = list(islice(games, FIXED_GAMES))
    hard = (game for game in games if not ranked(game, game.P @ uniform(K)))
    hard = [built_to_fail(), *islice(hard, FIXED_GAMES - 1)]
    for name, family in (("plain", plain), ("hard", hard)):
        data[f"{name}_adaptive"] = recovery(family[:GAMES], Evidence.decisive, rng)
        data[f"{name}_everywhere"] = recovery(family[:GAMES], everywhere, rng)
        data[f"{name}_fixed"] = fixed(family)
    for name, tie in BUILT_IN.items():
        runs = [margins(load(name), tie, rng) for _ in range(MARGIN_RUNS)]
        data[f"{name}_margin"] = np.median([run[0] for run in runs], axis=0)
        data[f"{name}_certified"] = np.array(np.median([run[1] for run in runs]))
        data[f"{name}_uniform"] = np.array(share_of_best(load(name), uniform(load(name).K)))
    votes = [[votes_of(size, gap, rng) for gap in LEADS] for size in SIZES]
    data["votes"] = np.array(votes)
    data["predicted"] = np.array([[predicted(size, gap) for gap in LEADS] for size in SIZES])
    doubt = rel_entr(DELTA, 1 - DELTA) + rel_entr(1 - DELTA, DELTA)
    data["lower"] = doubt * (SIZES[-1] - 1) / information(LEADS)
    condorcet = [g for g in plain if condorcet_winner(g) is not None and lead(g) >= 0.05][:GAMES]
    data["costs"] = np.array([costs(game, rng) for game in condorcet])
    return data


# -------------------------------------------------------------------------------------- recovery


def uniform(size: int) -> np.ndarray:
    """The uniform sampler."""
    return np.full(size, 1 / size)


def sides(game: PreferenceMatrix) -> tuple[np.ndarray, np.ndarray]:
    """Flags of the Smith set and of the rest."""
    inside = np.isin(np.arange(game.K), smith_set(game))
    return inside, ~inside


def lead(game: PreferenceMatrix) -> float:
    """Smallest lead of a member of the Smith set over another response; 0 if all are members."""
    inside, outside = sides(game)
    return float(game.skew[np.ix_(inside, outside)].min(initial=0.5)) if outside.any() else 0.0


def ranked(game: PreferenceMatrix, ranking: np.ndarray) -> bool:
    """Whether a ranking has the whole Smith set on top."""
    inside, outside = sides(game)
    return bool(ranking[inside].min() > ranking[outside].max())


def recovers(game: PreferenceMatrix, mu: np.ndarray) -> bool:
    """Whether the IPO optimum under a sampler has the Smith set on top, from uniform."""
    rule = MRSIPO(game, beta=0.5, alpha=0.0, lam=0.0, offline=mu)
    return ranked(game, rule.log_policy(rule.step(rule.init(uniform(game.K)), 0, None)))


def fixed(family: list[PreferenceMatrix]) -> np.ndarray:
    """The share of games in which it has, for each of `FIXED`."""
    game = PreferenceMatrix(np.stack([one.P for one in family]))
    samplers = (uniform(K), 0.5 * np.eye(K)[-1] + 0.5 * uniform(K))
    rules = [MRSIPO(game, 0.5, alpha=0.0, lam=0.0, offline=mu) for mu in samplers]
    rules += [MRSIPO(game, beta, alpha=0.0, lam=1.0) for beta in PULLS]
    last = [orbit(rule, uniform(K), 300).policies[-1] for rule in rules]
    return np.array([np.mean(list(map(ranked, family, policies))) for policies in last])


def everywhere(evidence: Evidence) -> np.ndarray:
    """All pairs, asked alike."""
    return ~np.eye(evidence.K, dtype=bool)


def unsettled(evidence: Evidence) -> np.ndarray:
    """All pairs not settled yet: elimination."""
    return ~evidence.settled


def recovery(games: list[PreferenceMatrix], pairs, rng: np.random.Generator) -> np.ndarray:
    """Share of games and runs whose top is recovered after the votes of `LOOKS`."""
    found = []
    for game in games:
        run = learn_sampler(game, seed=rng, votes=int(LOOKS[-1]), growth=0.3, pairs=pairs)
        at = np.searchsorted(run.votes, LOOKS, side="right") - 1
        samplers = {k: run.history[k].sampler.policy for k in np.unique(at)}
        found.append([recovers(game, samplers[k]) for k in at])
    return np.mean(found, axis=0)


def built_to_fail() -> PreferenceMatrix:
    """Response 0 beats all narrowly, 1 all others for certain (IPO-3)."""
    ahead = np.triu(np.full((K, K), LEAD), 1)
    ahead[1, 2:] = 0.5
    return PreferenceMatrix(0.5 + ahead - ahead.T)


# ----------------------------------------------------------------------------------- real games


def share_of_best(game: PreferenceMatrix, mu: np.ndarray) -> float:
    """True margin of a sampler over the best possible one."""
    inside, outside = sides(game)
    rates = game.P @ mu
    best = max_margin_sampler(game, keep=1.0).margin
    return float(rates[inside].min() - rates[outside].max()) / best


def margins(game: PreferenceMatrix, tie: float, rng: np.random.Generator):
    """Share of the best margin after the votes of `BATCHES`, and votes until certified."""
    sampler, shares, certified = AdaptiveSampler(game.K, delta=DELTA, tolerance=tie), [], np.inf
    for total in BATCHES:
        for part in range(4, 0, -1):  # four batches, so that later votes build on earlier ones
            left = int(total - sampler.wins.sum())
            questions = sampler.ask(max(left // part, 1)) if left else ()
            for first, second, votes in questions:
                won = rng.binomial(votes, game.P[int(first), int(second)])
                sampler.tell([(first, second, won), (second, first, votes - won)])
        shares.append(share_of_best(game, sampler.sampler.policy))
        if sampler.certified:
            certified = min(certified, sampler.wins.sum())
    return shares, certified


# ------------------------------------------------------------------------------ numbers of votes


def information(p: np.ndarray | float) -> np.ndarray:
    """``kl(1/2 + p, 1/2)`` in nats per vote."""
    rate = 0.5 + np.asarray(p)
    return rel_entr(rate, 0.5) + rel_entr(1 - rate, 0.5)


def predicted(size: int, gap: float) -> float:
    """Votes that typically settle all pairs of the winner (VOTE-5)."""
    level = np.log(size * (size - 1) / 2 / DELTA)

    def excess(n: float) -> float:
        return float(n * information(gap) - level - np.log(np.pi * n / 2) / 2)

    return (size - 1) * float(brentq(excess, 1.0, 1e8))  # pyright: ignore[reportArgumentType]


def votes_of(size: int, gap: float, rng: np.random.Generator) -> float:
    """Median votes until certified, of games in which response 0 leads all others alike."""
    votes = []
    for _ in range(RUNS):
        P = random(size, rng, strength=0.4).P.copy()
        P[0, 1:] = 0.5 + gap
        P[1:, 0] = 0.5 - gap
        run = learn_sampler(PreferenceMatrix(P), seed=rng, votes=10**8, growth=0.2)
        votes.append(run.votes[-1])
    return float(np.median(votes))


def costs(game: PreferenceMatrix, rng: np.random.Generator) -> list[float]:
    """Votes until certified of elimination and of all pairs alike, over those of the adaptive."""
    adaptive, *others = (
        learn_sampler(game, seed=rng, votes=10**6, growth=0.2, pairs=pairs).votes[-1]
        for pairs in (Evidence.decisive, unsettled, everywhere)
    )
    return [other / adaptive for other in others]


# --------------------------------------------------------------------------------------- drawing


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Recovery at the end, the predicted numbers of votes, and what other rules cost."""
    ratio = data["votes"] / data["predicted"]
    elimination, alike = np.median(data["costs"], axis=0)
    slopes = np.polyfit(np.log(data["leads"]), np.log(data["votes"]).T, 1)[0]
    return [
        f"After {data['looks'][-1]:,} votes the learned sampler has the top first in "
        f"{data['plain_adaptive'][-1]:.0%} of the random games (uniform: "
        f"{data['plain_fixed'][0]:.0%}) and in {data['hard_adaptive'][-1]:.0%} of those on which "
        "the uniform sampler fails.",
        f"Votes until certified are {ratio.min():.2f} to {ratio.max():.2f} times the predicted "
        f"ones; they fall with the lead with exponents {slopes.min():.2f} to {slopes.max():.2f}.",
        f"Elimination costs {elimination:.1f} times and asking all pairs alike {alike:.1f} times "
        "as many votes (medians).",
    ]


def draw(data: dict[str, np.ndarray]) -> Figure:
    """Recovery above, margins and votes below."""
    drawing = figure(5.2)
    axes = drawing.subplot_mosaic("aaabbb;ccddee")
    titles = {"plain": "random games", "hard": "games on which uniform fails"}
    for letter, (name, title) in zip("ab", titles.items(), strict=True):
        ax = axes[letter]
        ax.semilogx(data["looks"], data[f"{name}_adaptive"], "o-", color=BLUE, label="learned")
        ax.semilogx(
            data["looks"], data[f"{name}_everywhere"], "s-", color=ORANGE, label="all pairs alike"
        )
        styles = zip(FIXED, data[f"{name}_fixed"], (GREY, BLACK, PURPLE, GREEN), strict=True)
        for k, (label, share, colour) in enumerate(styles):
            ax.axhline(share, color=colour, linestyle=(0, (4, 2 + k)), linewidth=1.2, label=label)
        ax.set(xlabel="votes told, in all", ylabel="share with the top first", ylim=(-0.05, 1.05))
        panel(ax, letter, title)
    axes["b"].legend(loc="lower right", bbox_to_anchor=(1, 0.08), fontsize=7, ncols=2)
    ax = axes["c"]
    for name, colour in zip(BUILT_IN, COLOURS, strict=True):
        shares = data[f"{name}_margin"]
        ax.semilogx(data["batches"], shares, color=colour, label=name)
        ax.plot(data["batches"][0] / 1.6, data[f"{name}_uniform"], "x", color=colour)
        at = np.searchsorted(data["batches"], data[f"{name}_certified"])
        if at < len(shares):
            ax.plot(data["batches"][at], shares[at], "o", color=colour, markerfacecolor="white")
    ax.set(xlabel="votes told, in all", ylabel="share of the best margin", ylim=(0, 1.05))
    ax.legend(fontsize=7, loc="lower left")
    panel(ax, "c", "built-in matrices")
    ax = axes["d"]
    for size, votes, line, colour in zip(
        data["sizes"], data["votes"], data["predicted"], COLOURS, strict=False
    ):
        ax.loglog(data["leads"], line, color=colour, label=f"K = {size}", **PREDICTED)
        ax.loglog(data["leads"], votes, color=colour, **SIMULATED)
    ax.loglog(data["leads"], data["lower"], color=VERMILION, linestyle="dotted")
    ax.set(xlabel="lead of the winner", ylabel="votes until certified")
    ax.set_xticks(data["leads"], [f"{lead:g}" for lead in data["leads"]])
    ax.minorticks_off()
    ax.legend()
    panel(ax, "d", "votes by lead")
    ax = axes["e"]
    rng = np.random.default_rng(0)
    for k, column in enumerate(data["costs"].T):
        spread = k + rng.uniform(-0.15, 0.15, len(column))
        ax.semilogy(spread, column, color=(GREEN, ORANGE)[k], **SIMULATED)
        ax.plot([k - 0.3, k + 0.3], [np.median(column)] * 2, color=BLACK)
    ax.axhline(1, color=GREY, linewidth=0.8, linestyle="dotted")
    ax.set_xticks([0, 1], ["elimination", "all pairs\nalike"])
    ax.set(xlim=(-0.6, 1.6), ylabel="votes / adaptive votes")
    ax.set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    ax.minorticks_off()
    panel(ax, "e", "other ways to ask")
    return drawing
