"""Figure: preferring No over Never raises Yes, under six objectives."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from prefdyn import Pair, objectives, orbit
from prefdyn.displacement import diagnose_pair
from prefdyn.plots.house import BLACK, BLUE, GREEN, GREY, ORANGE, SIMULATED, VERMILION, figure
from prefdyn.policies import UnconstrainedFeatures, softmax
from prefdyn.rules import GradientStep

TITLE = "Preferring No over Never can raise Yes"
CAPTION = """
One pair, No (chosen) over Never (rejected), five tokens, softmax(W h), rows and state in two
dimensions; left, only the unembeddings W learn, in the middle only the state h, right both, at
equal rates. Dots are simulated gradient steps. Lines are predicted: gradient flow by the formulas
of each push and of DISP-4, written out by hand. Above each panel: the first-order diagnosis at the
start (gains in ln pi); a first step overshoots where the rate is large. With h alone the pair pulls
along one direction, on which Yes wins: losses of the margin (DPO, IPO, SimPO) hand Yes the mass
while they fall; DPOP stops No from falling as soon as it has begun to, a likelihood term (SPO,
SLIME) makes it rise. beta is the pull to the reference, the start: .1 in DPO, IPO and SPO (DPO plus
.1 times the negative log-likelihood of No), .3 in DPOP (lam = 50); in SimPO it is a scale (beta =
2, gamma = .5). SLIME has its published constants. Learning rates, one per panel, stand at each row:
they differ because the losses do.
"""
CLAIMS = ("DISP-1", "DISP-4", "DISP-5")

TOKENS = ("Yes", "No", "Never", "Maybe", "_No")
COLOURS = (VERMILION, BLUE, BLACK, ORANGE, GREEN)
ROWS = np.array([[1, 0], [-1, 1], [-1.6, 1], [0.3, 0.2], [-0.9, 0.6]])
STATE = np.array([2.5, 7.0])
YES, CHOSEN, REJECTED = 0, 1, 2
KAPPA_W, KAPPA_H = np.array([1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0])
TRAINED = ("W learns", "h learns", "both learn")
STEPS = 300
FINER = 10
"""Steps of the hand-written flow per gradient step."""
SAVED = np.unique(np.geomspace(1, STEPS, 20).round().astype(int))
NAMES = {"dpo": "DPO", "ipo": "IPO", "simpo": "SimPO", "dpop": "DPOP", "spo": "SPO"}
NAMES["slime"] = "SLIME"
RATES = {
    "dpo": (0.3, 3.0, 0.3),
    "ipo": (0.002, 0.02, 0.002),
    "simpo": (0.1, 1.0, 0.1),
    "dpop": (0.02, 0.06, 0.02),
    "spo": (0.3, 3.0, 0.3),
    "slime": (0.01, 0.3, 0.01),
}
"""Learning rates of the three columns: as large as the steepest direction of each lets them be."""


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Probabilities (objective, saved, trained, token) of both, first-order rates, and losses."""
    simulated, losses, first = zip(*(_simulate(id) for id in RATES), strict=True)
    predicted = [_flow(PUSHES[id], rates) for id, rates in RATES.items()]
    return {
        "steps": SAVED,
        "simulated": np.stack(simulated),
        "losses": np.stack(losses),
        "first_order": np.stack(first),
        "predicted": np.stack(predicted),
        "rates": np.array(list(RATES.values())),
    }


