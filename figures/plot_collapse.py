"""Figure: how close MRS-IPO comes to a single response, and how fast it gets there at alpha = 1."""

from typing import Any

import numpy as np
from matplotlib import colormaps

from prefdyn import MRSIPO, ensemble, fixed_point, games, orbit
from prefdyn.plots.house import (
    BLACK,
    GREY,
    PALETTE,
    PREDICTED,
    SEQUENTIAL,
    SIMULATED,
    figure,
    panel,
)
from prefdyn.policies import entropy

TITLE = "Collapse: how far it goes, and how fast at α = 1"
CAPTION = """
Lines are predicted, dots are simulated: MRS-IPO on a random, strictly strongly transitive game
over four responses, uniform reference and offline sampler. (a) alpha = 0.5: entropy of the fixed
point (lines, Newton's method) and of the policy after 1,000 rounds (dots) against the controlling
ratio. The dashed line is the largest entropy that the bound on the log-odds of the best response
leaves room for; it holds for every lam, also for 0: fully offline sampling collapses too. (b)
alpha = 1, beta = 1: entropy in each round (dots), which falls to 0 for good, and decay at the
predicted rate (lines, each with one constant taken from its last round shown); dashed, the bound.
(c) Growth per round of the log-odds of the best response against each other one at alpha = 1:
predicted (lines), measured over rounds 1,000 to 2,000 (dots), lower bounds (dashed). beta is the
pull to the reference; the paper's beta is 1/beta, and its ratio contains lam, which ours does not.
"""
CLAIMS = ("MRS-3", "MRS-11", "MRS-12")

K = 4
ALPHA = 0.5
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Limits, bounds and rates by formula and Newton's method; entropies by iterating."""
    game = games.strongly_transitive(K, seed, strict=True)
    lead = (game.P[0] - game.P[1:]).min(axis=-1)  # delta_j, the least by which 0 dominates j
    return {"P": game.P, "lead": lead, **_limit(game, lead), **_alone(game, lead)}


def _limit(game: games.PreferenceMatrix, lead: np.ndarray) -> dict[str, np.ndarray]:
    lam = np.array(SHARES)
    line, ratio = np.geomspace(0.3, 1000, 120), np.geomspace(0.3, 1000, 22)

    def rule(ratio: np.ndarray) -> MRSIPO:
        return MRSIPO(game, 1 / ((1 - ALPHA) * ratio), ALPHA, lam[:, None])

    run = ensemble(rule(ratio), rounds=1_000, reducers=["entropy"], progress=False)
    return {
        "lam": lam,
        "ratio_line": line,
        "entropy_line": entropy(fixed_point(rule(line)).log_policy),
        "entropy_bound": largest_entropy(line[:, None] * lead),
        "ratio": ratio,
        "entropy": run["entropy"],
        "entropy_predicted": entropy(fixed_point(rule(ratio)).log_policy),
    }


