"""Verdicts and figure of the experiment on preference shift."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from prefdyn.llm.validate._record import Record, bounded, not_run, told
from prefdyn.plots.house import BLACK, GREY, PALETTE, PREDICTED, SIMULATED, figure, panel

NAME = "preference_shift"
NEAR = 0.5
"""Nats up to which the frozen geometry is held to what is measured."""
SEEN = 0.02
"""Nats from which on a movement counts as one."""
WEIGHTS = {"SPO, nu = 0.1": 0.1, "SPO, nu = 1": 1.0}
FLOORED, FREE = "SLIME", "SLIME without floor"


def records(predicted: dict[str, Any], measured: dict[str, Any]) -> list[Record]:
    """The near field by the kernel, the bounds of the cures, and what happens in the far field."""
    arms = {arm: list(_runs(arm, predicted, measured)) for arm in predicted["cases"][0]["runs"]}
    found = [_near(arms), _near_signs(arms), _crossings(predicted, measured)]
    found += [_safe(arm, nu, arms) for arm, nu in WEIGHTS.items()]
    found += _floor(arms, predicted["floor"])
    for arm, runs in arms.items():
        found += _outcomes(arm, runs)
    return found


def _runs(arm: str, predicted: dict[str, Any], measured: dict[str, Any]) -> Iterator[dict]:
    """Runs of one objective: changes (S, 4) of both chosen, then both rejected answers."""
    for case, seen in zip(predicted["cases"], measured["cases"], strict=True):
        numbers = np.array(case["pairs"]).T.ravel()
        foretold, run = np.array(case["runs"][arm]["change"]), seen["runs"][arm]
        if foretold.shape[1] == len(case["rows"]):
            foretold = foretold[:, [case["rows"].index(i) for i in numbers]]
        else:
            foretold = foretold[:, numbers]
        log_probs = np.array(run["log_probs"])
        tokens = run["rejected_tokens"]
        yield {
            "prompt": case["prompt"],
            "steps": np.array(run["steps"]),
            "predicted": foretold,
            "measured": (log_probs - log_probs[0])[:, numbers],
            "mass": np.exp(log_probs[:, numbers]).sum(-1),
            "rejected_tokens": None if tokens is None else np.array(tokens),
            "lengths": [len(case["answers"][i]) for i in numbers[2:]],
        }


def _at_near(run: dict[str, Any]) -> int:
    """The first measurement at which some answer is predicted to have moved by `NEAR`."""
    far = np.abs(run["predicted"]).max(-1) >= NEAR
    return int(far.argmax()) if far.any() else len(far) - 1


def _near(arms: dict[str, list]) -> Record:
    fits = {}
    for arm, runs in arms.items():
        pairs = [(run["predicted"][_at_near(run)], run["measured"][_at_near(run)]) for run in runs]
        before, after = (np.concatenate(side) for side in zip(*pairs, strict=True))
        fits[arm] = 1 - float(((after - before) ** 2).sum() / (after**2).sum())
    return bounded(
        NAME,
        f"squared changes of chosen and rejected answers at {NEAR} nat: share that the untrained "
        "model's geometry explains, objective with the least",
        min(fits.values()),
        least=0.9,
        predicted=1.0,
        note="; ".join(f"{arm} {fit:.3f}" for arm, fit in fits.items()) + ".",
    )


def _near_signs(arms: dict[str, list]) -> Record:
    wrong, total = [], 0
    for arm, runs in arms.items():
        for run in runs:
            at = _at_near(run)
            for before, after in zip(
                run["predicted"][at, :2], run["measured"][at, :2], strict=True
            ):
                if abs(after) > SEEN:
                    total += 1
                    if before * after < 0:
                        wrong.append(f"{arm}, {run['prompt']!r}: {before:+.2f}, seen {after:+.2f}")
    quantity = (
        f"share of chosen answers whose movement at {NEAR} nat has the predicted sign "
        f"(above {SEEN} nat)"
    )
    if not total:
        return not_run(NAME, quantity, f"No chosen answer moved by {SEEN} nat.")
    answers = 2 * sum(map(len, arms.values()))
    note = f"{total - len(wrong)} of {total} right, of {answers} in all"
    note += ("; wrong: " + "; ".join(wrong)) * bool(wrong)
    return bounded(
        NAME, quantity, 1 - len(wrong) / total, least=0.97, predicted=1.0, note=f"{note}."
    )


def _steps(predicted: dict, measured: dict) -> Iterator[tuple[dict, np.ndarray, np.ndarray]]:
    """Every single step of SPO: what it was, its predicted and its measured changes."""
    for crossing, changes in zip(predicted["crossings"], measured["crossings"], strict=True):
        yield crossing, np.array(crossing["change"]), np.array(changes)


def _crossings(predicted: dict[str, Any], measured: dict[str, Any]) -> Record:
    quantity = (
        "SPO, one small step: chosen answers that rise or fall as nu >= g (K_wl/K_ww - 1) says"
    )
    steps = list(_steps(predicted, measured))
    if not steps:
        return not_run(NAME, quantity, "For no pair is it clear what the chosen answer will do.")
    right = np.concatenate([before * after > 0 for _, before, after in steps])
    falling = sum(len(before) > 1 for _, before, _ in steps)
    return bounded(
        NAME,
        f"{quantity} (share)",
        float(right.mean()),
        least=1.0,
        predicted=1.0,
        note=f"{right.sum()} of {len(right)} steps right; {falling} of {len(steps)} pairs need nu "
        f"> 0. Left out: {2 * predicted['searched'] - len(steps)} pairs with K_wl/K_ww within 0.01 "
        "of 1, and weights nearer to the critical one than 0.8 and 1.25 times it.",
    )


def _safe(arm: str, nu: float, arms: dict[str, list]) -> Record:
    bound = math.log(2) / nu
    # The start counts, so that 0 says that it never rose; added to, 0 loses its sign.
    gaps = {name: max(_gap(run).max() for run in arms[name]) + 0.0 for name in ("DPO", arm)}
    return bounded(
        NAME,
        f"{arm}: largest rise of the SFT loss over its start (nat)",
        gaps[arm],
        most=round(bound, 6),
        predicted=bound,
        note=f"Of any prompt, at any time. The bound is log 2/nu, for whatever model and as long "
        f"as the loss does not rise (SPO-8); under DPO alone it rose by {gaps['DPO']:.3f}.",
    )


def _gap(run: dict[str, Any]) -> np.ndarray:
    """Rise of the chosen answers' negative log-likelihood since the start, (S,)."""
    return -run["measured"][:, :2].mean(-1)


