"""Figure: the forces of SLIME, where they balance, and what each of its parts does."""

from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter
from scipy.optimize import brentq

from analysis.slime.formulas import margin_force, pull
from prefdyn import Pair, objectives
from prefdyn.plots.house import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PREDICTED,
    PURPLE,
    SIMULATED,
    SKY,
    VERMILION,
    figure,
    panel,
)
from prefdyn.policies import KernelPolicy, UnconstrainedFeatures
from prefdyn.rules import GradientFlow, GradientStep

TITLE = "SLIME: forces, floor, and its four parts one by one"
CAPTION = """
Lines in a to c are predicted, dots simulated. SLIME has no reference and no beta; its parameters
are the paper's unless said. (a) Force F of the margin term, formula and automatic differentiation:
it jumps from 0.22 to 0 at the hard margin m_h = 1.5. (b) Pull of the floor on one rejected token,
at the paper's lambda_l = 0.1 and the released code's 5e-4; where it meets F, the token rests. (c)
Where a rejected token rests, by lambda_l: with F = 1 for ever (three tokens, gradient flow) beside
-delta - (F/(lambda_l p))^(1/(p-1)), and with the chosen response held at -0.3, -1, -2 nats
(gradient steps) beside the balance of the forces or m_h, whichever comes first. (d to g) Simulated
only, means over 20 prompts: a population with unembeddings shared by all prompts, fine-tuned on 5
responses of 2 to 4 tokens each, then trained on one pair per prompt. Log-probability of chosen
tokens; of the least likely rejected token; the margin m; and the mass off the data. Switched off:
the anchor by lambda_w = 0; the floor by lambda_l = 0; the soft margin by m_s = 1000, which leaves a
hinge; the hard margin by m_h = 1e6 and lambda_d = 1.5/m_h, which leaves a sigmoid. Without anchor
or soft margin the runs of d to f nearly coincide with the full loss, drawn in front. DPO has beta =
0.1 (the pull to the reference), SimPO beta = 2.
"""
CLAIMS = ("SLIME-2", "SLIME-3", "SLIME-4")

PAPER, RELEASED = 0.1, 5e-4
"""lambda_l of the paper and of the released code."""
HELD = (-0.3, -1.0, -2.0)
WEIGHTS = np.geomspace(2e-4, 1, 8)

