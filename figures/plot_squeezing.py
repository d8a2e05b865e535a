"""The squeezing effect: where a negative step puts the mass it takes away."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prefdyn import orbit
from prefdyn.plots.house import BLACK, BLUE, GREY, PREDICTED, SIMULATED, VERMILION, figure, panel
from prefdyn.policies import UnconstrainedFeatures, log_softmax
from prefdyn.rules import GradientStep

TITLE = "Squeezing: the likeliest response gains what a negative step takes"
CAPTION = """
Multi-class logistic regression z = W phi with 50 classes and 4 features, |phi|^2 = 4; one gradient
step on the log-likelihood, for (plus) or against (minus) a class; there is no beta here, no pull to
the reference. Flat start: weights 1 + 0.05 N(0, 1); random: N(0, 1); peaky: random after one step
for the classes 5 to 12. a, b: change of log p per class against p after a step of strength
e = rate |phi|^2 = 2 against class 42, predicted e p_i - const (line), simulated (dots). Classes
right of the dotted line rise. c to f: probabilities before (bars), and after the step, predicted
(lines) and simulated (dots), at rate 0.5, for the flat start 0.3; triangles mark the classes
stepped for (up) and against (down). A flat policy spreads what it loses; a peaky one gives it to
its peaks, and all other classes fall, although nothing pushed them. Steps for one class and against
another that see the same features cancel on all others (f): squeezing by pairs needs two contexts.
"""
CLAIMS = ("SQZ-2", "SQZ-3", "SQZ-4")

K = 50
RATE = 0.5
CASES = {
    "random": ("random", {21: 1}, RATE),
    "flat": ("flat", {42: -1}, 0.3),
    "peak": ("peaky", {11: -1}, RATE),
    "valley": ("peaky", {42: -1, 25: 1}, RATE),
}
"""Start, classes with the signs of their steps, and rate, of panels c to f."""
TITLES = {
    "random": "random: plus 21",
    "flat": "flat: minus 42",
    "peak": "peaky: minus 11, on a peak",
    "valley": "peaky: minus 42, plus 25, in the valley",
}
STARTS = ("flat", "peaky")


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Log-probs before and after every step, by formula and by the package."""
    rng = np.random.default_rng(seed)
    phi = rng.normal(size=4)
    phi *= 2 / np.linalg.norm(phi)
    weights = {"random": rng.normal(size=(K, 4)), "flat": 1 + 0.05 * rng.normal(size=(K, 4))}
    learnt = step(weights["random"], phi, dict.fromkeys(range(5, 13), 1), 1.0)
    weights["peaky"], _ = learnt.policy.split(learnt.end)
    data = {"strength": np.array(RATE * phi @ phi)}
    jobs = {f"gain_{start}": (start, {42: -1}, RATE) for start in STARTS} | CASES
    for name, (start, signs, rate) in jobs.items():
        before = log_softmax(weights[start] @ phi)
        data[f"{name}_before"] = before
        data[f"{name}_predicted"] = predicted(before, signs, float(rate * phi @ phi))
        data[f"{name}_simulated"] = step(weights[start], phi, signs, rate).log_policy
    return data


def predicted(log_p: np.ndarray, signs: dict[int, int], e: float) -> np.ndarray:
    """Log-probs after steps of strength e on classes, by the closed form (SQZ-2)."""
    logits = log_p.copy()
    for y, sign in signs.items():
        logits += sign * e * (np.eye(K)[y] - np.exp(log_p))
    return log_softmax(logits)


def bar(log_p: np.ndarray, y: int, e: float) -> float:
    """The probability above which a class rises in a step against y (SQZ-3)."""
    p = np.exp(log_p)
    return float(np.log((p * np.exp(e * (p - np.eye(K)[y]))).sum()) / e)


class Stepped:
    """A policy and its state after one step."""

    def __init__(self, rule: GradientStep):
        self.policy: Any = rule.policy
        self.end = rule.step(rule.own_start, 0, None)
        self.log_policy = orbit(rule, rounds=1).log_policies[-1]


def step(W: np.ndarray, phi: np.ndarray, signs: dict[int, int], rate: float) -> Stepped:
    """One step of likelihood training on classes, with negative weights against them."""
    policy = UnconstrainedFeatures(W, phi, kappa_h=0)
    pairs = [(y, (y + 1) % K) for y in signs]  # the second of a pair plays no part in SFT
    return Stepped(GradientStep("sft", policy, pairs, rate, weights=list(signs.values())))