def _lines(runs: list, floor: float) -> list[np.ndarray]:
    """Log-probabilities over training, (S,), of rejected tokens that start above the floor."""
    found = []
    for run in runs:
        for answer, length in enumerate(run["lengths"]):
            tokens = run["rejected_tokens"][:, answer, :length]
            found += [line for line in tokens.T if line[0] > floor]
    return found


def _floor(arms: dict[str, list], floor: float) -> list[Record]:
    lines = {arm: _lines(arms[arm], floor) for arm in (FLOORED, FREE)}
    quantity = "SLIME: lowest log p of rejected tokens that start above the floor (nat)"
    if not lines[FLOORED]:
        return [not_run(NAME, quantity, f"No rejected token starts above {floor:.2f} nat.")]
    low = {arm: float(min(line.min() for line in some)) for arm, some in lines.items()}
    below = {arm: sum(line.min() < floor for line in some) for arm, some in lines.items()}
    return [
        bounded(
            NAME,
            quantity,
            low[FLOORED],
            least=round(floor, 6),
            predicted=floor,
            note=f"{below[FLOORED]} of {len(lines[FLOORED])} tokens sink below it; without the "
            f"floor {below[FREE]}, down to {low[FREE]:.2f}. The derivation moves tokens one by "
            "one; here they share parameters.",
        )
    ]