PROMPTS, RESPONSES, VOCABULARY, STATES = 20, 5, 12, 4
STEPS, RATE = 600, 4.0
SAVED = np.unique(np.round(np.geomspace(1, STEPS, 22)).astype(int))
ABLATION: dict[str, dict[str, float]] = {
    "SLIME": {},
    f"λ_l = {RELEASED:g}": {"lambda_l": RELEASED},
    "no anchor": {"lambda_w": 0.0},
    "no floor": {"lambda_l": 0.0},
    "no soft margin": {"m_s": 1e3},
    "no hard margin": {"m_h": 1e6, "lambda_d": 1.5e-6},
}
RIVALS = {"SimPO": "simpo", "DPO": "dpo"}
MEASURED = ("chosen", "lowest", "margin", "off_data")


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Forces, rest points and the population."""
    return {**_forces(), **_rests(), **_population(np.random.default_rng(seed))}


def closed_form(lambda_l: Any, slime: Any, force: float = 1.0) -> np.ndarray:
    """``-delta - (F/(lambda_l p))^(1/(p-1))`` (SLIME-3)."""
    return -slime.delta - (force / (lambda_l * slime.p)) ** (1 / (slime.p - 1))


def rest(chosen: float, slime: Any) -> float:
    """Where a rejected token rests beside a chosen one that is held (SLIME-3)."""
    edge = chosen - slime.m_h + 1e-9

    def net(log_prob: float) -> float:
        return float(margin_force(chosen - log_prob, slime) - pull(log_prob, slime))

    return edge if net(edge) > 0 else float(brentq(net, edge, 0.0))  # pyright: ignore


def _forces() -> dict[str, np.ndarray]:
    """Panels a and b: pushes by automatic differentiation of the shared loss."""
    margins = np.concatenate([np.linspace(-1, 1.49, 16), np.linspace(1.51, 2.5, 5)])
    depths = -np.linspace(0.05, 9.5, 20)
    margin = objectives.get("slime", lambda_w=0, lambda_l=0)
    pulls = []
    for weight in (PAPER, RELEASED):
        floor = objectives.get("slime", lambda_w=0, lambda_d=0, lambda_l=weight)
        pulls.append(-floor.pushes(_one_token(-1.0, depths))[1])
    return {
        "force_at": margins,
        "force": margin.pushes(_one_token(-1.0, -1.0 - margins))[0],
        "depth": depths,
        "pull": np.array(pulls),
    }


def _one_token(chosen: Any, rejected: Any) -> Pair:
    chosen, rejected = np.broadcast_arrays(np.asarray(chosen, float), rejected)
    tokens = {"chosen_tokens": chosen[..., None], "rejected_tokens": rejected[..., None]}
    return Pair(chosen=chosen, rejected=rejected, **tokens)


def _rests() -> dict[str, np.ndarray]:
    """Panel c: rejected tokens of a policy whose chosen response does not move."""
    slime = objectives.get("slime", lambda_l=WEIGHTS)
    policy = _held(np.array([[-1e4] * 3, [-0.2, -1.0, -4.0]]))  # so unlikely that F is 1
    flow = GradientFlow(slime, policy, [(0, 1)], 5e3, rtol=1e-6, atol=1e-8)
    floor = flow.step(flow.own_start, 0, None)[:, 3:]
    chosen = np.array(HELD)
    policy = _held(np.full((2, 1), -1.0)).at(np.stack([chosen, chosen - 0.5], axis=-1))
    slime = objectives.get("slime", lambda_l=WEIGHTS[:, None])
    rule = GradientStep(slime, policy, [(0, 1)], 0.012, reference=policy.mask * 0)
    state = rule.own_start
    for t in range(450):
        state = rule.step(state, t, None)
    balance = [
        [rest(c, objectives.get("slime", lambda_l=weight)) for c in HELD] for weight in WEIGHTS
    ]
    return {
        "weight": WEIGHTS,
        "floor": floor,
        "rest": rule.params(state)[..., 1],
        "rest_predicted": np.array(balance),
    }


def _held(log_probs: np.ndarray) -> KernelPolicy:
    """Tokens of two responses, those of the first immovable."""
    free = np.repeat([0.0, 1.0], log_probs.shape[1])
    return KernelPolicy(log_probs, np.diag(free).reshape(*log_probs.shape, *log_probs.shape))


def _population(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Panels d to g: all variants from the same fine-tuned start, (measured, saved, variant)."""
    policy = fine_tuned(rng)
    pairs = [p * RESPONSES + rng.choice(RESPONSES, 2, replace=False) for p in range(PROMPTS)]
    standard = objectives.get("slime")
    varied = {
        name: np.array([change.get(name, getattr(standard, name)) for change in ABLATION.values()])
        for name in ("lambda_w", "lambda_l", "lambda_d", "m_h", "m_s")
    }
    runs = [_train(objectives.get("slime", **varied), policy, np.array(pairs))]
    for id in RIVALS.values():
        runs.append(_train(objectives.get(id), policy, np.array(pairs))[..., None])
    runs = np.concatenate(runs, axis=-1)
    return {"saved": np.array([0, *SAVED]), **dict(zip(MEASURED, runs, strict=True))}


