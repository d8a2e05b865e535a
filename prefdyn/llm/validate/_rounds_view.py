"""Verdicts and figure of the experiment on rounds."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prefdyn.llm.validate._record import Record, bounded, close, told
from prefdyn.plots.house import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALETTE,
    PREDICTED,
    PURPLE,
    SIMULATED,
    VERMILION,
    figure,
    panel,
)

NAME = "rounds"
COMPARED = 12
"""Rounds in which the model is held to the tabular orbit."""
LATE = 4
"""Rounds at either end whose mean distance from the fixed point tells what a run does."""
NAMES = {"ipo": "IPO", "dpo": "DPO", "several": "IPO, several prompts"}
COLOURS = {"ipo": BLUE, "dpo": VERMILION, "several": GREEN}
ADAM: dict[str, Any] = {
    "linestyle": "none",
    "marker": "s",
    "markersize": 5.5,
    "markerfacecolor": "none",
    "zorder": 3,
}


def records(predicted: dict[str, Any], measured: dict[str, Any]) -> list[Record]:
    """Thresholds and periods, what runs do, how near the tabular orbit, the limit, the mass."""
    return [
        *_thresholds(predicted, measured),
        *_outcomes(predicted, measured),
        *_nearness(predicted, measured),
        *_collapse(predicted, measured),
        *_inner_loops(measured),
        *_undertrained(measured),
        *_masses(measured),
    ]


def _thresholds(predicted: dict[str, Any], measured: dict[str, Any]) -> list[Record]:
    found = []
    for name, theory in predicted["thresholds"].items():
        seen = measured["thresholds"][name]
        for key, words in (("beta", "critical beta"), ("period", "period at onset (rounds)")):
            quantity = f"{words}, {NAMES[name]}"
            if seen[key] is None:
                note = "growth did not change sign in the bracket that was searched"
                found.append(Record(NAME, quantity, theory[key], None, "within 5 %", "fails", note))
            else:
                note = _searched(seen["trials"], predicted["budget"]["near"])
                values = theory[key], seen[key]
                found.append(close(NAME, quantity, *values, relative=0.05, note=note))
    several, prompts = measured["thresholds"]["several"], len(predicted["prompts"])
    found.append(
        told(
            NAME,
            f"critical beta, IPO, {prompts} prompts sharing the parameters",
            several["beta"],
            predicted["thresholds"]["ipo"]["beta"],
            "from the mean growth over prompts; two betas, interpolated",
        )
    )
    spread = [max(trial["growth"]) - min(trial["growth"]) for trial in several["trials"]]
    quantity = "difference between prompts in the growth per round of perturbations"
    found.append(told(NAME, quantity, max(spread), 0.0))
    onset, seen = predicted["orbits"]["onset"]["period"], measured["runs"]["onset"]["period"]
    quantity = "period of an orbit just below the threshold (rounds)"
    if onset is None or seen is None:
        found.append(Record(NAME, quantity, onset, seen, "within 5 %", "fails", "no steady turns"))
    else:
        found.append(close(NAME, quantity, onset, seen, relative=0.05))
    return found


def _searched(trials: list[dict[str, Any]], rounds: int) -> str:
    """How a threshold was found."""
    ends = " to ".join(f"{trial['beta']:.3g}" for trial in (trials[0], trials[-1]))
    return (
        f"{len(trials)} betas from {ends}, {rounds} rounds each, by Gauss-Newton; growth and angle "
        "are those of the linear map that fits a small perturbation best, as long as it is small"
    )


def behaviour(policies: Any, point: Any) -> str:
    """What a run does: converges, orbits, or neither clearly.

    By the mean distance from the fixed point in the last rounds, against that in the first.
    """
    distance = np.linalg.norm(np.array(policies) - np.array(point), axis=-1)
    early, late = distance[:LATE].mean(), distance[-LATE:].mean()
    if late < min(0.25 * early, 0.05):
        return "converges"
    return "orbits" if late > 0.1 else "undecided"


def _outcomes(predicted: dict[str, Any], measured: dict[str, Any]) -> list[Record]:
    found = []
    for name in ("above", "below"):
        theory = predicted["orbits"][name]
        word = "converges" if theory["kind"] == "stable" else "orbits"
        seen = behaviour(measured["runs"][name]["policies"], theory["point"])
        quantity = f"outcome at beta = {theory['beta']:.3g}, {name} the threshold"
        verdict = "holds" if seen == word else "fails"
        found.append(Record(NAME, quantity, word, seen, "the same word", verdict))
    return found


def deviation(predicted: dict[str, Any], run: dict[str, Any]) -> tuple[float, int]:
    """Largest difference of a probability from the tabular orbit, and the rounds compared."""
    theory, seen = np.array(predicted["policies"]), np.array(run["policies"])
    last = min(len(theory), len(seen), COMPARED + 1)
    return float(np.abs(theory[:last] - seen[:last]).max()), last - 1


def _nearness(predicted: dict[str, Any], measured: dict[str, Any]) -> list[Record]:
    found = []
    for name in ("above", "below", "transitive", "adam above", "adam below"):
        inner, _, case = name.rpartition(" ")
        value, rounds = deviation(predicted["orbits"][case], measured["runs"][name])
        where = {"above": "above the threshold", "below": "below it"}.get(case, "transitive game")
        by = "Adam" if inner else "Gauss-Newton"
        quantity = f"largest |policy - tabular orbit| in {rounds} rounds, {where}, {by}"
        found.append(bounded(NAME, quantity, value, most=0.05, predicted=0.0))
    value, rounds = deviation(predicted["orbits"]["several"], measured["runs"]["several"])
    prompts = len(predicted["prompts"])
    quantity = (
        f"largest |policy - tabular orbit| in {rounds} rounds, {prompts} prompts sharing the "
        "parameters, Adam"
    )
    return [*found, told(NAME, quantity, value, 0.0)]


def _collapse(predicted: dict[str, Any], measured: dict[str, Any]) -> list[Record]:
    theory = predicted["orbits"]["transitive"]
    last = np.array(measured["runs"]["transitive"]["policies"][-1])
    entropy = float(-(last * np.log(last)).sum())
    outside = float(1 - last[int(np.argmax(theory["point"]))])
    return [
        close(
            NAME, "entropy after collapse (nats), transitive game", theory["entropy"], entropy,
            absolute=0.02,
        ),
        bounded(
            NAME, "share outside the dominant completion after collapse", outside,
            most=theory["bound"] + 0.01, predicted=theory["bound"],
            note="the bound of MRS-11 for the limit, and 0.01",
        ),
    ]  # fmt: skip


def _inner_loops(measured: dict[str, Any]) -> list[Record]:
    found = []
    for name in ("below", "adam above", "adam below", "several"):
        run = measured["runs"][name]
        by, where = ("Gauss-Newton", name) if name == "below" else ("Adam", name.split()[-1])
        kappa, cosine = (_numbers(run[key]) for key in ("kappa", "cosine"))
        if len(kappa):
            note = (
                f"cosine with the exact round at least {cosine.min():.3f}, "
                f"{np.mean(run['steps']):.0f} steps a round, "
                f"residual up to {_numbers(run['residuals']).max():.2g} nats"
            )
            quantity = f"share of a round executed (kappa, median), {where}, {by}"
            found.append(told(NAME, quantity, float(np.median(kappa)), 1.0, note))
    return found


def _undertrained(measured: dict[str, Any]) -> list[Record]:
    found = []
    for name, seen in measured["undertrained"].items():
        note = (
            f"{seen['steps']} gradient steps a round at beta = {seen['beta']:.3g}, where exact "
            f"rounds grow by {seen['exact']:.3f}; predicted with the measured kappa = "
            f"{seen['kappa']:.3f}, cosine at least {seen['cosine']:.3f}"
        )
        for key, words in (("growth", "growth per round"), ("period", "period (rounds)")):
            quantity = f"{words}, under-trained rounds, {NAMES[name]}"
            found.append(told(NAME, quantity, seen[key][1], seen[key][0], note))
    return found


def _numbers(values: Any) -> np.ndarray:
    """A nested list as numbers, without what is missing."""
    flat = np.array(values, dtype=float).ravel()
    return flat[np.isfinite(flat)]


def _masses(measured: dict[str, Any]) -> list[Record]:
    found = []
    for name in ("above", "below", "adam above", "adam below"):
        mass = measured["runs"][name]["mass"]
        inner, _, case = name.rpartition(" ")
        by = "Adam" if inner else "Gauss-Newton"
        quantity = f"mass on the completions after {len(mass) - 1} rounds, {case}, {by}"
        note = (
            f"{mass[0]:.3g} at the start, {min(mass):.2g} at the lowest; the theory speaks of "
            "shares within it"
        )
        found.append(told(NAME, quantity, mass[-1], note=note))
    return found


def draw(predicted: dict[str, Any], measured: dict[str, Any]) -> Figure:
    """Six panels: two runs, thresholds, the onset, the limit, the mass."""
    sheet = figure(7.0)
    a, b, c, d, e, f = sheet.subplots(3, 2).flat
    for ax, letter, name, word in ((a, "a", "above", "converges"), (b, "b", "below", "orbits")):
        theory = predicted["orbits"][name]
        panel(ax, letter, rf"$\beta$ = {theory['beta']:.3g}: predicted, it {word}")
        _policies(ax, theory, measured["runs"][name], measured["runs"][f"adam {name}"])
    _growth(c, predicted, measured)
    _onset(d, predicted, measured)
    _entropies(e, predicted, measured)
    _mass(f, measured)
    return sheet


def _policies(ax: Axes, theory: dict[str, Any], run: dict[str, Any], adam: dict[str, Any]) -> None:
    lines, dots, squares = (np.array(x["policies"]) for x in (theory, run, adam))
    for k in range(lines.shape[-1]):
        ax.plot(lines[:, k], color=PALETTE[k], **PREDICTED)
        ax.plot(dots[:, k], color=PALETTE[k], **SIMULATED)
        ax.plot(squares[:, k], color=PALETTE[k], **ADAM)
    ax.set(xlabel="round", ylabel="probability", ylim=(-0.03, 1.03))


def _growth(ax: Axes, predicted: dict[str, Any], measured: dict[str, Any]) -> None:
    panel(ax, "c", "growth of small perturbations")
    for name, seen in measured["thresholds"].items():
        theory = predicted["thresholds"].get(name)
        if theory is not None:
            ax.plot(theory["betas"], theory["growth"], color=COLOURS[name], **PREDICTED)
            ax.axvline(theory["beta"], color=COLOURS[name], linewidth=0.8, linestyle=":")
        points = [(t["beta"], growth) for t in seen["trials"] for growth in t["growth"]]
        style: dict[str, Any] = ADAM | {"marker": "D"} if name == "several" else SIMULATED
        ax.plot(*np.array(points).T, color=COLOURS[name], label=NAMES[name], **style)
    seen = measured["undertrained"]["ipo"]
    ax.plot(seen["beta"], seen["growth"][0], "_", color=PURPLE, markersize=16, markeredgewidth=1.5)
    ax.plot(seen["beta"], seen["growth"][1], color=PURPLE, label="IPO, under-trained", **SIMULATED)
    ax.axhline(1, color=GREY, linewidth=0.8)
    ax.set(xscale="log", xlabel=r"$\beta$", ylabel="factor per round")
    ticks = [0.1, 0.2, 0.5, 1, 2, 5]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    ax.xaxis.set_minor_formatter("")
    ax.set_xlim(right=8)
    ax.legend(loc="upper right", handletextpad=0.1, borderaxespad=0, fontsize=7)


def _onset(ax: Axes, predicted: dict[str, Any], measured: dict[str, Any]) -> None:
    theory, run = predicted["orbits"]["onset"], measured["runs"]["onset"]
    panel(ax, "d", rf"$\beta$ = {theory['beta']:.3g}, just below the threshold")
    ax.plot(np.array(theory["policies"])[:, 0], color=BLUE, **PREDICTED)
    ax.plot(np.array(run["policies"])[:, 0], color=BLUE, **SIMULATED)
    ax.set(xlabel="round", ylabel="probability of the first")


def _entropies(ax: Axes, predicted: dict[str, Any], measured: dict[str, Any]) -> None:
    theory, run = predicted["orbits"]["transitive"], measured["runs"]["transitive"]
    panel(ax, "e", "collapse on a transitive game")
    for data, style in ((theory, PREDICTED), (run, SIMULATED)):
        policies = np.array(data["policies"])
        ax.plot(-(policies * np.log(policies)).sum(-1), color=PURPLE, **style)
    ax.axhline(theory["entropy"], color=GREY, linewidth=0.9, linestyle=":")
    ax.set(xlabel="round", ylabel="entropy (nats)", ylim=(0, None))


def _mass(ax: Axes, measured: dict[str, Any]) -> None:
    panel(ax, "f", "mass on the completions together")
    for name, colour in (("above", BLUE), ("below", ORANGE)):
        for key, by, marker in ((name, "Gauss-Newton", "."), (f"adam {name}", "Adam", "s")):
            line: dict[str, Any] = {"color": colour, "linewidth": 0.8, "marker": marker}
            line |= {"markersize": 4, "markerfacecolor": "none" if marker == "s" else colour}
            ax.plot(measured["runs"][key]["mass"], label=f"{name}, {by}", **line)
    ax.set(xlabel="round", ylabel="probability", yscale="log")
    ax.legend(fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.3))
