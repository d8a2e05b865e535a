"""Every rule on the same game: rounds to the equilibrium, exact and on votes."""

import numpy as np
from matplotlib.figure import Figure

from prefdyn import (
    EGPO,
    IPOMD,
    FiniteSample,
    NashMD,
    NashMDPG,
    OnlineIPO,
    Rule,
    fixed_point,
    online_mirror_descent,
    orbit,
    sppo,
    stability,
)
from prefdyn.games import PreferenceMatrix, kl_to, random
from prefdyn.plots.house import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SIMULATED,
    SKY,
    VERMILION,
    figure,
    panel,
)
from prefdyn.policies import centre, log_softmax

TITLE = "Every rule on the same game"
CAPTION = """
Three responses that beat each other in a circle with win rates 0.98, 0.9 and 0.8, reference (0.5,
0.3, 0.2); the equilibrium pi* is that of the game regularised by tau KL(pi || ref), tau = 0.05,
where tau is the pull to the reference that beta is elsewhere. All rules take steps of the same
strength: eta = 0.9 in logits, rates K eta tau/4 (IPO forms) and K eta (policy gradient) that come
to it at a uniform policy; Nash-MD-PG and IPO-MD mix the share eta tau of the reference into the
opponent, as Nash-MD with constant eta does. a, b: exact rounds, KL(pi* || pi_t), simulated (solid);
published bounds (dotted): (1 - eta tau)^t of EGPO (of mirror descent for smaller eta only),
8/(tau^2 (t + 1)) of Nash-MD with decreasing eta; predicted distance of the biased rest point that
Nash-MD with constant eta, IPO-MD and Nash-MD-PG share (grey, dashed). c: 150 votes a round, mean
over 30 runs: mirror rules ask 50 about each pair (EGPO 25 in each half), gradient rules ask one
about each of 150 pairs that they draw. d: factor per round on twelve random games of four responses
with random tau, eta and reference, predicted from the Jacobian, against the decay of a simulated
perturbation. Colours in c and d are those of a and b.
"""
CLAIMS = ("GAME-3", "GAME-4", "GAME-5", "GAME-6", "GAME-7")

GAME = PreferenceMatrix([[0.5, 0.98, 0.2], [0.02, 0.5, 0.9], [0.8, 0.1, 0.5]])
REFERENCE = np.array([0.5, 0.3, 0.2])
START = np.array([0.1, 0.2, 0.7])
TAU, ETA = 0.05, 0.9
ROUNDS = 500
VOTES, RUNS = 150, 30
GAMES, K = 12, 4
SEEN = 2000
"""Rounds in which a perturbation dies out, at most."""
COLOURS = {
    "mirror descent": BLUE,
    "EGPO": VERMILION,
    "Nash-MD": GREEN,
    "Nash-MD, decreasing": ORANGE,
    "SPPO": BLACK,
    "online IPO": SKY,
    "IPO-MD": PURPLE,
    "Nash-MD-PG": GREY,
}
MIRROR = tuple(COLOURS)[:5]
GRADIENT = tuple(COLOURS)[5:]


def solvers(game: PreferenceMatrix, eta, tau, reference) -> dict[str, Rule]:
    """The rules of the figure with steps of one strength; arrays are a batch."""
    K, share = game.K, eta * tau
    slow, fast = K * share / 4, K * eta
    return {
        "mirror descent": online_mirror_descent(game, eta, tau, reference),
        "EGPO": EGPO(game, eta, tau, reference),
        "Nash-MD": NashMD(game, eta, tau, reference),
        "Nash-MD, decreasing": NashMD(game, None, tau, reference),
        "SPPO": sppo(game, eta),
        "online IPO": OnlineIPO(game, slow, tau, reference=reference),
        "IPO-MD": IPOMD(game, slow, tau, share, reference=reference),
        "Nash-MD-PG": NashMDPG(game, fast, tau, share, reference=reference),
    }