def fine_tuned(rng: np.random.Generator) -> UnconstrainedFeatures:
    """A population after likelihood training on its responses; its hidden states are then fixed."""
    responses, prompts = [], np.repeat(np.arange(PROMPTS), RESPONSES)
    end = VOCABULARY - 1
    for _ in range(PROMPTS):
        own: set[tuple[int, ...]] = set()
        while len(own) < RESPONSES:
            tokens = rng.integers(end, size=rng.integers(1, 4)).tolist()
            own.add((*tokens, end))
        responses += sorted(own)
    contexts = len(UnconstrainedFeatures.contexts(responses, prompts.tolist()))
    W = rng.normal(size=(VOCABULARY, STATES)) / np.sqrt(STATES)
    h = rng.normal(size=(contexts, STATES)) + 1.5 * rng.normal(size=STATES)
    policy = UnconstrainedFeatures(W, h, responses, prompts.tolist())
    everything = [(i, i - i % RESPONSES + (i + 1) % RESPONSES) for i in range(len(responses))]
    rule = GradientStep(objectives.get("sft", nll_norm="sum"), policy, everything, 4.0)
    state = rule.own_start
    for t in range(200):
        state = rule.step(state, t, None)
    W, h = policy.split(rule.params(state))
    return UnconstrainedFeatures(W, h, responses, prompts.tolist(), kappa_h=0.0)


def _train(objective: Any, policy: UnconstrainedFeatures, pairs: np.ndarray) -> np.ndarray:
    """Measurements at the saved steps, (measured, saved, ...)."""
    rule = GradientStep(objective, policy, pairs, RATE)
    state, found = rule.own_start, []
    for t in range(STEPS + 1):
        if t == 0 or t in SAVED:
            found.append(_measure(policy, rule.params(state), pairs))
        state = rule.step(state, t, None)
    return np.stack(found, axis=1)