def draw(data: dict[str, np.ndarray]) -> Figure:
    """Gains against probability; bars before and after."""
    drawing = figure(7.0)
    axes = drawing.subplots(3, 2, height_ratios=(1.25, 1, 1))
    for letter, ax, start in zip("ab", axes[0], STARTS, strict=True):
        _draw_gains(ax, data, start)
        panel(ax, letter, f"{start} start, minus 42")
    for letter, ax, name in zip("cdef", axes[1:].flat, CASES, strict=True):
        _draw_bars(ax, data, name)
        panel(ax, letter, TITLES[name])
    axes[0, 0].set_ylabel("change of log p (nats)")
    for row in axes[1:]:
        row[0].set_ylabel("probability")
    for ax in axes[2]:
        ax.set_xlabel("class")
    handles, labels = axes[1, 0].get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside lower center", ncols=4)
    return drawing


def _draw_gains(ax: Axes, data: dict[str, np.ndarray], start: str) -> None:
    before, after = data[f"gain_{start}_before"], data[f"gain_{start}_predicted"]
    p, e = np.exp(before), float(data["strength"])
    others = np.arange(K) != 42
    line = np.geomspace(p[others].min(), p[others].max(), 200)
    constant = (after - before - e * p)[others][0]
    ax.plot(line, e * line + constant, color=BLUE, **PREDICTED)
    gain = data[f"gain_{start}_simulated"] - before
    ax.plot(p[others], gain[others], color=BLUE, **SIMULATED)
    ax.plot(p[42], -0.62, **_mark(-1), clip_on=False)
    ax.annotate(
        f"class 42: {gain[42]:.1f} nats",
        (p[42], -0.62),
        (-7, 2),
        textcoords="offset points",
        ha="right",
        fontsize=8,
    )
    ax.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    ax.axvline(bar(before, 42, e), color=GREY, linestyle=":", zorder=0)
    ax.set(xscale="log", xlabel="probability before", xlim=(1e-5, 1), ylim=(-0.65, 0.25))


def _draw_bars(ax: Axes, data: dict[str, np.ndarray], name: str) -> None:
    at = np.arange(K)
    before, after, simulated = (
        np.exp(data[f"{name}_{part}"]) for part in ("before", "predicted", "simulated")
    )
    ax.bar(at, before, width=0.9, color="#C9C9C9", label="before")
    ax.stairs(after, np.arange(K + 1) - 0.5, color=BLACK, linewidth=0.9, label="after, predicted")
    small = {**SIMULATED, "markersize": 3.5, "markeredgewidth": 0.3}
    ax.plot(at, simulated, color=BLUE, label="after, simulated", **small)
    for y, sign in CASES[name][1].items():
        ax.plot(y, 0, **_mark(sign), clip_on=False, label="_")
    ax.set(xlim=(-1, K), ylim=(0, 1.12 * max(before.max(), after.max())))


def _mark(sign: int) -> dict[str, Any]:
    """A triangle below the axis at the class stepped for or against."""
    return {
        "linestyle": "none",
        "marker": "^" if sign > 0 else "v",
        "color": BLUE if sign > 0 else VERMILION,
        "markersize": 7,
        "zorder": 4,
    }


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Who gains, and how exactly the formula says so."""
    names = [*(f"gain_{start}" for start in STARTS), *CASES]
    error = max(np.abs(data[f"{n}_predicted"] - data[f"{n}_simulated"]).max() for n in names)
    flat, peaky = (
        data[f"gain_{start}_simulated"] > data[f"gain_{start}_before"] for start in STARTS
    )
    top = np.exp([data[f"gain_peaky_{part}"].max() for part in ("before", "simulated")])
    others = np.delete(np.arange(K), [25, 42])
    cancelled = np.abs(data["valley_simulated"] - data["valley_before"])[others].max()
    return [
        f"Predicted and simulated log-probs differ by at most {error:.0e}.",
        f"A step against class 42 lifts {flat.sum()} of the 49 other classes of the flat policy, "
        f"{peaky.sum()} of the peaky one, whose largest probability goes from {top[0]:.2f} to "
        f"{top[1]:.2f}.",
        f"With an equal step for class 25 no other class changes by more than {cancelled:.3f} "
        "nats.",
    ]