def on_votes(name: str, rule: Rule) -> FiniteSample:
    """The rule on `VOTES` votes a round."""
    per_pair = VOTES // 3
    votes = {"EGPO": per_pair // 2} | dict.fromkeys(GRADIENT, VOTES)
    return FiniteSample(rule, votes.get(name, per_pair))


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Distances of exact and sampled runs, published bounds, and rates on many games."""
    rules = solvers(GAME, ETA, TAU, REFERENCE)
    star = fixed_point(rules["mirror descent"]).policy
    data: dict[str, np.ndarray] = {"rounds": np.arange(ROUNDS + 1)}
    for name, rule in rules.items():
        run = orbit(rule, START, ROUNDS, tolerance=0)
        data[f"exact {name}"] = kl_to(np.log(star), run.log_policies, log=True)
        noisy = orbit(on_votes(name, rule), np.tile(START, (RUNS, 1)), ROUNDS, seed=seed)
        distances = kl_to(np.log(star), noisy.log_policies, log=True)
        data[f"sampled {name}"] = distances.mean(axis=1)
    biased = fixed_point(rules["Nash-MD"]).policy
    data["bias"] = np.array(kl_to(star, biased))
    data["rested"] = np.array([data[f"exact {name}"][-1] for name in ("Nash-MD", *GRADIENT[1:])])
    first = data["exact mirror descent"][0]
    data["linear bound"] = first * (1 - ETA * TAU) ** data["rounds"]
    data["decreasing bound"] = 8 / (TAU**2 * (data["rounds"] + 1))
    predicted, measured, names = rates(np.random.default_rng(seed))
    return data | {"predicted": predicted, "measured": measured, "names": names}


def rates(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Factors per round of every rule that settles, on random games with random steps."""
    games = random(K, rng, size=GAMES)
    tau = np.exp(rng.uniform(np.log(0.1), np.log(0.5), GAMES))
    eta = rng.uniform(0.05, 0.3, GAMES) / tau
    reference = 0.8 * rng.dirichlet(np.ones(K), GAMES) + 0.2 / K
    predicted, measured, names = [], [], []
    for name, rule in solvers(games, eta, tau, reference).items():
        if name in ("Nash-MD, decreasing", "SPPO"):
            continue  # no multipliers, no fixed point that attracts
        radius = np.asarray(stability(rule).spectral_radius)
        found = decay(rule, rng)
        seen = np.isfinite(found) & (radius < 1)
        predicted.append(radius[seen])
        measured.append(found[seen])
        names += [name] * int(seen.sum())
    return np.concatenate(predicted), np.concatenate(measured), np.array(names)


def decay(rule: Rule, rng: np.random.Generator) -> np.ndarray:
    """Factor per round by which a small perturbation dies out; NaN where it is too fast to see."""
    point = fixed_point(rule).log_policy
    start = log_softmax(point + 1e-2 * rng.normal(size=point.shape))
    run = orbit(rule, log_start=start, rounds=SEEN, tolerance=0)
    distance = np.linalg.norm(centre(run.log_policies - point), axis=-1)
    found = np.full(distance.shape[1], np.nan)
    for b, curve in enumerate(distance.T):
        late = np.flatnonzero((curve < 1e-4) & (curve > 1e-11))
        if len(late) > 40:
            found[b] = np.exp(np.polyfit(late, np.log(curve[late]), 1)[0])
    return found


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Who ends where, how exact the rates are, and the noise floors."""
    error = np.abs(data["measured"] / data["predicted"] - 1).max()
    floors = sorted((data[f"sampled {name}"][-200:].mean(), name) for name in COLOURS)
    best, worst = floors[0], floors[-1]
    off = np.abs(data["rested"] / data["bias"] - 1).max()
    return [
        f"Predicted and measured factors of {len(data['measured'])} runs differ by at most "
        f"{error:.2%}.",
        f"After {len(data['rounds']) - 1} exact rounds EGPO is within "
        f"{max(data['exact EGPO'][-1], 1e-15):.0e} of the equilibrium, mirror descent "
        f"{data['exact mirror descent'][-1]:.0e} away; Nash-MD with a constant step, IPO-MD and "
        "Nash-MD-PG are at the predicted "
        f"bias of {data['bias']:.2g} to within {off:.3%}.",
        f"On votes {best[1]} stays closest (KL {best[0]:.2g} over the last 200 rounds), "
        f"{worst[1]} farthest ({worst[0]:.2g}).",
    ]


def draw(data: dict[str, np.ndarray]) -> Figure:
    """Two panels of exact runs, one on votes, one of rates."""
    drawing = figure(6.0)
    axes = drawing.subplots(2, 2)
    rounds = data["rounds"]
    for ax, names in ((axes[0, 0], MIRROR), (axes[0, 1], GRADIENT)):
        for name in names:
            dashes = "dashed" if name == "Nash-MD-PG" else "solid"  # IPO-MD is beneath it
            curve = data[f"exact {name}"]
            ax.semilogy(rounds, curve, color=COLOURS[name], label=name, linestyle=dashes)
        ax.set(xlabel="round", ylabel=r"KL($\pi^*\,\|\,\pi_t$), nats", ylim=(1e-13, 1e7))
        ax.axhline(data["bias"], color=GREY, linestyle="dashed", linewidth=0.9, zorder=1)
        ax.text(rounds[-1], 1.5 * data["bias"], "predicted bias", ha="right", fontsize=7.5)
    bounds = {"color": BLACK, "linestyle": "dotted", "linewidth": 1.1}
    axes[0, 0].semilogy(rounds, data["linear bound"], **bounds, label="published bounds")
    axes[0, 0].semilogy(rounds[1:], data["decreasing bound"][1:], **bounds)
    for name in COLOURS:
        axes[1, 0].semilogy(rounds, data[f"sampled {name}"], color=COLOURS[name], linewidth=1.0)
    axes[1, 0].set(xlabel="round", ylabel=r"KL($\pi^*\,\|\,\pi_t$), nats", ylim=(1e-5, 30))
    corner = axes[1, 1]
    for name in COLOURS:
        own = data["names"] == name
        corner.plot(data["predicted"][own], data["measured"][own], color=COLOURS[name], **SIMULATED)
    corner.plot([0.6, 1], [0.6, 1], color=BLACK, linewidth=0.9, zorder=1)
    corner.set(xlabel="predicted factor per round", ylabel="measured factor per round")
    panel(axes[0, 0], "a", "exact rounds")
    panel(axes[0, 1], "b", "exact gradient steps")
    panel(axes[1, 0], "c", f"{VOTES} votes a round")
    panel(corner, "d", "local rates")
    axes[0, 0].legend(loc="upper right", ncols=2, fontsize=7)
    axes[0, 1].legend(loc="upper right", fontsize=7.5)
    return drawing
