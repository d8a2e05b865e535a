"""DPO on pairs from a sampler: linear against quadratic convergence, votes, and where it leads."""

import numpy as np
from matplotlib.figure import Figure

from prefdyn import FiniteSample, Rule, SampledDPO, fixed_point, orbit
from prefdyn.games import PreferenceMatrix, bradley_terry, rock_paper_scissors
from prefdyn.plots.house import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SIMULATED,
    VERMILION,
    figure,
    panel,
)

TITLE = "Samplers of online DPO"
CAPTION = """
Twenty responses with rewards in [0, 1], DPO with beta = 3 (the pull to the reference, which is
uniform), one gradient step a round. a: largest error of a reward gap r_i - r_j - beta (u_i - u_j)
against the round, simulated: uniform, Mix-R and Mix-P pairs at the matched rate Z/(2 beta^2 K);
Mix-P at the rate that is matched at the start only; pairs from the policy and PILAF pairs at the
rate 2K/beta^2. Predicted for uniform pairs: the factor |1 - (4/K) L| per round (line); published:
never above 0.588^t (dotted). b: the same errors, each against the one before; predicted slopes 1
and 2, and the bound e^2/2 (line). c: with n drawn pairs and one vote on each in a round, the error
settles at a floor, the mean of rounds 20 to 60, which falls as 1/sqrt(n) (line); quadratic
convergence buys nothing there. d: rock-paper-scissors with two copies of rock and win rates 1/2 +-
0.4, beta = 0.5: the policies at which the samplers rest; off reward models they choose the
destination.
"""
CLAIMS = ("GAME-8", "GAME-9", "GAME-10")

K, BETA = 20, 3.0
ROUNDS = 12
VOTES = np.array([10**3, 10**4, 10**5, 10**6])
VOTED_ROUNDS, FIRST = 60, 20
CURVES = {
    "uniform": BLUE,
    "Mix-R": VERMILION,
    "Mix-P": GREEN,
    "Mix-P, constant rate": ORANGE,
    "on policy": PURPLE,
    "PILAF": GREY,
}
COPIES = [0, 0, 1, 2]


def rules(rewards: np.ndarray) -> dict[str, Rule]:
    """The curves of panels a and b."""
    game, plain = bradley_terry(rewards), 2 * K / BETA**2
    return {
        "uniform": SampledDPO(game, None, BETA, "uniform"),
        "Mix-R": SampledDPO(game, None, BETA, "mix_r"),
        "Mix-P": SampledDPO(game, None, BETA, "mix_p"),
        "Mix-P, constant rate": SampledDPO(game, plain, BETA, "mix_p"),
        "on policy": SampledDPO(game, plain, BETA, "on_policy"),
        "PILAF": SampledDPO(game, plain, BETA, "pilaf"),
    }


def errors(rule: Rule, rewards: np.ndarray, rounds: int, seed: int) -> np.ndarray:
    """Largest error of a reward gap after each round, from the uniform policy."""
    run = orbit(rule, np.full(K, 1 / K), rounds, tolerance=0, seed=seed)
    return np.ptp(rewards - BETA * run.log_policies, axis=-1)


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Errors without and with votes, the predicted linear factor, and rest points on a cycle."""
    rewards = np.random.default_rng(seed).uniform(0, 1, K)
    data: dict[str, np.ndarray] = {"rounds": np.arange(ROUNDS + 1), "votes": VOTES}
    for name, rule in rules(rewards).items():
        data[f"error {name}"] = errors(rule, rewards, ROUNDS, seed)
    gap = rewards[:, None] - rewards
    slope = 1 / (2 + np.exp(gap) + np.exp(-gap))
    laplacian = np.diag(slope.sum(1)) - slope
    factors = np.sort(np.abs(1 - 4 * np.linalg.eigvalsh(laplacian) / K))
    data["linear factor"] = factors[-2]
    for name in ("uniform", "Mix-P"):
        noisy = [FiniteSample(rules(rewards)[name], int(n)) for n in VOTES]
        curves = [errors(rule, rewards, VOTED_ROUNDS, seed) for rule in noisy]
        data[f"floor {name}"] = np.array([curve[FIRST:].mean() for curve in curves])
    game = rock_paper_scissors(0.4).P[np.ix_(COPIES, COPIES)]
    data["rest"] = rest_points(game)
    return data


def rest_points(P: np.ndarray) -> np.ndarray:
    """Policies (samplers, K) at which the six samplers come to rest."""
    names = ("uniform", "mix_r", "mix_p", "on_policy", "pilaf")
    game = PreferenceMatrix(P)
    return np.stack([fixed_point(SampledDPO(game, 0.1, 0.5, name)).policy for name in names])


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Measured factors, orders and floors."""
    uniform = data["error uniform"]
    measured = uniform[8] / uniform[7]
    orders = []
    for name in ("Mix-R", "Mix-P"):
        e = data[f"error {name}"]
        use = np.flatnonzero((e[1:] > 1e-13) & (e[:-1] < 0.5))
        orders.append(np.diff(np.log(e))[use][-1] / np.diff(np.log(e))[use - 1][-1])
    floors = data["floor uniform"], data["floor Mix-P"]
    slope = np.polyfit(np.log(data["votes"]), np.log(floors[1]), 1)[0]
    return [
        f"Uniform pairs shrink the error by {measured:.3f} a round (predicted in the "
        f"limit: {data['linear factor']:.3f}); Mix-R and Mix-P by the power {orders[0]:.2f} and "
        f"{orders[1]:.2f} of the factor before.",
        f"On votes the floor of Mix-P falls as n^{slope:.2f} and is "
        f"{(floors[1] / floors[0]).mean():.2f} times that of uniform pairs.",
        f"On the cycle with a copy the samplers' rest points differ by up to "
        f"{np.ptp(data['rest'], axis=0).max():.2f} in a probability.",
    ]


