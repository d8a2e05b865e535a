"""The course of entropy, KL divergence, loss, accuracy and gradients."""

import numpy as np

from prefdyn.runlog._columns import NAMES, split_of
from prefdyn.runlog._finding import Finding
from prefdyn.runlog._log import RunLog
from prefdyn.runlog._severity import limit
from prefdyn.runlog._trend import FEWEST, since, trend
from prefdyn.runlog._watched import path, side
from prefdyn.runlog._words import listed, measured, sentence

LOWER = (
    "lower the learning rate: for log-linear policies steps below a bound lower the loss every time"
)
_TRAINED = ("loss", "chosen", "rejected", "reward_chosen", "reward_rejected", "reward_margin")
"""What is a number as long as the weights are."""


def entropy(log: RunLog) -> list[Finding]:
    """Entropy that has halved."""
    found, name = path(log, "entropy"), "entropy"
    if found is None:
        found, name = path(log, "response_entropy"), "response_entropy"
    if found is None or not found.moves(-1, limit("chance")):
        return []
    if found.end >= limit("halved") * found.start:
        return [_info("entropy", f"entropy fell from {found.start:.3g} to {found.end:.3g} nats")]
    per = " per token" if name == "entropy" else ""
    evidence = f"entropy fell from {found.start:.3g} to {found.end:.3g} nats{per}, below half"
    advice = (
        "raise beta, or stop earlier: the optimum of a round is the reference tilted by win rates "
        "over beta, so that a larger beta leaves more of the reference's spread"
    )
    return [
        Finding(
            "entropy",
            "warning",
            sentence(evidence),
            int(found.steps[0]),
            sentence(advice),
            "IPO-1",
        )
    ]


def divergence_from_reference(log: RunLog) -> list[Finding]:
    """How far the policy has gone from the reference: for information."""
    found = path(log, "kl")
    if found is None:
        return []
    moved = measured(found.moved, found.error, sign=True)
    if not (found.moves(1, limit("chance")) or found.moves(-1, limit("chance"))):
        return [_info("kl", f"the KL divergence shows no trend ({moved} nats)")]
    words = "grew" if found.moved > 0 else "fell"
    return [
        _info("kl", f"the KL divergence {words} from {found.start:.3g} to {found.end:.3g} nats")
    ]


def divergence(log: RunLog) -> list[Finding]:
    """A loss that is no number any more, or rises, and surely so."""
    lost = {c: step for c, step in log.lost.items() if NAMES[split_of(c)[1]] in _TRAINED}
    if lost:
        first = min(lost.values())
        verb = "are no finite numbers" if len(lost) > 1 else "is no finite number"
        evidence = f"{listed(list(lost))} {verb} at the end of the log, from step {first} on"
        advice = f"go back to a checkpoint before step {first} and {LOWER}"
        return [
            Finding("divergence", "alarm", sentence(evidence), first, sentence(advice), "SPO-8")
        ]
    loss = path(log, "loss")
    if loss is None or not loss.moves(1, limit("chance")):
        return []
    evidence = f"the loss rose from {loss.start:.3g} to {loss.end:.3g}"
    gradient = path(log, "gradient_norm")
    if gradient is not None and gradient.moves(1, limit("chance")):
        evidence += f", and the gradient's norm from {gradient.start:.3g} to {gradient.end:.3g}"
    advice = f"{LOWER}; if the loss is of evaluations, stop where it was lowest"
    first = int(loss.steps[0])
    return [Finding("divergence", "alarm", sentence(evidence), first, sentence(advice), "SPO-8")]


def saturation(log: RunLog) -> list[Finding]:
    """Pairs ranked right while responses go on losing likelihood."""
    accuracy = log.get("accuracy")
    if accuracy is None or len(accuracy.values) < 2 * FEWEST:
        return []
    right = _reached(accuracy.values, limit("right"))
    if right is None:
        return []
    step = int(accuracy.steps[right])
    sinking = {}
    for name in ("chosen", "rejected"):
        watched = side(log, name)
        later = trend(since(watched.series, step))
        if later.moves(-1, limit("chance"), limit("noticeable") if watched.in_nats else 0.0):
            sinking[name] = f"{name} responses lost {measured(-later.moved, later.error)} more"
    if "chosen" not in sinking:
        return []
    evidence = (
        f"{accuracy.values[right:].mean():.0%} of the pairs have been ranked right since step "
        f"{step}, while {' and '.join(sinking.values())} {watched.unit}"
    )
    advice = (
        "stop there, or add a likelihood term: pairs can all be ranked right while the mass leaves "
        "the data"
    )
    return [Finding("saturation", "warning", sentence(evidence), step, sentence(advice), "SPO-9")]


def _reached(values: np.ndarray, bound: float) -> int | None:
    """First reading from which on the mean of what follows, and its first part, are above."""
    n = len(values)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    means = (sums[-1] - sums[: n - FEWEST]) / (n - np.arange(n - FEWEST))
    near = (sums[FEWEST:-1] - sums[: n - FEWEST]) / FEWEST
    places = np.flatnonzero((means >= bound) & (near >= bound))
    return int(places[0]) if len(places) else None


def entanglement(log: RunLog) -> list[Finding]:
    """Gradients of the two responses that point the same way."""
    cosine = log.get("gradient_cosine")
    if cosine is None or len(cosine.values) < FEWEST:
        return []
    middle = float(np.median(cosine.values))
    if middle < limit("entangled"):
        return []
    evidence = (
        f"the gradients of chosen and rejected responses point the same way (cosine {middle:.2f}, "
        f"median of {len(cosine.values)}): whichever is longer decides which way both move"
    )
    advice = (
        "leave out pairs whose responses hardly differ (prefdyn predict ranks them), or push the "
        "chosen response harder than the rejected one (dpo_nll, dpop)"
    )
    return [
        Finding(
            "entanglement",
            "warning",
            sentence(evidence),
            int(cosine.steps[0]),
            sentence(advice),
            "ENT-1",
        )
    ]


def _info(kind: str, evidence: str) -> Finding:
    return Finding(kind, "info", sentence(evidence), None, "", "")
