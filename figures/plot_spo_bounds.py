"""Figure: what a constraint on the likelihood guarantees, and what it costs."""

from typing import Any

import numpy as np

from analysis.stable_preference_optimisation.problems import descent, log_linear
from prefdyn import DPO
from prefdyn.plots.house import BLACK, GREY, PALETTE, PREDICTED, SIMULATED, figure, panel
from prefdyn.policies import Tabular

TITLE = "Stable preference optimisation: stationary point and bounds"
CAPTION = """
Lines are predicted, dots simulated: DPO + nu L_SFT. (a, b) A table of logits whose data
distribution, start and reference are q = (.10, .30, .25, .20, .15), with the first response chosen
and the second rejected, by gradient descent until it rests: probability m that the chosen response
gains (the rejected one loses it, the others stay), at most q_l (grey), and distance of the
likelihood loss from its minimum, with the bound log(2)/nu (dashed). (c) 30 log-linear policies
with 6 responses of the data and 6 others, trained for 200 steps with five nu: mass outside the data
against the distance L_SFT - H(q), and the bound 1 - exp(-distance). (d) Small steps on random
log-linear policies, likelihood of the chosen response only: change of log pi_w per unit rate over
|g_w|^2 against how far nu lies above the predicted limit g (K_wl/K_ww - 1); the line has slope 1.
beta is the pull to the reference. Bounds are drawn only where they say something: log(2)/nu where
it is below 1 nat, the mass where it is below 0.9.
"""
CLAIMS = ("SPO-6", "SPO-7", "SPO-8")

Q = np.array([0.10, 0.30, 0.25, 0.20, 0.15])
BETAS = (0.05, 0.2, 1.0)
NU_LINE, NU_DOTS = np.geomspace(0.02, 20, 200), np.geomspace(0.02, 20, 13)
NU_POLICIES = np.array([0.03, 0.1, 0.3, 1.0, 3.0])
POLICIES, DATA, OTHERS, D = 30, 6, 6, 4
STEPS = 200


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Stationary points by formula and by descent; masses and small steps of random policies."""
    rng = np.random.default_rng(seed)
    left = np.array([[left_of_rejected(beta, nu) for nu in NU_LINE] for beta in BETAS])
    left_at = np.array([[left_of_rejected(beta, nu) for nu in NU_DOTS] for beta in BETAS])
    resting = np.array([rest(beta) for beta in BETAS])
    q_w, q_l = Q[:2]
    return {
        "gain_line": -q_l * np.expm1(left),
        "gap_line": -q_w * np.log1p(-q_l * np.expm1(left) / q_w) - q_l * left,
        "gain": resting[..., 0] - q_w,
        "gain_predicted": -q_l * np.expm1(left_at),
        "others_moved": np.abs(resting[..., 2:] - Q[2:]).max(),
        "gap": (Q * np.log(Q / resting)).sum(axis=-1),
        **outside(rng),
        **small_steps(rng),
    }


def left_of_rejected(beta: float, nu: float) -> float:
    """``log((q_l - m)/q_l)`` at rest, because m may come very near q_l.

    By bisection on ``m = (beta/nu) sigma(-beta (log((q_w + m)/(q_l - m)) - log(q_w/q_l)))``.
    """
    from scipy.optimize import brentq

    def excess(left: float) -> float:
        m = -Q[1] * np.expm1(left)
        push = -np.logaddexp(0, beta * (np.log1p(m / Q[0]) - left))
        return np.log(m) - np.log(beta / nu) - push

    root: Any = brentq(excess, -700 / beta, -1e-15, xtol=1e-14)
    return root


def rest(beta: float) -> np.ndarray:
    """Policies (nu, k) at which descent rests; each logit's step is over its curvature's bound."""
    n = len(NU_DOTS)
    policy = Tabular(np.tile(np.log(Q), (n, 1)))
    rule = descent(policy, DPO(beta))
    likelihood = (NU_DOTS[:, None] * Q).reshape(-1, 1)
    curvature = NU_DOTS[:, None] * np.r_[Q[:2].sum(), Q[1:]] + np.r_[[beta**2 / 2] * 2, 0, 0, 0]
    params = policy.params
    for _ in range(3 * STEPS):
        move = policy.direction(params, rule.pushes(params) + likelihood)
        params = params + move / curvature.reshape(-1)
    return np.exp(policy.by_prompt(policy.log_probs(params)))


def outside(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Mass outside the data and distance from them, (nu, policy)."""
    policy = log_linear(rng.normal(size=(POLICIES, DATA + OTHERS, D)))
    rule = descent(policy, DPO(0.5))
    q = np.tile(np.repeat([1 / DATA, 0.0], [DATA, OTHERS]), (POLICIES, 1))
    likelihood = NU_POLICIES[:, None, None] * q.reshape(-1, 1)
    params = np.zeros((len(NU_POLICIES), policy.params.size))
    for _ in range(STEPS):
        params = params + 0.2 * policy.direction(params, rule.pushes(params) + likelihood)
    logs = policy.by_prompt(policy.log_probs(params))
    return {
        "distance": -(q * logs).sum(axis=-1) - np.log(DATA),
        "outside": np.exp(logs[..., DATA:]).sum(axis=-1),
    }