def _alone(game: games.PreferenceMatrix, lead: np.ndarray) -> dict[str, np.ndarray]:
    """At alpha = 1, beta = 1: there is no reference left."""
    lam, rounds = np.array(SHARES), 2_000
    run = orbit(MRSIPO(game, 1.0, 1.0, lam), np.full(K, 1 / K), rounds, tolerance=0, progress=False)
    odds = run.log_policies[..., :1] - run.log_policies[..., 1:]  # (rounds, lam, rival)
    return {
        "odds": odds,
        "fall": entropy(run.log_policies),
        "rate": (odds[rounds] - odds[rounds // 2]) / (rounds - rounds // 2),
        "rate_predicted": _rate(game, lam),
        "fall_bound": largest_entropy(np.arange(rounds + 1)[:, None] * lead),
    }


def _rate(game: games.PreferenceMatrix, lam: np.ndarray) -> np.ndarray:
    """Growth of the log-odds per round at beta = 1 (MRS-12), (lam, rival)."""
    online = 0.5 - game.P[1:, 0]
    offline = (game.P[0] - game.P[1:]).mean(axis=-1)
    return lam[:, None] * online + (1 - lam[:, None]) * offline


def largest_entropy(odds: np.ndarray) -> np.ndarray:
    """Largest entropy (...,) that log-odds (..., K-1) of the best response, or larger ones, allow.

    Entropy is concave and symmetric, so the maximum lifts every rival to a common level unless
    its own bound is lower; the level is found on a grid.
    """
    level = np.linspace(0, 1, 2_001)[:, None]
    shares = np.minimum(np.exp(-odds)[..., None, :], level)  # of the best response's probability
    total = 1 + shares.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(shares > 0, shares * np.log(shares), 0)
    return (np.log(total) - parts.sum(axis=-1) / total).max(axis=-1)


def draw(data: dict[str, np.ndarray]) -> Any:
    """Three panels."""
    drawing = figure(3.3)
    ax_limit, ax_fall, ax_rate = drawing.subplots(1, 3)
    colours = [colormaps[SEQUENTIAL](0.9 * lam) for lam in data["lam"]]
    for k, lam in enumerate(data["lam"]):
        line, dots = {**PREDICTED, "color": colours[k]}, {**SIMULATED, "color": colours[k]}
        ax_limit.plot(data["ratio_line"], data["entropy_line"][k], label=f"λ = {lam:g}", **line)
        ax_limit.plot(data["ratio"], data["entropy"][k], **dots)
        _draw_fall(ax_fall, data, k, line, {**dots, "markersize": 3.5})
    bound = {"color": BLACK, "linestyle": "--", "linewidth": 1.2}
    ax_limit.plot(data["ratio_line"], data["entropy_bound"], label="bound", **bound)
    ax_limit.axhline(np.log(K), color=GREY, linewidth=0.6)
    ax_limit.set(xscale="log", xlabel="1/((1 − α)β)", ylabel="entropy (nats)")
    panel(ax_limit, "a", "α = 0.5: limit")

    ax_fall.plot(np.arange(len(data["fall_bound"])), data["fall_bound"], **bound)
    ax_fall.set(yscale="log", ylim=(1e-12, 4), xlim=(0, _shown(data)), xlabel="round")
    ax_fall.set_ylabel("entropy (nats)")
    panel(ax_fall, "b", "α = 1: fall")

    for j, predicted in enumerate(data["rate_predicted"].T):
        ax_rate.plot(data["lam"], predicted, color=PALETTE[j], **PREDICTED)
        label = f"against {j + 1}"
        ax_rate.plot(data["lam"], data["rate"][:, j], color=PALETTE[j], label=label, **SIMULATED)
        ax_rate.axhline(data["lead"][j], color=PALETTE[j], linestyle="--", linewidth=1)
    ax_rate.set(xlabel="λ, on-policy share", ylabel="log-odds per round (nats)", ylim=(0, None))
    ax_rate.legend()
    panel(ax_rate, "c", "α = 1: rate")
    drawing.legend(*ax_limit.get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return drawing


def _shown(data: dict[str, np.ndarray]) -> int:
    """Rounds until the slowest entropy has fallen out of sight."""
    return int(np.argmax((data["fall"] < 1e-12).all(axis=-1))) or len(data["fall"])


def _draw_fall(
    ax: Any, data: dict[str, np.ndarray], k: int, line: dict[str, Any], dots: dict[str, Any]
) -> None:
    """Dots every so many rounds, and the decay with the slowest rival's predicted rate."""
    rounds = np.arange(len(data["fall"]))
    every = max(1, _shown(data) // 25)
    last = _shown(data)
    slowest = data["rate_predicted"][k].argmin()
    odds = data["odds"][last, k, slowest] + data["rate_predicted"][k, slowest] * (rounds - last)
    ahead = odds > 2  # the decay law is one of small entropies
    ax.plot(rounds[ahead], np.exp(-odds[ahead]) * (1 + odds[ahead]), **line)
    ax.plot(rounds[::every], data["fall"][::every, k], **dots)


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Errors of limits and rates, and the room under the bound."""
    limit = np.abs(data["entropy"] - data["entropy_predicted"]).max()
    above = (data["entropy_line"] > data["entropy_bound"] + 1e-9).sum()
    above += (data["fall"] > data["fall_bound"][:, None] + 1e-9).sum()
    rate = np.abs(data["rate"] / data["rate_predicted"] - 1).max()
    at = np.abs(data["ratio_line"] - 30).argmin()
    offline, online = data["entropy_line"][[0, -1], at]
    return [
        f"Entropies after 1,000 rounds differ from the fixed points' by at most {limit:.1e} nats.",
        f"Entropies above the bound, of all lines and rounds: {above}.",
        f"At a ratio of 30 the entropy is {offline:.3f} nats for lam = 0 and {online:.3f} for "
        "lam = 1: offline sampling does not prevent collapse.",
        f"Growth of log-odds at alpha = 1: within {rate:.1e} of the predicted rate, relatively.",
    ]
