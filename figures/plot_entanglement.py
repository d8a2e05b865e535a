"""Figure: which way chosen and rejected move, and what shared tokens do to it."""

from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from prefdyn import objectives
from prefdyn.plots.house import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    PREDICTED,
    SIMULATED,
    VERMILION,
    figure,
    panel,
)
from prefdyn.policies import Autoregressive, LogLinear, UnconstrainedFeatures, softmax
from prefdyn.rules import GradientStep

TITLE = "Gradient entanglement: chosen and rejected move together"
CAPTION = """
Predicted: regions and lines. Simulated: dots, one small gradient step of a random policy each, in
the plane of the inner product of the pair's gradients over either squared length. (a) DPO, beta =
0.1 (the pull to the reference), log-linear policies: equal pushes, boundaries at 1. (b) SimPO,
beta = 2, random hidden states and unembeddings, chosen four tokens long and rejected two:
d_w/d_l = 1/2 moves the boundaries. No pair lies beyond the dashed hyperbola (Cauchy-Schwarz), so
that chosen never falls while rejected rises. (c) The policies of a, with a step along
g_w/|g_w| - g_l/|g_l|. (d) Cosine of the two gradients of responses that differ in their first token
and share the tokens after it, random tables of next-token logits over 4 tokens: medians, bars to
the quartiles (measured) and lines (from token counts); reported, not claimed of language models.
(e) Net push on a common first token, over the mean push on the pair; rejected five tokens long. DPO
and IPO (beta = 0.1) do not push it; SimPO and IPO on token means do, by
2 (n_l - n_w)/(n_l + n_w).
"""
CLAIMS = ("ENT-1", "ENT-2", "ENT-5", "ENT-6")

POLICIES = 260
TABLES = 25
SUFFIXES = 4
SUFFIX = 6
RATE = 1e-5
LENGTHS = (4, 2)
"""Of chosen and rejected in panel b."""
ORDERS = {"the last token": 1, "the last two tokens": 2, "the whole prefix": None}
NORMALISED, SUMMED = ("simpo", "ipo_mean"), ("dpo", "ipo")
REJECTED_LENGTH = 5
OUTCOMES = {
    "chosen up, rejected down": BLUE,
    "both down": VERMILION,
    "both up": ORANGE,
}


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Planes, cosines and net pushes."""
    rng = np.random.default_rng(seed)
    return {**_log_linear(rng), **_different_lengths(rng), **_cosines(rng), **_net_pushes(rng)}


def _log_linear(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Panels a and c: one step of DPO and one along the normalised gradients, per policy."""
    places, plain, normalised = [], [], []
    for _ in range(POLICIES):
        scale = np.exp(rng.normal(size=(5, 1)) / 2)
        policy = LogLinear(scale * (rng.normal(size=(5, 2)) + rng.normal(size=2)))
        gram = policy.gram()
        places.append(gram[0, 1] / np.array([gram[0, 0], gram[1, 1]]))
        rule = GradientStep(objectives.get("dpo"), policy, [(0, 1)], RATE)
        plain.append(_outcome(policy, rule.params(rule.step(rule.own_start, 0, None))))
        pushes = np.zeros((5, 1))
        pushes[:2, 0] = np.array([1, -1]) / np.sqrt(np.diagonal(gram)[:2])
        moved = policy.params + RATE * policy.direction(policy.params, pushes)
        normalised.append(_outcome(policy, moved))
    return {
        "equal_place": np.array(places),
        "equal": np.array(plain),
        "normalised": np.array(normalised),
    }


