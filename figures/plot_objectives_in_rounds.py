"""Figure: which objectives oscillate, converge or collapse when their optimum is iterated."""

from typing import Any

import numpy as np

from figures._objectives import ordered, shown
from prefdyn import InputError, NoOptimum, fixed_point, games, orbit
from prefdyn import stability as stability_of
from prefdyn.objectives import Pair
from prefdyn.plots.house import BLACK, BLUE, GREY, PREDICTED, SIMULATED, VERMILION, figure, panel
from prefdyn.rules import MRS

TITLE = "All objectives in rounds: who oscillates, who converges, who has no optimum"
CAPTION = """
Every objective of the registry under mixed-reference sampling, each round its exact population
optimum: alpha = 0.5, lam = 1, uniform reference, every response one token, beta = 0.3 where there
is one (the pull to the reference), published values otherwise; kto at z0 = 2, bco at delta = 0,
alpha_dpo at a standard deviation of 1, bpo at alpha = 0.6. (a) Rock-paper-scissors: critical
strength |P - 1/2|, predicted where the spectral radius at the uniform policy passes 1 (lines; at
the left edge: unstable at any strength, at the right edge: at none), and the simulated growth of a
small disturbance at 0.8 and 1.25 times that strength: hollow dots shrink, full dots grow. (b) A
response that beats each member of a rock-paper-scissors of strength 0.4 by 0.05, and (c) a
Bradley-Terry game of scores 0.6, 0.3, 0, -0.3: probability of the best response, predicted at the
fixed point (black line, orange where it is unstable, none while a run heads for a corner) and
simulated (dot: last of 16 rounds, bar: range of the last 6; a cross where Newton's method finds no
optimum any more). Rows without marks say why.
"""
CLAIMS = ("MRS-3", "MRS-5", "DPO-6")

BETA, ALPHA, LAM = 0.3, 0.5, 1.0
STRENGTHS = np.geomspace(0.005, 0.49, 40)
SIDES = (0.8, 1.25)
CYCLE, MARGIN = 0.4, 0.05
SCORES = (0.6, 0.3, 0.0, -0.3)
START = np.array([0.16, 0.24, 0.28, 0.32])
NEAR_ROUNDS, ROUNDS, LAST = 12, 16, 6

