"""A diagnosis in plain words."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from prefdyn.displacement.diagnosis import PairDiagnosis

SHOWN = 3
"""Gainers that are named; the others are counted."""

KINDS = {
    "ideal": "Ideal, the chosen response rises and the rejected one falls",
    "both down": "Both responses fall",
    "both up": "Both responses rise",
    "reversed": "Reversed, the chosen response falls and the rejected one rises",
    "still": "Neither response moves",
}


def sentences(d: "PairDiagnosis") -> tuple[str, ...]:
    """What happens to the pair, why, who gains, and the scores."""
    parts = [_pushes(d)]
    if d.d_w or d.d_l or np.any(d.rates):
        parts += [_kind(d), _chosen(d), _rejected(d), *_gainers(d)]
    return (*parts, _scores(d))


def _pushes(d: "PairDiagnosis") -> str:
    pair = f"{d.names[d.chosen]} over {d.names[d.rejected]}"
    if not (np.any(d.chosen_pushes) or np.any(d.rejected_pushes)):
        return (
            f"{d.objective} pushes neither response of {pair}: it rests here, so a step on this "
            "pair moves nothing."
        )
    against = [
        f"pushes the {side} response {way}"
        for push, side, way in ((d.d_w, "chosen", "down"), (d.d_l, "rejected", "up"))
        if push < 0
    ]
    text = f"{d.objective} on {pair}: pushes d_w = {d.d_w:.4g}, d_l = {d.d_l:.4g}"
    return f"{text}; it {' and '.join(against)} here." if against else f"{text}."


def _kind(d: "PairDiagnosis") -> str:
    kind = KINDS[d.kind]
    return f"{kind[0].upper()}{kind[1:]}; the margin moves at {d.margin_rate:+.4g}."


def _chosen(d: "PairDiagnosis") -> str:
    e = d.entanglement
    verb = {-1: "falls", 0: "stays", 1: "rises"}[e.chosen_sign]
    return (
        f"The chosen response {verb} at {d.rates[d.chosen]:+.4g} nats per unit of learning rate: "
        f"its own push gives {e.chosen_own:+.4g}, the push on the rejected one "
        f"{-e.chosen_overlap:+.4g}{_condition(d)}."
    )


def _condition(d: "PairDiagnosis") -> str:
    """Gradient entanglement in numbers, where it has its usual form."""
    e = d.entanglement
    if not _alike(d) or d.d_w <= 0 or d.d_l <= 0:
        return ""
    bound = d.d_w / d.d_l * e.chosen_square
    relation = {-1: "exceeds", 0: "equals", 1: "does not exceed"}[e.chosen_sign]
    return f"; <g_w, g_l> = {e.inner:.4g} {relation} (d_w/d_l) |g_w|^2 = {bound:.4g}"


def _alike(d: "PairDiagnosis") -> bool:
    return np.ptp(d.chosen_pushes) == 0 and np.ptp(d.rejected_pushes) == 0


def _rejected(d: "PairDiagnosis") -> str:
    e = d.entanglement
    verb = {-1: "falls", 0: "stays", 1: "rises"}[e.rejected_sign]
    return (
        f"The rejected response {verb} at {d.rates[d.rejected]:+.4g}: its own push gives "
        f"{-e.rejected_own:+.4g}, the push on the chosen one {e.rejected_overlap:+.4g}."
    )


def _gainers(d: "PairDiagnosis") -> list[str]:
    if not d.gainers:
        return ["No response gains." if d.complete else "None of the candidates gains."]
    named = [f"{g.name} ({g.rate:+.4g}, {g.share:.0%} of the mass)" for g in d.gainers[:SHOWN]]
    more = len(d.gainers) - SHOWN
    text = f"Gaining, fastest first: {', '.join(named)}" + (f" and {more} more" if more > 0 else "")
    most = max(d.gainers, key=lambda gainer: gainer.share)
    if most.index != d.gainers[0].index:
        text += f"; most of the mass goes to {most.name} ({most.share:.0%})"
    return [f"{text}." if d.complete else f"{text}, among these candidates."]


def _scores(d: "PairDiagnosis") -> str:
    known = [f"{name} {value:.4g}" for name, value in d.scores.items() if value is not None]
    text = f"Scores, larger for more displacement: {', '.join(known)}"
    reasons = sorted(set(d.reasons.values()))
    return f"{text} (the others: {', '.join(reasons)})." if reasons else f"{text}."