def _outcomes(arm: str, runs: list) -> list[Record]:
    """Mean changes at the end of training, and where the probability went."""
    before, after = (np.array([run[key][-1] for run in runs]) for key in ("predicted", "measured"))
    found = [
        told(
            NAME,
            f"{arm}: mean change of log p, {name} (nat)",
            float(after[:, part].mean()),
            float(before[:, part].mean()),
            f"{int((after[:, part] < 0).sum())} of {after[:, part].size} fall, predicted "
            f"{int((before[:, part] < 0).sum())}; from {after[:, part].min():.2f} to "
            f"{after[:, part].max():.2f}.",
        )
        for name, part in (("chosen", slice(0, 2)), ("rejected", slice(2, 4)))
    ]
    outside = 1 - np.array([(run["mass"][0], run["mass"][-1]) for run in runs]).mean(0)
    lost = np.array([run["mass"][-1] / run["mass"][0] for run in runs])
    return [
        *found,
        told(
            NAME,
            f"{arm}: mean probability outside the data after training",
            float(outside[1]),
            note=f"Before {outside[0]:.4f}; the data keep {np.exp(np.log(lost).mean()):.3f} times "
            f"theirs (geometric mean), and less than all of it in {int((lost < 1).sum())} of "
            f"{len(runs)} prompts.",
        ),
    ]


def draw(predicted: dict[str, Any], measured: dict[str, Any]) -> Figure:
    """Chosen against rejected, mass on the data, rejected tokens, and the critical weight."""
    arms = {arm: list(_runs(arm, predicted, measured)) for arm in predicted["cases"][0]["runs"]}
    drawing = figure(6.4)
    (a, b), (c, d) = drawing.subplots(2, 2)
    for (arm, runs), colour in zip(arms.items(), PALETTE, strict=True):
        _draw_phase(a, arm, runs, colour)
        mass = np.mean([np.log(run["mass"] / run["mass"][0]) for run in runs], axis=0)
        b.plot(runs[0]["steps"], np.exp(mass), color=colour)
    _label(
        a,
        "a",
        "chosen and rejected",
        *(f"change of log p, {who} (nat)" for who in ("rejected", "chosen")),
    )
    a.axhline(0, color=GREY, linewidth=0.8)
    b.set_yscale("log")
    b.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    b.yaxis.set_major_formatter("{x:g}")
    b.yaxis.set_minor_formatter("")
    b.axhline(1, color=GREY, linewidth=0.8)
    _label(b, "b", "probability of the data", "step", "times that of the start")
    _draw_floor(c, arms, predicted["floor"])
    _label(c, "c", "rejected tokens under SLIME", "step", "log p of a token (nat)")
    _draw_crossings(d, predicted, measured)
    handles, names = a.get_legend_handles_labels()
    drawing.legend(handles, names, loc="outside lower center", ncols=4)
    return drawing


def _label(ax: Axes, letter: str, title: str, x: str, y: str) -> None:
    panel(ax, letter, title)
    ax.set_xlabel(x)
    ax.set_ylabel(y)


def _draw_phase(ax: Axes, arm: str, runs: list, colour: str) -> None:
    for key, look in (("predicted", PREDICTED), ("measured", SIMULATED)):
        mean = np.mean([run[key] for run in runs], axis=0)
        chosen, rejected = mean[:, :2].mean(-1), mean[:, 2:].mean(-1)
        some = slice(None, None, max(1, len(chosen) // 8)) if key == "measured" else slice(None)
        name = arm if key == "predicted" else None
        ax.plot(rejected[some], chosen[some], color=colour, label=name, **look)


def _draw_floor(ax: Axes, arms: dict[str, list], floor: float) -> None:
    colours = dict(zip(arms, PALETTE, strict=True))
    for arm in (FREE, FLOORED):
        steps = arms[arm][0]["steps"]
        for line in _lines(arms[arm], floor):
            ax.plot(steps, line, color=colours[arm], linewidth=0.9, alpha=0.7)
    ax.axhline(floor, color=BLACK, linestyle="--", linewidth=1)


def _draw_crossings(ax: Axes, predicted: dict[str, Any], measured: dict[str, Any]) -> None:
    steps = [step for step in _steps(predicted, measured) if len(step[1]) > 1]
    panel(ax, "d", "SPO, one small step")
    if not steps:
        ax.text(0.5, 0.5, "no pair whose chosen answer\nis predicted to fall", ha="center")
        ax.set_axis_off()
        return
    for crossing, before, after in steps:
        share = np.array(crossing["weights"]) / crossing["critical"]
        ax.plot(share, before / abs(before[0]), color=BLACK, **PREDICTED)
        ax.plot(share, after / abs(before[0]), color=PALETTE[0], **SIMULATED)
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set_xlabel("nu, in units of the critical weight")
    ax.set_ylabel("change of chosen, in units of DPO's")