REASONS = {
    "sorts its batch": "sorts its batch: no loss per pair",
    "that is no minimum": "no minimum at policy = reference",
    "kink": "kink at policy = reference",
    "no minimum that": "no minimum inside, or no unique one",
    "no fixed point": "no fixed point",
}
"""What a refusal says, and what the figure says of it."""


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Multipliers at fixed points, and orbits; no randomness."""
    rows = [_row(id, 2 if full else 1) for id in ordered()]
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    # From the most to the least robust on the cycle, then what cannot be iterated.
    order = np.lexsort((-table["critical"], table["reason"] != ""))
    return {name: column[order] for name, column in table.items()} | {
        "growth_at": np.array(SIDES),
        "strengths": STRENGTHS,
    }


def _row(id: str, depth: int) -> dict[str, Any]:
    row = {
        "ids": id,
        "reason": "",
        "critical": np.nan,
        "radius": np.full(2, np.nan),
        "strength": np.full(2, np.nan),
        "growth": np.full(2, np.nan),
        "fixed": np.full(2, np.nan),
        "stable": np.zeros(2, dtype=bool),
        "last": np.full(2, np.nan),
        "low": np.full(2, np.nan),
        "high": np.full(2, np.nan),
        "failed": np.full(2, -1),
    }
    try:
        if has_kink(id):
            raise NoOptimum("kink")
        radii = _radii(id, STRENGTHS)
        row["critical"] = crossing(STRENGTHS, radii)
        row["strength"] = _beside(row["critical"])
        row["radius"] = _radii(id, row["strength"])
        row["growth"] = growth(rule_of(id, games.rock_paper_scissors(row["strength"])))
    except (InputError, NoOptimum) as error:
        row["reason"] = _reason(str(error))
        return row
    rule = rule_of(id, games.PreferenceMatrix(np.stack([game.P for game in larger_games()])))
    policies, row["failed"] = simulate(rule, ROUNDS * depth)
    best = policies[-LAST:, :, 0]
    row["last"], row["low"], row["high"] = best[-1], best.min(0), best.max(0)
    for column, game in enumerate(larger_games()):
        predicted = _predicted(rule_of(id, game), policies[-LAST:, column])
        row["fixed"][column], row["stable"][column] = predicted
    return row


def rule_of(id: str, game: games.PreferenceMatrix) -> MRS:
    """Mixed-reference sampling with an objective as the figure shows it."""
    objective = shown(id)
    return MRS(game, objective, BETA if objective.takes("beta") else None, ALPHA, LAM)


def larger_games() -> tuple[games.PreferenceMatrix, games.PreferenceMatrix]:
    """A Condorcet winner over a cycle, and a Bradley-Terry game."""
    return games.condorcet_over_cycle(MARGIN, CYCLE), games.bradley_terry(SCORES)


def has_kink(id: str) -> bool:
    """Whether the pushes at policy = reference differ between one side and the other."""
    objective, eps = shown(id), 1e-7
    if objective.token_level or objective.couples_rows:
        return False
    start = -np.log(3)
    moves = np.array([[eps, eps], [eps, -eps], [-eps, eps], [-eps, -eps]])
    rates = {"chosen_win_rate": 0.9, "rejected_win_rate": 0.1}
    pair = Pair(
        chosen=start + moves[:, 0],
        rejected=start + moves[:, 1],
        ref_chosen=start,
        ref_rejected=start,
        **rates,
    )
    pushes = np.array(objective.pushes(pair))
    return bool(np.ptp(pushes, axis=1).max() > 1e-2 * np.abs(pushes).max())


def _radii(id: str, strengths: np.ndarray) -> np.ndarray:
    rule = rule_of(id, games.rock_paper_scissors(strengths))
    radii = np.asarray(stability_of(rule).spectral_radius)
    if radii.max() > 1e6:  # a flat loss: its optimum is any policy, its derivative rounding
        raise NoOptimum("no minimum that is unique")
    return radii


def crossing(strengths: np.ndarray, radii: np.ndarray) -> float:
    """Strength at which the radius passes 1; 0 if it is always above, infinite if never."""
    above = radii > 1
    if above.all() or not above.any():
        return 0.0 if above.all() else np.inf
    k = int(np.argmax(above))
    share = (1 - radii[k - 1]) / (radii[k] - radii[k - 1])
    return float(strengths[k - 1] + share * (strengths[k] - strengths[k - 1]))


def _beside(critical: float) -> np.ndarray:
    """Two strengths: on either side of the critical one, where there is one."""
    if critical == 0:
        return np.array([0.02, 0.05])
    return np.minimum(np.array(SIDES) * critical, [0.35, 0.49])


def growth(rule: MRS) -> np.ndarray:
    """Growth per round of a small disturbance of the uniform policy, by iterating."""
    start = 1 / 3 + 1e-5 * np.array([1.0, 0.0, -1.0])
    run = orbit(rule, start, NEAR_ROUNDS, tolerance=0, progress=False)
    logits = run.log_policies - run.log_policies.mean(-1, keepdims=True)
    distance = np.linalg.norm(logits, axis=-1)
    return (distance[-1] / distance[2]) ** (1 / (NEAR_ROUNDS - 2))


def _predicted(rule: MRS, policies: np.ndarray) -> tuple[float, bool]:
    """Probability of the best response at the fixed point, and whether that is stable.

    Newton's method starts where a run has settled, else from the uniform policy; a run that is
    still on its way to the best response's corner has no fixed point to be found.
    """
    settled = np.ptp(policies, axis=0).max() < 1e-2
    rising = np.all(np.diff(policies[:, 0]) > 0) and policies[-1, 0] > 0.5
    if policies[-1].max() > 0.99 or (rising and not settled):
        return np.nan, False
    try:
        point = fixed_point(rule, policies[-1] if settled else None)
        return float(point.policy[0]), float(stability_of(rule, point).spectral_radius) < 1
    except NoOptimum:
        return np.nan, False


def simulate(rule: MRS, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """Policies (rounds, games, K), and the round without an optimum of each game, or -1.

    A game stays where it was in the round that has no optimum.
    """
    log_policies, failed = [np.log(np.tile(START, (2, 1)))], np.full(2, -1)
    for t in range(rounds):
        try:
            if (failed >= 0).any():
                raise NoOptimum("one game at a time")
            log_policies.append(_round(rule, log_policies[-1]))
        except NoOptimum:
            following = log_policies[-1].copy()
            for i in np.flatnonzero(failed < 0):
                try:
                    game = games.PreferenceMatrix(rule.game.P[i])
                    following[i] = _round(rule.replace(game=game), log_policies[-1][i])
                except NoOptimum:
                    failed[i] = t + 1
            log_policies.append(following)
        if (failed >= 0).all():
            break
    return np.exp(log_policies), failed


def _round(rule: MRS, log_policy: np.ndarray) -> np.ndarray:
    run = orbit(rule, log_start=log_policy, rounds=1, tolerance=0, progress=False)
    return run.log_policies[-1]


def _reason(message: str) -> str:
    return next(words for key, words in REASONS.items() if key in message)


def draw(data: dict[str, np.ndarray]) -> Any:
    """One row for each objective; three panels."""
    drawing = figure(9.4)
    axes = drawing.subplots(1, 3, sharey=True, width_ratios=(1.3, 1, 1))
    rows = np.arange(len(data["ids"]))[::-1]
    for ax in axes:
        ax.set(ylim=(-0.7, len(rows) - 0.3), yticks=rows)
        ax.hlines(rows, 0, 1, transform=ax.get_yaxis_transform(), color="#E8E8E8", linewidth=0.5)
        ax.tick_params(axis="y", length=0)
    axes[0].set_yticklabels([str(id) for id in data["ids"]], fontsize=7)
    _draw_thresholds(axes[0], data, rows)
    panel(axes[0], "a", "rock-paper-scissors")
    for column, (ax, title) in enumerate(
        zip(axes[1:], ("Condorcet winner", "Bradley-Terry"), strict=True)
    ):
        _draw_best(ax, data, rows, column)
        panel(ax, "bc"[column], title)
    handles, labels = axes[0].get_legend_handles_labels()
    more = axes[1].get_legend_handles_labels()
    drawing.legend(
        handles + more[0], labels + more[1], loc="outside lower center", ncols=3, fontsize=7.5
    )
    return drawing


def _draw_thresholds(ax: Any, data: dict[str, np.ndarray], rows: np.ndarray) -> None:
    low, high = 0.015, 0.62
    critical = np.clip(data["critical"], low, high)
    ax.vlines(
        critical, rows - 0.38, rows + 0.38, color=BLACK, label="predicted threshold", **PREDICTED
    )
    shrinks = data["growth"] < 1
    for which, face, label in (
        (shrinks, "white", "disturbance shrinks"),
        (data["growth"] >= 1, BLUE, "disturbance grows"),
    ):
        where, side = np.nonzero(which)
        style = {**SIMULATED, "markeredgecolor": BLUE, "markerfacecolor": face}
        ax.plot(data["strength"][where, side], rows[where], label=label, **style)
    text = {"fontsize": 6.5, "color": GREY, "va": "center", "in_layout": False, "zorder": 5}
    for row, reason in zip(rows, data["reason"], strict=True):
        if reason:
            ax.text(low * 1.08, row, reason, **text)
    ax.set(xscale="log", xlim=(low * 0.93, high * 1.05), xlabel="strength |P − 1/2| of the cycle")
    ax.set_xticks([0.02, 0.05, 0.1, 0.2, 0.5], ["0.02", "0.05", "0.1", "0.2", "0.5"])
    ax.minorticks_off()


def _draw_best(ax: Any, data: dict[str, np.ndarray], rows: np.ndarray, column: int) -> None:
    part = {name: data[name][:, column] for name in ("fixed", "stable", "last", "low", "high")}
    failed = data["failed"][:, column] >= 0
    ax.hlines(rows, part["low"], part["high"], color=BLUE, linewidth=4, alpha=0.35)
    for stable, colour, label in (
        (True, BLACK, "predicted, stable"),
        (False, VERMILION, "predicted, unstable"),
    ):
        which = part["stable"] == stable
        ends = (rows[which] - 0.38, rows[which] + 0.38)
        ax.vlines(part["fixed"][which], *ends, color=colour, label=label, **PREDICTED)
    ax.plot(part["last"][~failed], rows[~failed], color=BLUE, label="last round", **SIMULATED)
    crosses = {**SIMULATED, "marker": "x", "markeredgecolor": BLUE, "markeredgewidth": 1.2}
    ax.plot(part["last"][failed], rows[failed], label="no optimum found any more", **crosses)
    ax.set(xlim=(-0.03, 1.03), xticks=[0, 0.5, 1], xlabel="π(best response)")


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Agreement of prediction and simulation, and who does what."""
    ids, runs = data["ids"], data["reason"] == ""
    agree = np.abs(data["growth"][runs] / data["radius"][runs] - 1).max()
    above = data["critical"] == 0
    never = np.isinf(data["critical"])
    between = runs & ~above & ~never
    moving = data["high"] - data["low"] > 0.01
    failed = data["failed"] >= 0
    settled = ~moving & ~failed & data["stable"]
    error = np.abs(data["last"] - data["fixed"])[settled].max()

    def names(which: np.ndarray) -> str:
        return ", ".join(ids[which]) or "none"

    sentences = [
        f"{len(ids)} objectives: {runs.sum()} iterated, {(~runs).sum()} with a stated reason not.",
        f"Growth per round of a small disturbance: within {agree:.1e} of the spectral radius.",
        f"Thresholds run from {data['critical'][between].min():.3f} "
        f"({ids[between][data['critical'][between].argmin()]}) to "
        f"{data['critical'][between].max():.3f} "
        f"({ids[between][data['critical'][between].argmax()]}).",
        f"Unstable on every cycle: {names(above)}. On none: {names(never)}.",
        f"Lost the Condorcet winner (below 0.01): {names(data['last'][:, 0] < 0.01)}.",
        f"Settled runs end within {error:.1e} of the stable fixed point.",
    ]
    for column, game in enumerate(("Condorcet winner", "Bradley-Terry")):
        sentences.append(
            f"{game}: still moving after {ROUNDS} rounds: "
            f"{names(moving[:, column] & ~failed[:, column])}; without an optimum at some round: "
            f"{names(failed[:, column])}."
        )
    return sentences
