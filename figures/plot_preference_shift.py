"""Figure: the mass that a pair loses goes to responses nobody asked for."""

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import CenteredNorm

from analysis.stable_preference_optimisation.problems import descent, log_linear, tables
from prefdyn import DPO, objectives, orbit
from prefdyn.plots.house import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    PALETTE,
    PREDICTED,
    SIMULATED,
    VERMILION,
    figure,
    panel,
)
from prefdyn.policies import Autoregressive, LogLinear, Tabular
from prefdyn.rules import GradientFlow, GradientStep

TITLE = "Catastrophic preference shift"
CAPTION = """
Lines and colours are predicted, dots simulated. (a) One pair, four responses with two features
(log-linear), DPO, steps of rate 20: probabilities and loss against the step: ever better ranked,
the pair loses everything to the response farthest along phi_w - phi_l. (b) Share of random policies
(50 responses, uniform start) whose chosen response falls in the first step, against the cosine
between the features of the pair: the sign of an inner product over 10,000 draws, and 400 small
steps. (c) Table of logits: share of the rejected response's lost mass that leaves the pair in a
small step, negative where pi_w > pi_l. (d) Flow of DPO from (pi_w, pi_l) = (0.01, 0.3), beta = 0.1,
with the predicted peak of the others (dotted). (e) That peak against the start. (f) SimPO on two
responses that begin with the same token, chosen of 2 to 6 tokens and rejected of 3: net push on the
shared token, beta (1/n_w - 1/n_l) sigma(gamma - beta m), m the gap of the means; the summed loss of
DPO gives 0. beta is the pull to the reference of DPO (1 in a to c); in SimPO (2), which has no
reference, a margin scale.
"""
CLAIMS = ("SPO-2", "SPO-3", "SPO-4", "ENT-6")

TOY = np.array([[1.0, 0.0], [0.9, 0.0], [3.0, 0.0], [0.0, 1.0]])
"""Chosen, rejected, the one that wins, and a bystander."""
ROUNDS, RATE = 400, 20.0
DIMENSIONS = (4, 16, 64)
RESPONSES, DRAWS = 50, 10_000
BETA = 0.1
START = (0.01, 0.3)
REJECTED_STARTS = (0.1, 0.3, 0.6)
LENGTHS, REJECTED_LENGTH = np.arange(2, 7), 3


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Formulas beside steps and flows of the package's rules."""
    rng = np.random.default_rng(seed)
    return {**toy(), **first_steps(rng), **leak(), **flow(), **starts(), **prefix()}


def toy() -> dict[str, np.ndarray]:
    """Log-probabilities and loss on the line theta = x (phi_w - phi_l), and of the rule."""
    gap = TOY[0] - TOY[1]
    x = np.zeros(ROUNDS + 1)
    for t in range(ROUNDS):
        x[t + 1] = x[t] + RATE / (1 + np.exp(gap @ gap * x[t]))
    logits = np.outer(x, TOY @ gap)
    rule = GradientStep(DPO(1.0), LogLinear(TOY), [(0, 1)], RATE)
    run = orbit(rule, rounds=ROUNDS, progress=False)
    margin = run.log_policies[:, 0] - run.log_policies[:, 1]
    return {
        "toy_line": logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True)),
        "toy_loss_line": np.log1p(np.exp(-gap @ gap * x)),
        "toy": run.log_policies,
        "toy_loss": np.log1p(np.exp(-margin)),
    }


