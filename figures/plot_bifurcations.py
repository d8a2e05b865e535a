"""Figure: branches with their bifurcations, and boundaries of stability as curves."""

from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from prefdyn import (
    DPO,
    MRSDPO,
    MRSIPO,
    Boundary,
    GradientStep,
    LogitRule,
    boundary,
    continuation,
    ensemble,
    fixed_point,
    games,
    orbit,
)
from prefdyn.plots.house import (
    BLACK,
    BLUE,
    CALM,
    GREY,
    MOVING,
    ORANGE,
    VERMILION,
    figure,
    panel,
)
from prefdyn.policies import Tabular, softmax
from prefdyn.rules import Rule

TITLE = "Branches and boundaries: where stability ends softly, and where with a jump"
CAPTION = """
(a) Gradient descent with DPO on one pair that 70 % of the labels prefer one way, against learning
rate times beta squared. Lines are predicted by continuation: the fixed point and the cycles of
period 2, 4 and 8, each from the flip (dot) it is born in; solid where stable. Grey dots are
simulated with the package's gradient steps. (b)-(d) The predicted boundary of stability in the
plane of two parameters, followed as a curve: blue where the onset of cycles is supercritical
(soft), red where it is subcritical (a jump); the diamond is the Chenciner point between. Behind,
one pixel per recipe, 3,000 simulated rounds from next to the fixed point and from far away; a run
keeps moving if its variance over the last 1,000 rounds has not fallen below 0.9 times that of the
1,000 before.
(b) MRS-DPO on rock-paper-scissors of strength 0.482, alpha = 0.5, with the closed form (dashed).
(c) MRS-IPO, lam = 1, on a Condorcet winner of margin 0.05 over rock-paper-scissors of strength
0.482; thin: margins 0.02 (left) and 0.08 (inside). (d) The published "cyclic" dueling matrix. In
(c) and (d) the red side is where runs from afar keep cycling although the fixed point is stable:
shrinking beta below the window does not bring them home. beta is the pull to the reference; the
paper's beta is 1/beta.
"""
CLAIMS = ("BIF-1", "BIF-2", "BIF-3", "DPO-8", "MRS-14", "NS-4")

SHARE, STRENGTH, ALPHA, MARGINS = 0.7, 0.482, 0.5, (0.05, 0.02, 0.08)
RATES = (4.0, 7.6)
CYCLES = ((2, 7.6), (4, 7.6), (8, 7.2))
PANELS = ("dpo", "winner", "duels")
RANGES = {
    "dpo": ((0.8, 1.0), (1.0, 1.36)),
    "winner": ((2e-3, 0.5), (0.0, 0.98)),
    "duels": ((1e-2, 0.3), (0.0, 0.4)),
}
CALM_VARIANCE, DECAYING = 1e-22, 0.9
STEP = 0.07