def draw(data: dict[str, np.ndarray]) -> Figure:
    """Errors against rounds, against each other, on votes; and rest points."""
    drawing = figure(6.0)
    axes = drawing.subplots(2, 2)
    rounds = data["rounds"]
    for name, colour in CURVES.items():
        e = data[f"error {name}"]
        seen = e > 5e-15
        axes[0, 0].semilogy(rounds[seen], e[seen], color=colour, label=name, **SIMULATED)
        axes[0, 0].semilogy(rounds[seen], e[seen], color=colour, linewidth=0.8)
        both = seen[1:] & seen[:-1]
        axes[0, 1].loglog(e[:-1][both], e[1:][both], color=colour, **SIMULATED)
    first = data["error uniform"]
    axes[0, 0].semilogy(
        rounds[1:], first[1] * data["linear factor"] ** (rounds[1:] - 1), color=BLACK, linewidth=1.0
    )
    bound = first[0] * 0.588**rounds
    axes[0, 0].semilogy(rounds, bound, color=BLACK, linestyle="dotted", linewidth=1.0)
    axes[0, 0].set(xlabel="round", ylabel="largest error of a reward gap", ylim=(1e-15, 1e4))
    axes[0, 0].legend(loc="upper right", fontsize=7, ncols=2)
    e = np.geomspace(1e-14, 1, 50)
    axes[0, 1].loglog(e, e**2 / 2, color=BLACK, linewidth=1.0)
    axes[0, 1].loglog(e, data["linear factor"] * e, color=BLACK, linewidth=1.0)
    axes[0, 1].set(xlabel="error", ylabel="error one round later", ylim=(1e-15, 3))
    votes = data["votes"]
    for name in ("uniform", "Mix-P"):
        axes[1, 0].loglog(votes, data[f"floor {name}"], color=CURVES[name], label=name, **SIMULATED)
    line = data["floor Mix-P"][0] * np.sqrt(votes[0] / votes)
    axes[1, 0].loglog(votes, line, color=BLACK, linewidth=1.0, label=r"$\propto 1/\sqrt{n}$")
    axes[1, 0].set(xlabel="votes n in a round", ylabel="error at the floor")
    axes[1, 0].set_yticks((0.03, 0.1, 0.3, 1), ("0.03", "0.1", "0.3", "1"))
    axes[1, 0].yaxis.set_minor_formatter("")
    axes[1, 0].legend(loc="upper right", fontsize=8)
    names = ("uniform", "Mix-R", "Mix-P", "on policy", "PILAF")
    for k, (name, policy) in enumerate(zip(names, data["rest"], strict=True)):
        place = np.arange(len(policy)) + 0.15 * (k - 2)
        axes[1, 1].bar(place, policy, width=0.13, color=CURVES[name], label=name)
    axes[1, 1].set_xticks(range(4), ("rock", "rock again", "scissors", "paper"))
    axes[1, 1].set(ylabel="probability at rest", ylim=(0, 0.6))
    axes[1, 1].legend(loc="upper left", fontsize=7, ncols=2)
    panel(axes[0, 0], "a", "exact gradients")
    panel(axes[0, 1], "b", "linear and quadratic")
    panel(axes[1, 0], "c", "on votes")
    panel(axes[1, 1], "d", "a cycle with a copy")
    return drawing