def first_steps(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Shares of falls (d, cosine): of an inner product, and of small steps."""
    line, dots = 1 - np.geomspace(1, 0.01, 25), np.linspace(0, 0.99, 6)
    return {
        "cosine_line": line,
        "cosine": dots,
        "falls_line": np.array([[expected_falls(rng, d, c) for c in line] for d in DIMENSIONS]),
        "falls": np.array([[falls(rng, d, c) for c in dots] for d in DIMENSIONS]),
    }


def expected_falls(rng: np.random.Generator, d: int, cosine: float) -> float:
    """Share of draws with ``<phi_w - phibar, phi_l - phi_w> > 0``.

    Only the sum of the bystanders' features matters, and it is normal too.
    """
    chosen, other, rest = rng.normal(size=(3, DRAWS, d))
    rejected = cosine * chosen + np.sqrt(1 - cosine**2) * other
    mean = (chosen + rejected + np.sqrt(RESPONSES - 2) * rest) / RESPONSES
    return float(np.mean(((chosen - mean) * (rejected - chosen)).sum(axis=-1) > 0))


def falls(rng: np.random.Generator, d: int, cosine: float) -> float:
    """Share of small steps that lower the chosen response, 400 policies a few at a time."""
    found = []
    together = max(80 // d, 5)
    for _ in range(400 // together):
        features = rng.normal(size=(together, RESPONSES, d))
        other = features[:, 1]
        features[:, 1] = cosine * features[:, 0] + np.sqrt(1 - cosine**2) * other
        rule = descent(log_linear(features), DPO(1.0), rate=1e-6)
        moved = rule.policy.log_probs(rule.step(rule.own_start, 0, None))
        change = moved - rule.policy.log_probs()
        found.append(change[::RESPONSES] < 0)
    return float(np.mean(found))


def leaked(chosen: np.ndarray, rejected: np.ndarray) -> np.ndarray:
    """Share of the rejected response's lost mass that leaves the pair."""
    return (1 - chosen - rejected) * (rejected - chosen) / (rejected * (1 + chosen - rejected))


def leak() -> dict[str, np.ndarray]:
    """The share by formula on a grid, and in small steps at some points of it."""
    chosen, rejected = np.meshgrid(np.geomspace(1e-3, 0.4, 120), np.linspace(0.06, 0.54, 120))
    at = np.meshgrid(np.geomspace(2e-3, 0.3, 6), np.linspace(0.1, 0.5, 5))
    at = np.stack([part.ravel() for part in at], axis=-1)
    table = np.column_stack([at, 1 - at.sum(axis=-1)])
    rule = descent(tables(table), DPO(1.0), rate=1e-6)
    moved = rule.policy.log_probs(rule.step(rule.own_start, 0, None))
    change = np.exp(rule.policy.log_probs()) * np.expm1(moved - rule.policy.log_probs())
    change = change.reshape(-1, 3)
    return {
        "leak_chosen": chosen,
        "leak_rejected": rejected,
        "leak_map": leaked(chosen, rejected),
        "leak_at": at,
        "leak": -change[:, 2] / change[:, 1],
        "leak_predicted": leaked(*at.T),
    }


def pushed(t: np.ndarray) -> np.ndarray:
    """Accumulated push x, which solves ``2 beta^2 t = 2 beta x + e^(2 beta x) - 1``."""
    from scipy.special import wrightomega

    c = 2 * BETA**2 * t + 1
    return (c - wrightomega(c)) / (2 * BETA)


def masses(t: np.ndarray) -> np.ndarray:
    """Probabilities (..., 3) of chosen, rejected and others at time t."""
    x, (chosen, rejected) = pushed(t), START
    others = 1 - chosen - rejected + 0 * x
    parts = np.stack([chosen * np.exp(x), rejected * np.exp(-x), others], axis=-1)
    return parts / parts.sum(axis=-1, keepdims=True)


def flow() -> dict[str, np.ndarray]:
    """Masses of chosen, rejected and others over time."""
    every, rounds = 12.0, 25
    time = np.linspace(0, every * rounds, 400)
    looks = every * np.arange(rounds + 1)
    w, l = START  # noqa: E741
    rule = GradientFlow(DPO(BETA), Tabular(np.log([w, l, 1 - w - l])), [(0, 1)], every)
    return {
        "time_line": time,
        "masses_line": masses(time),
        "masses_predicted": masses(looks),
        "time": looks,
        "masses": orbit(rule, rounds=rounds, progress=False).policies,
        "peak": np.array([peak_time(w, l), peak_mass(w, l)]),
    }


def peak_time(chosen: Any, rejected: Any) -> Any:
    """When the others hold most."""
    ratio = rejected / chosen
    return (BETA * np.log(ratio) + ratio**BETA - 1) / (2 * BETA**2)


def peak_mass(chosen: Any, rejected: Any) -> Any:
    """How much they hold then."""
    others = 1 - chosen - rejected
    return others / (others + 2 * np.sqrt(chosen * rejected))


def starts() -> dict[str, np.ndarray]:
    """The peak against the start, by formula and as the largest mass along a flow."""
    line, dots = np.geomspace(1e-6, 0.09, 100), np.geomspace(1e-6, 0.05, 5)
    rejected = np.array(REJECTED_STARTS)[:, None]
    at = np.stack(np.broadcast_arrays(dots, rejected), axis=-1).reshape(-1, 2)
    return {
        "start_line": line,
        "peak_line": peak_mass(line, rejected),
        "start": dots,
        "peaks": np.reshape([highest(*start) for start in at], (len(rejected), len(dots))),
    }


def highest(chosen: float, rejected: float) -> float:
    """Largest mass of the others, from a record around the peak, refined by a parabola."""
    policy = Tabular(np.log([chosen, rejected, 1 - chosen - rejected]))
    rule = GradientFlow(DPO(BETA), policy, [(0, 1)], peak_time(chosen, rejected) / 6)
    mass = orbit(rule, rounds=9, progress=False).policies[:, 2]
    top = int(mass[1:-1].argmax()) + 1
    before, at, after = mass[top - 1 : top + 2]
    return at - (after - before) ** 2 / (8 * (before - 2 * at + after))


def prefix() -> dict[str, np.ndarray]:
    """Net push on a shared first token: by formula, and from the move of its logit.

    Responses of n tokens are 0 ... 0 2 (chosen) and 0 1 2 (rejected), under uniform tokens; a net
    push v on token 0 moves its logit by 2 v/3.
    """
    beta, gamma = 2.0, 0.5
    policy = Autoregressive(3, int(LENGTHS.max()), order=None, eos=2)
    rejected = policy.index((0, 1, 2))
    moved = {"simpo": [], "dpo": []}
    for n in LENGTHS:
        chosen = policy.index((0,) * (int(n) - 1) + (2,))
        for name, found in moved.items():
            rule = GradientStep(
                objectives.get(name, beta=beta), policy, [(chosen, rejected)], rate=1.0
            )
            move = policy.direction(policy.params, rule.pushes(policy.params))
            found.append(1.5 * move[0])
    push = beta / (1 + np.exp(-gamma))  # every mean log-probability is log 1/3, so m = 0
    line = np.linspace(LENGTHS[0], LENGTHS[-1], 100)
    return {
        "length_line": line,
        "prefix_line": push * (1 / line - 1 / REJECTED_LENGTH),
        "prefix_predicted": push * (1 / LENGTHS - 1 / REJECTED_LENGTH),
        **{f"prefix_{name}": np.array(found) for name, found in moved.items()},
    }


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Errors of the formulas, and what the toy loses."""
    start, end = np.exp(data["toy"][[0, -1]])
    path = np.abs(data["toy"] - data["toy_line"]).max()
    times = np.abs(data["masses"] - data["masses_predicted"]).max()
    leaks = np.abs(data["leak"] - data["leak_predicted"]).max()
    expected = [np.interp(data["cosine"], data["cosine_line"], row) for row in data["falls_line"]]
    falls = np.abs(data["falls"] - expected).max()
    prefix = np.abs(data["prefix_simpo"] - data["prefix_predicted"]).max()
    return [
        f"a: the loss falls from {data['toy_loss'][0]:.3f} to {data['toy_loss'][-1]:.4f} while the "
        f"chosen response falls from {start[0]:.2f} to {end[0]:.0e}; largest error of a predicted "
        f"log-probability {path:.0e} nats.",
        f"b: shares of falls within {falls:.3f}. c: the leak within {leaks:.0e}. "
        f"d: masses within {times:.0e}; the others peak at {data['peak'][1]:.3f} after t = "
        f"{data['peak'][0]:.1f}. f: pushes within {prefix:.0e}; DPO's are "
        f"{np.abs(data['prefix_dpo']).max():.0e} at most.",
    ]


def draw(data: dict[str, np.ndarray]) -> Any:
    """Six panels."""
    drawing = figure(7.6)
    axes = drawing.subplots(3, 2)
    _draw_toy(axes[0, 0], data)
    _draw_falls(axes[0, 1], data)
    _draw_leak(axes[1, 0], data)
    _draw_flow(axes[1, 1], data)
    _draw_starts(axes[2, 0], data)
    _draw_prefix(axes[2, 1], data)
    return drawing


def _draw_toy(ax: Any, data: dict[str, np.ndarray]) -> None:
    steps = np.arange(ROUNDS + 1)
    seen = np.unique(np.geomspace(1, ROUNDS, 16).round()).astype(int)
    names = ("chosen", "rejected", "outside, winner", "outside, other")
    curves = [
        (np.exp(data["toy_line"][:, k]), np.exp(data["toy"][:, k]), name)
        for k, name in enumerate(names)
    ]
    curves.append((data["toy_loss_line"], data["toy_loss"], "loss (nats)"))
    colours = (BLUE, VERMILION, GREEN, GREY, BLACK)
    for (line, dots, name), colour in zip(curves, colours, strict=True):
        ax.plot(steps, line, color=colour, label=name, **PREDICTED)
        ax.plot(seen, dots[seen], color=colour, **{**SIMULATED, "markersize": 3.5})
    ax.set(xscale="log", yscale="log", xlim=(1, ROUNDS * 1.1), ylim=(1e-20, 5), xlabel="step")
    ax.set_ylabel("probability, loss")
    ax.legend(loc="lower left")
    panel(ax, "a", "all mass leaves the pair")


def _draw_falls(ax: Any, data: dict[str, np.ndarray]) -> None:
    for k, d in enumerate(DIMENSIONS):
        line = {**PREDICTED, "color": PALETTE[k], "label": f"{d} features"}
        ax.plot(data["cosine_line"], 100 * data["falls_line"][k], **line)
        ax.plot(data["cosine"], 100 * data["falls"][k], color=PALETTE[k], **SIMULATED)
    ax.set(xlabel="cosine of chosen and rejected features", ylim=(0, None), xlim=(-0.03, 1.02))
    ax.set_ylabel("first-step falls (%)")
    ax.legend(loc="upper left")
    panel(ax, "b", "chosen falls at once")


def _draw_leak(ax: Any, data: dict[str, np.ndarray]) -> None:
    levels = [-1, 0, 0.5, 0.75, 0.9, 0.99]
    shades = {"cmap": colormaps["RdBu_r"], "norm": CenteredNorm(0, 1.6)}
    where = data["leak_chosen"], data["leak_rejected"], data["leak_map"]
    ax.pcolormesh(*where, **shades, shading="gouraud", rasterized=True)
    lines = ax.contour(*where, levels=levels, colors=BLACK, linewidths=0.6)
    ax.clabel(lines, fmt=lambda level: f"{100 * level:g}%", fontsize=7)
    style = {**shades, "s": 32, "edgecolors": BLACK, "linewidths": 0.8, "zorder": 3}
    ax.scatter(*data["leak_at"].T, c=data["leak"], **style)
    ax.set(xscale="log", xlabel=r"$\pi_w$", ylabel=r"$\pi_l$")
    panel(ax, "c", "share of the loss that leaks")


def _draw_flow(ax: Any, data: dict[str, np.ndarray]) -> None:
    for k, (name, colour) in enumerate(
        zip(("chosen", "rejected", "outside the pair"), (BLUE, VERMILION, GREEN), strict=True)
    ):
        ax.plot(data["time_line"], data["masses_line"][:, k], color=colour, label=name, **PREDICTED)
        ax.plot(data["time"], data["masses"][:, k], color=colour, **SIMULATED)
    ax.axvline(data["peak"][0], color=GREY, linestyle=":", linewidth=1)
    ax.axhline(data["peak"][1], color=GREY, linestyle=":", linewidth=1)
    ax.set(xlabel="time (rate × steps)", ylabel="probability", ylim=(0, 1))
    ax.legend(loc="center right")
    panel(ax, "d", "the whole trajectory")


def _draw_starts(ax: Any, data: dict[str, np.ndarray]) -> None:
    for k, rejected in enumerate(REJECTED_STARTS):
        label = rf"start $\pi_l$ = {rejected}"
        ax.plot(
            data["start_line"], data["peak_line"][k], color=PALETTE[k], label=label, **PREDICTED
        )
        ax.plot(data["start"], data["peaks"][k], color=PALETTE[k], **SIMULATED)
    ax.set(xscale="log", xlabel=r"start $\pi_w$", ylabel="peak outside the pair", ylim=(0, 1.02))
    ax.legend(loc="lower left")
    panel(ax, "e", "rarer chosen, larger leak")


def _draw_prefix(ax: Any, data: dict[str, np.ndarray]) -> None:
    ax.plot(data["length_line"], data["prefix_line"], color=BLUE, label="SimPO", **PREDICTED)
    ax.plot(LENGTHS, data["prefix_simpo"], color=BLUE, **SIMULATED)
    ax.plot(data["length_line"], 0 * data["prefix_line"], color=VERMILION, label="DPO", **PREDICTED)
    ax.plot(LENGTHS, data["prefix_dpo"], color=VERMILION, **SIMULATED)
    ax.set(xlabel=f"tokens of chosen (rejected: {REJECTED_LENGTH})", xticks=LENGTHS)
    ax.set_ylabel("net push on shared token")
    ax.legend(loc="upper right")
    panel(ax, "f", "length normalisation")