class Disputed(LogitRule):
    """A gradient step of DPO at beta = 1 on a pair labelled one way with a share, as a scalar."""

    K = 2  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def __init__(self, share: float, rate: float):
        self.share, self.rate = share, rate

    def update(self, theta: Any) -> Any:
        """The logits move apart by the share less the predicted one."""
        push = self.share - softmax(theta)[..., :1]
        return theta + self.rate * push * np.array([1, -1])


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Curves by continuation, closed forms by formula, verdicts by simulation; no randomness."""
    shape = (80, 60) if full else (40, 30)
    return {
        **_doubling(240 if full else 120),
        **_plane("dpo", _dpo(1.15, 0.9), ("lam", "beta"), shape),
        **_plane("winner", _winner(MARGINS[0]), ("beta", "alpha"), shape),
        **_plane("duels", MRSIPO(games.load("cyclic"), 0.05, 0.1, 1.0), ("beta", "alpha"), shape),
        **_other_arches(),
    }


def _dpo(beta: Any, lam: Any) -> MRSDPO:
    return MRSDPO(games.rock_paper_scissors(STRENGTH), beta, ALPHA, lam)


def _winner(margin: float) -> MRSIPO:
    return MRSIPO(games.condorcet_over_cycle(margin, STRENGTH), 0.1, 0.1, 1.0)


def _doubling(count: int) -> dict[str, np.ndarray]:
    """Branches of period 1, 2, 4, 8, and what gradient steps settle on."""
    branch = continuation(Disputed(SHARE, RATES[0]), "rate", RATES, step=STEP)
    data = _branch_data(branch)
    flips = [branch.at("flip").value]
    for _, last in CYCLES:
        branch = branch.switch(range=(RATES[0], last), step=STEP)
        data |= _branch_data(branch)
        flips += [b.value for b in branch.bifurcations[:1]]
    rates = np.linspace(*RATES, count)
    policy, pairs, weights = Tabular([0.0, 0.0]), [(0, 1), (1, 0)], [SHARE, 1 - SHARE]
    rule = GradientStep(DPO(1.0), policy, pairs, rate=rates, weights=weights)
    run = orbit(rule, rounds=600, tolerance=0, progress=False)
    return data | {
        "flips": np.array(flips),
        "rates": rates,
        "settled": run.policies[-32:, :, 0],
    }


def _branch_data(branch: Any) -> dict[str, np.ndarray]:
    """One branch over its rates, with the flip at the end of its stable part."""
    flips = branch.bifurcations[:1]
    rates = np.append(branch.values, [flip.value for flip in flips])
    policies = np.concatenate([branch.policies, *[flip.policies[None] for flip in flips]])
    order = np.argsort(rates)
    return {
        f"branch_{branch.period}_rate": rates[order],
        f"branch_{branch.period}_policy": policies[order, :, 0],
    }


def _plane(name: str, rule: Rule, axes: tuple[str, str], shape: tuple) -> dict[str, np.ndarray]:
    """The boundary, and simulated verdicts (near and far, rows, columns)."""
    curve = boundary(rule, axes, RANGES[name], step=STEP)
    (low, high), (bottom, top) = RANGES[name]
    spaced = np.geomspace if axes[0] == "beta" else np.linspace
    across, up = spaced(low, high, shape[0]), np.linspace(bottom, top, shape[1])
    recipe: dict[str, Any] = {axes[0]: across, axes[1]: up[:, None]}
    return {
        **_curve_data(name, curve),
        f"{name}_across": across,
        f"{name}_up": up,
        f"{name}_moving": _moving(rule.replace(**recipe)),
    }


def _curve_data(name: str, curve: Boundary) -> dict[str, np.ndarray]:
    return {
        f"{name}_curve": curve.values,
        f"{name}_abrupt": curve.criticality == "subcritical",
        f"{name}_chenciner": np.array(curve.event("Chenciner").values),
    }


def _other_arches() -> dict[str, np.ndarray]:
    arches = {}
    for margin in MARGINS[1:]:
        curve = boundary(_winner(margin), ("beta", "alpha"), RANGES["winner"], step=STEP)
        arches |= _curve_data(f"winner_{margin}", curve)
    return arches


def _moving(rule: Rule) -> np.ndarray:
    """Whether runs from near and from afar keep moving, (2, ...)."""
    home = fixed_point(rule).log_policy
    near = home + 1e-3 * np.linspace(1, -1, rule.K)
    far = np.log(np.append(np.full(rule.K - 1, 0.02 / (rule.K - 1)), 0.98))
    starts = np.stack([near, np.broadcast_to(far, home.shape)])
    starts = starts - np.log(np.exp(starts).sum(axis=-1, keepdims=True))
    names = ("cycle_strength", "last_log_policy")
    before = ensemble(
        rule, log_starts=starts, rounds=2_000, burn_in=0.5, reducers=names, progress=False
    )
    after = ensemble(
        rule,
        log_starts=before["last_log_policy"],
        rounds=1_000,
        burn_in=0.0,
        reducers=names[:1],
        progress=False,
    )["cycle_strength"]
    return (after > CALM_VARIANCE) & (after > DECAYING * before["cycle_strength"])


def draw(data: dict[str, np.ndarray]) -> Any:
    """One panel of branches, three of boundaries."""
    drawing = figure(6.6)
    (doubling, dpo), (winner, duels) = drawing.subplots(2, 2)
    _draw_branches(doubling, data)
    lam = np.linspace(*RANGES["dpo"][0])
    _draw_plane(dpo, data, "dpo")
    closed = 4 * lam * STRENGTH / np.sqrt(3 * (1 - ALPHA**2))
    dpo.plot(lam, closed, color=BLACK, linestyle="--", linewidth=0.8, zorder=4)
    dpo.set(xlabel="λ, on-policy share of the sampler", ylabel="β")
    _draw_plane(winner, data, "winner")
    for margin in MARGINS[1:]:
        _draw_curve(winner, data, f"winner_{margin}", linewidth=0.9)
    _draw_plane(duels, data, "duels")
    for ax in (winner, duels):
        ax.set(xscale="log", xlabel="β", ylabel="α, current share of the reference")
        ax.xaxis.set_minor_formatter("")
    panel(dpo, "b", "iterated DPO, rock-paper-scissors")
    panel(winner, "c", "iterated IPO, narrow winner over a cycle")
    panel(duels, "d", "iterated IPO, “cyclic” duels")
    drawing.legend(handles=_legend(), loc="outside lower center", ncols=3)
    return drawing


def _draw_branches(ax: Any, data: dict[str, np.ndarray]) -> None:
    settled = data["settled"]
    rates = np.broadcast_to(data["rates"], settled.shape)
    ax.plot(rates, settled, ".", color=GREY, markersize=1.5, markeredgewidth=0, zorder=1)
    for period, flip in zip((1, 2, 4, 8), data["flips"], strict=True):
        rate = data[f"branch_{period}_rate"]
        for policy in data[f"branch_{period}_policy"].T:
            stable, lost = rate <= flip, rate >= flip
            ax.plot(rate[stable], policy[stable], color=BLUE, linewidth=1.3)
            ax.plot(rate[lost], policy[lost], color=BLUE, linewidth=0.8, linestyle=":")
            ax.plot(flip, policy[stable][-1], "o", color=BLACK, markersize=3)
    ax.set(xlabel="learning rate × β²", ylabel="probability of the preferred response")
    panel(ax, "a", "DPO on a disputed pair, large steps")


def _draw_plane(ax: Any, data: dict[str, np.ndarray], name: str) -> None:
    near, far = data[f"{name}_moving"].astype(int)
    ax.pcolormesh(
        data[f"{name}_across"],
        data[f"{name}_up"],
        np.where(near == 1, 2, far),
        cmap=ListedColormap([CALM, ORANGE, MOVING]),
        vmin=0,
        vmax=2,
        rasterized=True,
    )
    _draw_curve(ax, data, name, linewidth=2.2)
    (low, high), (bottom, top) = RANGES[name]
    ax.set(xlim=(low, high), ylim=(bottom, top))


def _draw_curve(ax: Any, data: dict[str, np.ndarray], name: str, linewidth: float) -> None:
    across, up = data[f"{name}_curve"].T
    abrupt, change = data[f"{name}_abrupt"], data[f"{name}_chenciner"]
    for side, colour in ((~abrupt, BLUE), (abrupt, VERMILION)):
        # Drawn up to the point of change, so that no gap is left between the two.
        first = side[0]
        xs, ys = (np.append(v[side], c) for v, c in zip((across, up), change, strict=True))
        if not first:
            xs, ys = (np.roll(v, 1) for v in (xs, ys))
        ax.plot(xs, ys, color=colour, linewidth=linewidth, zorder=3)
    ax.plot(*change, "D", color=BLACK, markersize=4.5, markeredgecolor="white", zorder=5)


def _legend() -> list[Any]:
    return [
        Line2D([], [], color=BLUE, linewidth=2.2, label="followed: soft onset"),
        Line2D([], [], color=VERMILION, linewidth=2.2, label="followed: abrupt onset"),
        Line2D([], [], color=BLACK, marker="D", linestyle="none", ms=4.5, label="Chenciner point"),
        Patch(facecolor=CALM, edgecolor="#999", linewidth=0.5, label="simulated: settles"),
        Patch(facecolor=MOVING, label="simulated: keeps moving"),
        Patch(facecolor=ORANGE, label="simulated: moves from afar only"),
    ]


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """The cascade, the error of the curve, and where bistable recipes lie."""
    flips = data["flips"]
    lam, beta = data["dpo_curve"].T
    closed = 4 * lam * STRENGTH / np.sqrt(3 * (1 - ALPHA**2))
    point = data["dpo_chenciner"]
    sentences = [
        "Doublings of the period at learning rate x beta^2 = "
        + ", ".join(f"{flip:.4f}" for flip in flips)
        + f"; the first is predicted at {1 / (SHARE * (1 - SHARE)):.4f}.",
        f"Largest relative distance of the followed boundary from the closed form: "
        f"{np.max(np.abs(beta / closed - 1)):.1e}; its Chenciner point is at lam = {point[0]:.6f}, "
        f"predicted {np.sqrt(3) / 4 / STRENGTH:.6f}.",
    ]
    for name, words in zip(
        PANELS, ("MRS-DPO", "the narrow winner", "the cyclic duels"), strict=True
    ):
        near, far = data[f"{name}_moving"]
        sentences.append(
            f"On {words}, {np.sum(far & ~near):,} of {near.size:,} simulated recipes settle from "
            f"nearby but keep moving from afar, and {np.sum(near & ~far):,} the other way round."
        )
    return sentences