def _simulate(id: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities and losses at the saved steps, and the diagnosis of each kind of training."""
    objective, pair = objectives.get(id), (CHOSEN, REJECTED)
    policy = UnconstrainedFeatures(ROWS, STATE, kappa_W=KAPPA_W, kappa_h=KAPPA_H)
    rule = GradientStep(objective, policy, [pair], RATES[id])
    run = orbit(rule, rounds=STEPS, tolerance=0, progress=False)
    start, saved = run.log_policies[0], run.log_policies[SAVED]
    seen = {}
    for side, i in (("chosen", CHOSEN), ("rejected", REJECTED)):
        seen |= {side: saved[..., i], f"{side}_tokens": saved[..., i, None]}
        seen[f"ref_{side}"] = start[..., i]
    first = [
        diagnose_pair(
            UnconstrainedFeatures(ROWS, STATE, kappa_W=w, kappa_h=h), *pair, objective
        ).rates
        for w, h in zip(KAPPA_W, KAPPA_H, strict=True)
    ]
    return np.exp(saved), objective.loss(Pair(**seen)), np.stack(first)


def _flow(pushes: Callable[[Any, Any, Any], tuple[Any, Any]], rates: Any) -> np.ndarray:
    """Euler's method with steps finer than the simulation's, (saved, trained, token)."""
    W = np.broadcast_to(ROWS, (3, *ROWS.shape)).copy()
    h = np.broadcast_to(STATE, (3, 2)).copy()
    start = np.log(softmax(ROWS @ STATE))
    step_W, step_h = (
        np.array(rates)[:, None] / FINER * kappa[:, None] for kappa in (KAPPA_W, KAPPA_H)
    )
    saved = []
    for t in range(STEPS * FINER + 1):
        logits = (W @ h[..., None])[..., 0]
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        pi = weights / weights.sum(-1, keepdims=True)
        if t % FINER == 0:
            saved.append(pi)
        with np.errstate(divide="ignore"):
            log_w, log_l = np.log(pi[:, CHOSEN]), np.log(pi[:, REJECTED])
        d_w, d_l = pushes(log_w - start[CHOSEN], log_l - start[REJECTED], (log_w, log_l))
        by_logits = (d_l - d_w)[:, None] * pi
        by_logits[:, CHOSEN] += d_w
        by_logits[:, REJECTED] -= d_l
        by_h = (by_logits[:, None] @ W)[:, 0]
        W += (step_W * by_logits)[..., None] * h[:, None]
        h += step_h * by_h
    return np.stack(saved)[SAVED]


def _sigmoid(x: Any) -> Any:
    return 0.5 * (1 + np.tanh(x / 2))


def _dpo(a: Any, b: Any, _: Any) -> tuple[Any, Any]:
    push = 0.1 * _sigmoid(-0.1 * (a - b))
    return push, push


def _ipo(a: Any, b: Any, _: Any) -> tuple[Any, Any]:
    push = 2 * (1 / (2 * 0.1) - (a - b))
    return push, push


def _simpo(a: Any, b: Any, log: tuple[Any, Any]) -> tuple[Any, Any]:
    push = 2 * _sigmoid(0.5 - 2 * (log[0] - log[1]))
    return push, push


def _dpop(a: Any, b: Any, _: Any) -> tuple[Any, Any]:
    push = 0.3 * _sigmoid(-0.3 * (a - b - 50 * np.maximum(-a, 0)))
    return push * (1 + 50 * (a < 0)), push


def _spo(a: Any, b: Any, log: Any) -> tuple[Any, Any]:
    d_w, d_l = _dpo(a, b, log)
    return d_w + 0.1, d_l


def _slime(a: Any, b: Any, log: tuple[Any, Any]) -> tuple[Any, Any]:
    margin, depth = log[0] - log[1], -log[1] - 1.25
    v, room = _sigmoid(-2.5 * (margin - 1)), 1.5 - margin
    force = np.where(room > 0, v + 2.5 * room * v * (1 - v), 0)
    floor = 0.1 * 2.5 * np.logaddexp(0, depth) ** 1.5 * _sigmoid(depth)
    return 0.1 + force, force - floor


PUSHES = dict(zip(RATES, (_dpo, _ipo, _simpo, _dpop, _spo, _slime), strict=True))
"""d_w and d_l of each loss, written out with the constants of the caption."""


def draw(data: dict[str, np.ndarray]) -> Any:
    """Objectives by rows, what learns by columns."""
    drawing = figure(8.8)
    axes = drawing.subplots(len(RATES), 3, sharex=True, sharey=True)
    for row, (id, rates) in enumerate(zip(RATES, data["rates"], strict=True)):
        for column, learns in enumerate(TRAINED):
            ax = axes[row, column]
            for k, colour in enumerate(COLOURS):
                line = data["predicted"][row, :, column, k]
                dots = data["simulated"][row, :, column, k]
                ax.plot(data["steps"], line, color=colour, linewidth=1.2)
                ax.plot(data["steps"], dots, color=colour, **{**SIMULATED, "markersize": 3.6})
            title = _diagnosis(data["first_order"][row, column])
            ax.set_title(title, fontsize=7.5, color=GREY, pad=3)
            if row == 0:
                ax.annotate(learns, (0, 1.2), xycoords="axes fraction", fontsize=9.5, weight="bold")
        axes[row, 0].set_ylabel(
            f"{NAMES[id]}\nrates {rates[0]:g}, {rates[1]:g}, {rates[2]:g}", fontsize=8
        )
    for ax in axes[-1]:
        ax.set(xscale="log", ylim=(-0.05, 1.05), yticks=(0, 0.5, 1), xlabel="gradient step")
    drawing.supylabel("probability", fontsize=9)
    handles = [
        Line2D([], [], color=colour, marker="o", markersize=4, markeredgecolor="white", label=token)
        for colour, token in zip(COLOURS, TOKENS, strict=True)
    ]
    drawing.legend(handles=handles, loc="outside lower center", ncols=5)
    return drawing


def _diagnosis(rates: np.ndarray) -> str:
    way = "rises" if rates[CHOSEN] > 0 else "falls"
    return f"first order: No {way}, {TOKENS[int(rates.argmax())]} gains most"


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Where h alone leads, and how well the formulas follow."""
    ends = data["simulated"][:, -1, 1]
    given = ", ".join(
        f"{NAMES[id]} {end[YES]:.2f}/{end[CHOSEN]:.2f}" for id, end in zip(RATES, ends, strict=True)
    )
    margin = [list(RATES).index(id) for id in ("dpo", "ipo", "simpo")]
    falls = bool(np.all(np.diff(data["losses"][margin, :, 1], axis=1) < 0))
    late = data["steps"] >= 10
    gap = np.abs(data["simulated"] - data["predicted"])[:, late].max()
    return [
        f"With h alone, pi(Yes)/pi(No) after {data['steps'][-1]:,} steps: {given}.",
        "The losses of DPO, IPO and SimPO fall at every saved step of it: "
        f"{'yes' if falls else 'no'}.",
        f"From step 10 on, formulas and steps differ by at most {gap:.3f} in any probability.",
    ]