def small_steps(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """How far nu is above the limit, and the change of log pi_w over |g_w|^2 in a small step."""
    beta, n = 0.5, 150
    features = rng.normal(size=(n, 8, D))
    features[:, 1] = 2 * features[:, 0] + 0.5 * features[:, 1]
    theta, nu = rng.normal(size=(n, D)), rng.uniform(0, 0.5, size=n)

    logits = np.einsum("nkd,nd->nk", features, theta)
    weights = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    g_w, g_l = np.moveaxis(features - np.einsum("nk,nkd->nd", weights, features)[:, None], 1, 0)[:2]
    square = (g_w**2).sum(axis=-1)
    push = beta / 2  # the reference is the start
    limit = push * ((g_w * g_l).sum(axis=-1) / square - 1)

    policy = log_linear(features, theta)
    pushes = descent(policy, DPO(beta)).pushes(policy.params)
    pushes[np.arange(n) * 8, 0] += nu
    move = 1e-5 * policy.direction(policy.params, pushes)
    ahead, behind = (policy.log_probs(policy.params + sign * move) for sign in (1, -1))
    change = policy.by_prompt(ahead - behind)[:, 0] / 2e-5
    return {"excess": nu - limit, "change": change / square}


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Errors of formulas, and how near the bounds come."""
    error = np.abs(data["gain"] - data["gain_predicted"]).max()
    used = (data["gap"] * NU_DOTS / np.log(2)).max()
    bound = -np.expm1(-data["distance"])
    tight = (data["outside"] / bound)[bound < 0.9]
    wrong = int(((data["excess"] > 0) != (data["change"] > 0)).sum())
    return [
        f"Descent rests within {error:.1e} of the predicted gain; other responses moved by at most "
        f"{data['others_moved']:.1e}.",
        f"The distance from the least likelihood loss is at most {used:.0%} of log(2)/nu.",
        f"The mass outside is {tight.min():.0%} to {tight.max():.0%} of its bound where that is "
        f"below 0.9 ({tight.size} of {bound.size} policies).",
        f"Sign of the chosen response's change: {wrong} of {data['change'].size} small steps "
        "against the prediction.",
    ]


def draw(data: dict[str, np.ndarray]) -> Any:
    """Four panels."""
    drawing = figure(5.6)
    (ax_gain, ax_gap), (ax_mass, ax_step) = drawing.subplots(2, 2)
    for k, beta in enumerate(BETAS):
        colour = PALETTE[k]
        for ax, name in ((ax_gain, "gain"), (ax_gap, "gap")):
            ax.plot(
                NU_LINE, data[f"{name}_line"][k], color=colour, label=f"β = {beta}", **PREDICTED
            )
            ax.plot(NU_DOTS, data[name][k], color=colour, **SIMULATED)
    ax_gain.axhline(Q[1], color=GREY, linewidth=0.8)
    ax_gain.text(NU_LINE[-1], Q[1] + 0.004, "$q_l$", color=GREY, ha="right", fontsize=8)
    ax_gain.set(xscale="log", xlabel="ν, weight of the likelihood", ylim=(0, 0.33))
    ax_gain.set_ylabel("m, gained by chosen")
    ax_gain.legend()
    panel(ax_gain, "a", "where the penalty rests")
    told = np.log(2) / NU_LINE < 1
    bound = {"color": BLACK, "linestyle": "--", "linewidth": 1.2}
    ax_gap.plot(NU_LINE[told], np.log(2) / NU_LINE[told], label="bound log(2)/ν", **bound)
    ax_gap.set(xscale="log", yscale="log", xlabel="ν, weight of the likelihood", ylim=(1e-7, 20))
    ax_gap.set_ylabel(r"$L_\mathrm{SFT} - v^*$ (nats)")
    ax_gap.legend(loc="lower left")
    panel(ax_gap, "b", "what the constraint leaves open")
    for k, nu in enumerate(NU_POLICIES):
        dots = {**SIMULATED, "color": PALETTE[k], "label": f"ν = {nu:g}"}
        ax_mass.plot(data["distance"][k], data["outside"][k], **dots)
    reach = np.geomspace(0.1, -np.log(0.1), 100)
    ax_mass.plot(reach, -np.expm1(-reach), label="bound", **bound)
    ax_mass.set(xscale="log", xlabel=r"$L_\mathrm{SFT} - H(q)$ (nats)", ylim=(0, 1))
    ax_mass.set_ylabel("mass outside the data")
    ax_mass.legend(loc="upper left")
    panel(ax_mass, "c", "no mass outside without distance")
    span = np.array([data["excess"].min(), data["excess"].max()])
    ax_step.plot(span, span, color=PALETTE[0], **PREDICTED)
    ax_step.plot(data["excess"], data["change"], color=PALETTE[0], **SIMULATED)
    ax_step.axhline(0, color=GREY, linewidth=0.6)
    ax_step.axvline(0, color=GREY, linewidth=0.6)
    ax_step.set(xlabel=r"$\nu - g\,(K_{wl}/K_{ww} - 1)$")
    ax_step.set_ylabel(r"$\Delta\log\pi_w\,/\,(\eta\,|g_w|^2)$")
    panel(ax_step, "d", "chosen rises right of 0")
    return drawing