def _different_lengths(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Panel b: one step of SimPO on responses of different lengths."""
    responses = [tuple(range(k, k + n)) for k, n in zip((0, 3), LENGTHS, strict=True)]
    contexts = len(UnconstrainedFeatures.contexts(responses))
    places, outcomes = [], []
    for _ in range(POLICIES):
        scale = np.exp(0.7 * rng.normal(size=(contexts, 1))) / 2
        states = scale * (2 * rng.normal(size=3) + rng.normal(size=(contexts, 3)))
        policy = UnconstrainedFeatures(rng.normal(size=(5, 3)), states, responses)
        gram = policy.gram()
        places.append(gram[0, 1] / np.array([gram[0, 0], gram[1, 1]]))
        rule = GradientStep(objectives.get("simpo"), policy, [(0, 1)], RATE)
        outcomes.append(_outcome(policy, rule.params(rule.step(rule.own_start, 0, None))))
    return {"unequal_place": np.array(places), "unequal": np.array(outcomes)}


def _outcome(policy: Any, params: np.ndarray) -> int:
    """Number of the outcome in `OUTCOMES`; 3 if chosen falls and rejected rises."""
    chosen, rejected = (policy.log_probs(params) - policy.log_probs())[:2]
    return {(True, False): 0, (False, False): 1, (True, True): 2, (False, True): 3}[
        bool(chosen >= 0), bool(rejected > 0)
    ]


def _cosines(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Panel d: quartiles over random tables, measured and from token counts, (order, suffix, 3)."""
    suffixes = rng.integers(4, size=(SUFFIXES, SUFFIX)).tolist()
    measured, predicted = [], []
    for order in ORDERS.values():
        for n in range(SUFFIX + 1):
            policy: Any = Autoregressive(4, n + 1, order=order)
            both = [_both_cosines(policy, suffix[:n], rng) for suffix in suffixes]
            found, counted = np.concatenate(both, axis=-1)
            measured.append(np.quantile(found, (0.25, 0.5, 0.75)))
            predicted.append(np.quantile(counted, (0.25, 0.5, 0.75)))
    shape = (len(ORDERS), SUFFIX + 1, 3)
    return {
        "cosine": np.reshape(measured, shape),
        "cosine_predicted": np.reshape(predicted, shape),
    }


def _both_cosines(policy: Any, suffix: list[int], rng: np.random.Generator) -> np.ndarray:
    """Cosines of random tables, (2, tables): of the policy's gradients, and from token counts."""
    logits = rng.normal(size=(TABLES, policy.n_contexts, policy.vocabulary))
    pair = [(first, *suffix) for first in (0, 1)]
    gradients, scores = [], []
    rows = dict(zip(policy.contexts, np.moveaxis(softmax(logits), 1, 0), strict=True))
    for response in pair:
        push = np.zeros(policy.mask.shape)
        push[policy.index(response)] = 1  # a push of 1 moves along the gradient
        gradients.append(policy.direction(logits.reshape(TABLES, -1), push))
        scores.append(_score(response, rows, policy.context))
    return np.array([_cosine(*gradients), _cosine(*scores)])


def _cosine(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return (one * two).sum(-1) / np.sqrt((one**2).sum(-1) * (two**2).sum(-1))


def _score(response: tuple[int, ...], rows: dict[Any, np.ndarray], context: Any) -> np.ndarray:
    """Gradient of log pi by token counts less expected ones, of every table, (tables, logits)."""
    found = {key: np.zeros_like(policy) for key, policy in rows.items()}
    for t, token in enumerate(response):
        key = context(0, response[:t])
        found[key] += np.eye(4)[token] - rows[key]
    return np.concatenate(list(found.values()), axis=-1)


def _net_pushes(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Panel e: what a common first token is moved by, over |e - pi|^2 and the mean push."""
    lengths = np.arange(2, 9)
    policy = Autoregressive(3, int(lengths.max()), order=None, eos=2)
    policy = policy.at(rng.normal(size=policy.params.shape))
    size = np.sum((np.eye(3)[0] - softmax(policy.context_logits(policy.params)[0])) ** 2)
    rejected = policy.index((0, 1, *[0] * (REJECTED_LENGTH - 3), 2))
    net = []
    for id in (*NORMALISED, *SUMMED):
        for n in lengths:
            inner = (0, *[0] * n)[: n - 1]
            chosen = policy.index((*inner, 2) if n < lengths.max() else (*inner, 0))
            rule = GradientStep(objectives.get(id), policy, [(chosen, rejected)], RATE)
            mean = np.abs(rule.pushes(policy.params)[[chosen, rejected], 0]).mean()
            moved = policy.token_log_probs(rule.params(rule.step(rule.own_start, 0, None)))
            change = (moved - policy.token_log_probs())[chosen, 0]
            net.append(change / (RATE * size * mean))
    return {
        "chosen_length": lengths,
        "net": np.reshape(net, (-1, len(lengths))),
        "net_predicted": 2 * (REJECTED_LENGTH - lengths) / (REJECTED_LENGTH + lengths),
    }


def predicted(place: np.ndarray, ratio: float) -> np.ndarray:
    """Outcome by the conditions of ENT-1 at places (n, 2) of the plane, with ratio = d_w/d_l."""
    rises, falls = place[:, 0] <= ratio, place[:, 1] <= 1 / ratio
    return np.select([rises & falls, ~rises & falls, rises & ~falls], [0, 1, 2], 3)


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Mismatches, shares, and cosines."""
    ratio = LENGTHS[1] / LENGTHS[0]
    wrong = int((data["equal"] != predicted(data["equal_place"], 1)).sum())
    wrong_simpo = int((data["unequal"] != predicted(data["unequal_place"], ratio)).sum())
    both = [np.mean(np.isin(data[name], (1, 2))) for name in ("equal", "unequal")]
    first, last = data["cosine"][:, 0, 1], data["cosine"][:, -1, 1]
    cosines = "; ".join(
        f"{name} {a:.2f} to {b:.2f}" for name, a, b in zip(ORDERS, first, last, strict=True)
    )
    return [
        f"Outcomes other than predicted: {wrong} of {POLICIES} (DPO) and {wrong_simpo} of "
        f"{POLICIES} (SimPO); both log-probabilities move the same way in {both[0]:.0%} and "
        f"{both[1]:.0%}.",
        f"Normalised gradients: {int((data['normalised'] != 0).sum())} of {POLICIES} steps miss "
        "the ideal case.",
        f"Median cosine from no shared token to {SUFFIX}, logits by {cosines}.",
    ]


def draw(data: dict[str, np.ndarray]) -> Any:
    """Three planes above, suffix and prefix below."""
    drawing = figure(5.6)
    halves: Any = drawing.subfigures(2, 1, height_ratios=(1.15, 1))
    above, below = halves
    axes = above.subplots(1, 3, sharey=True)
    ratio = LENGTHS[1] / LENGTHS[0]
    _plane(axes[0], data["equal_place"], data["equal"], 1)
    panel(axes[0], "a", "DPO, equal pushes")
    _plane(axes[1], data["unequal_place"], data["unequal"], ratio)
    panel(axes[1], "b", r"SimPO, $d_w/d_l=1/2$")
    _plane(axes[2], data["equal_place"], data["normalised"], None)
    panel(axes[2], "c", "normalised gradients")
    axes[0].set_ylabel(r"$\langle g_w, g_l\rangle/|g_l|^2$")
    handles = [
        Line2D([], [], color=colour, label=name, **SIMULATED) for name, colour in OUTCOMES.items()
    ]
    above.legend(handles=handles, loc="outside lower center", ncols=3)
    ax_suffix, ax_prefix = below.subplots(1, 2)
    _draw_suffix(ax_suffix, data)
    _draw_prefix(ax_prefix, data)
    return drawing


def _plane(ax: Any, place: np.ndarray, outcome: np.ndarray, ratio: float | None) -> None:
    """Regions behind, steps in front; the axes are linear within 1 and logarithmic beyond."""
    limit = 12.0
    if ratio is not None:
        for corner, colour in (
            ((-limit, -limit, ratio, 1 / ratio), BLUE),
            ((ratio, -limit, limit, 1 / ratio), VERMILION),
            ((-limit, 1 / ratio, ratio, limit), ORANGE),
        ):
            x = [corner[0], corner[2]]
            ax.fill_between(x, corner[1], corner[3], color=colour, alpha=0.13, linewidth=0)
        ax.plot([ratio, ratio], [-limit, 1 / ratio], color=BLACK, **PREDICTED)
        ax.plot([-limit, ratio], [1 / ratio, 1 / ratio], color=BLACK, **PREDICTED)
    for sign in (-1, 1):
        x = sign * np.geomspace(1 / limit, limit, 200)
        ax.plot(x, 1 / x, color=GREY, linestyle="--", linewidth=0.9, zorder=1)
    dots = {**SIMULATED, "markersize": 3.6, "markeredgewidth": 0.3}
    for number, colour in enumerate(OUTCOMES.values()):
        ax.plot(*place[outcome == number].T, color=colour, **dots)
    ax.set_xscale("symlog", linthresh=1, linscale=1)
    ax.set_yscale("symlog", linthresh=1, linscale=1)
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), xlabel=r"$\langle g_w, g_l\rangle/|g_w|^2$")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks([-10, -1, 0, 1, 10], ["−10", "−1", "0", "1", "10"])


def _draw_suffix(ax: Any, data: dict[str, np.ndarray]) -> None:
    """Cosines by the length of the shared suffix."""
    for k, (name, colour) in enumerate(zip(ORDERS, (VERMILION, ORANGE, BLUE), strict=True)):
        low, middle, high = data["cosine"][k].T
        x = np.arange(SUFFIX + 1) + 0.08 * (k - 1)
        ax.plot(x, data["cosine_predicted"][k, :, 1], color=colour, **PREDICTED)
        ax.vlines(x, low, high, color=colour, linewidth=0.8)
        ax.plot(x, middle, color=colour, label=f"logits by {name}", **SIMULATED)
    ax.axhline(0, color=GREY, linewidth=0.6)
    ax.set(xlabel="shared tokens after the first", ylabel=r"cosine of $g_w$ and $g_l$")
    ax.set_ylim(-1.0, 0.9)
    ax.legend(loc="lower right")
    panel(ax, "d", "shared suffix")


def _draw_prefix(ax: Any, data: dict[str, np.ndarray]) -> None:
    """Net push by the difference of the lengths."""
    x = data["chosen_length"] - REJECTED_LENGTH
    ax.plot(x, data["net_predicted"], color=VERMILION, **PREDICTED)
    ax.axhline(0, color=BLUE, **PREDICTED)
    styles = (
        (VERMILION, 4.0, "SimPO"),
        (VERMILION, 8.0, "IPO, token means"),
        (BLUE, 4.0, "DPO"),
        (BLUE, 8.0, "IPO"),
    )
    for row, (colour, size, name) in zip(data["net"], styles, strict=True):
        open_ = {"markerfacecolor": "none", "markeredgecolor": colour} if size > 5 else {}
        style = {**SIMULATED, "markersize": size, **open_}
        ax.plot(x, row, color=colour, label=name, **style)
    ax.set(xlabel=r"$n_w-n_l$ (tokens)", ylabel="net push on the prefix / mean push")
    ax.legend(loc="upper right")
    panel(ax, "e", "shared prefix")