def _measure(policy: UnconstrainedFeatures, params: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Means over prompts of the quantities in `MEASURED`."""
    tokens = policy.token_log_probs(params)
    chosen, rejected = (tokens[..., side, :].sum(-1) / policy.lengths[side] for side in pairs.T)
    data = np.exp(tokens.sum(-1)).reshape(*tokens.shape[:-2], PROMPTS, RESPONSES).sum(-1)
    lowest = tokens[..., pairs[:, 1], :].min(-1)  # padding is 0 and never the lowest
    return np.array([x.mean(-1) for x in (chosen, lowest, chosen - rejected, 1 - data)])


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Errors of the rest points, and what each part does in the end."""
    slime = objectives.get("slime")
    error = np.abs(data["rest"] - data["rest_predicted"]).max()
    spread = np.ptp(data["floor"], axis=-1).max()
    closed = closed_form(data["weight"], slime)
    deep = closed < -slime.delta - 1
    off = np.abs(data["floor"][deep, 0] - closed[deep]).max()
    names = [*ABLATION, *RIVALS]
    ends = {name: data[name][-1] for name in MEASURED}
    table = "; ".join(
        f"{name} {ends['chosen'][k]:.2f}, {ends['lowest'][k]:.1f}, {ends['margin'][k]:.2f}, "
        f"{ends['off_data'][k]:.2f}"
        for k, name in enumerate(names)
    )
    return [
        f"Held chosen: rest points within {error:.3f} nats of those predicted. F = 1: the three "
        f"tokens end within {spread:.0e} nats of each other and, where it is 1 nat or more below "
        f"-delta, within {off:.2f} of the closed form, {closed_form(PAPER, slime):.2f} at "
        f"lambda_l = {PAPER:g} and {closed_form(RELEASED, slime):.0f} at {RELEASED:g}.",
        f"Chosen, lowest rejected token, margin, mass off the data after {STEPS} steps (start "
        f"{data['chosen'][0, 0]:.2f}, {data['lowest'][0, 0]:.1f}, {data['margin'][0, 0]:.2f}, "
        f"{data['off_data'][0, 0]:.2f}): {table}.",
    ]


def draw(data: dict[str, np.ndarray]) -> Any:
    """Forces and floor above, the population below."""
    drawing = figure(6.0)
    halves: Any = drawing.subfigures(2, 1, height_ratios=(1, 1.1))
    axes = halves[0].subplots(1, 3)
    _draw_force(axes[0], data)
    _draw_pull(axes[1], data)
    _draw_rests(axes[2], data)
    panels = halves[1].subplots(1, 4)
    colours = (BLACK, BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)
    titles = (
        ("chosen", "d", "chosen", "log-prob. per token (nats)"),
        ("lowest", "e", "rejected", "lowest token (nats)"),
        ("margin", "f", "margin", "m (nats per token)"),
        ("off_data", "g", "off the data", "probability"),
    )
    for ax, (name, letter, title, unit) in zip(panels, titles, strict=True):
        for k, (label, colour) in enumerate(zip([*ABLATION, *RIVALS], colours, strict=True)):
            style = {**SIMULATED, "linestyle": "-", "linewidth": 0.8, "markersize": 3.2}
            label = label.replace("λ_l", r"$\lambda_l$")
            style["zorder"] = 9 - k  # the full loss in front
            ax.plot(1 + data["saved"], data[name][:, k], color=colour, label=label, **style)
        ax.set(xscale="log", xlabel=f"1 + step (rate {RATE:g})", ylabel=unit)
        panel(ax, letter, title)
    halves[1].legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return drawing


def _draw_force(ax: Any, data: dict[str, np.ndarray]) -> None:
    slime = objectives.get("slime")
    for part in (np.linspace(-1, slime.m_h - 1e-9, 300), np.array([slime.m_h, 2.5])):
        ax.plot(part, margin_force(part, slime), color=BLUE, **PREDICTED)
    ax.axvline(slime.m_h, color=GREY, linestyle="--", linewidth=0.8)
    ax.plot(data["force_at"], data["force"], color=BLUE, **SIMULATED)
    ax.text(slime.m_h + 0.06, 1.15, "$m_h$", color=GREY)
    ax.set(xlabel="margin m (nats per token)", ylabel="force F", ylim=(-0.05, 1.35))
    panel(ax, "a", "margin")


def _draw_pull(ax: Any, data: dict[str, np.ndarray]) -> None:
    line = -np.linspace(0.01, 9.6, 200)
    for weight, pulled, colour in zip(
        (PAPER, RELEASED), data["pull"], (VERMILION, PURPLE), strict=True
    ):
        slime = objectives.get("slime", lambda_l=weight)
        ax.plot(line, pull(line, slime), color=colour, **PREDICTED)
        ax.plot(data["depth"], pulled, color=colour, label=rf"$\lambda_l={weight:g}$", **SIMULATED)
    ax.axhline(1, color=BLUE, linestyle="--", linewidth=1)
    ax.text(-1.9, 1.4, "F = 1", color=BLUE)
    ax.set(yscale="log", xlabel="log-prob. of the token (nats)", ylabel="pull upwards")
    ax.set_ylim(1e-6, 200)
    ax.legend(loc="lower left")
    panel(ax, "b", "floor")


def _draw_rests(ax: Any, data: dict[str, np.ndarray]) -> None:
    slime = objectives.get("slime")
    line = np.geomspace(data["weight"][0], data["weight"][-1], 120)
    ax.plot(line, -closed_form(line, slime), color=BLUE, **PREDICTED)
    for floor in data["floor"].T:
        ax.plot(data["weight"], -floor, color=BLUE, **SIMULATED)
    ax.text(0.012, 26, "F = 1", color=BLUE)
    for k, (chosen, colour) in enumerate(zip(HELD, (ORANGE, GREEN, PURPLE), strict=True)):
        curve = [-rest(chosen, objectives.get("slime", lambda_l=weight)) for weight in line]
        ax.plot(line, curve, color=colour, **PREDICTED)
        ax.plot(
            data["weight"], -data["rest"][:, k], color=colour, label=f"{chosen:g} nats", **SIMULATED
        )
    for weight, name in ((PAPER, "paper"), (RELEASED, "code")):
        ax.vlines(weight, 1, -closed_form(weight, slime), color=GREY, linestyle="--", linewidth=0.8)
        ax.text(weight * 1.12, 1.06, name, color=GREY, fontsize=8)
    ax.set(xscale="log", yscale="log", xlabel=r"$\lambda_l$", ylabel="rests at −log π (nats)")
    ax.set_ylim(1, 350)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    ax.legend(title="chosen held at", loc="upper right", title_fontsize=8)
    panel(ax, "c", "where it rests")
