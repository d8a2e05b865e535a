"""Whether chosen responses become less likely while the loss falls, and what gains."""

import numpy as np

from prefdyn.runlog._finding import Finding
from prefdyn.runlog._log import RunLog
from prefdyn.runlog._severity import limit
from prefdyn.runlog._trend import Trend
from prefdyn.runlog._watched import Watched, margin, path, side
from prefdyn.runlog._words import change, level, listed, measured, sentence

HOLD = (
    "add a likelihood term to the loss (dpo_nll, dpop, spo): it lifts the chosen response by its "
    "weight (in dpo_nll and spo a weight per token) times the square of that response's own "
    "gradient (beta and the learning rate do not decide which way a small step of DPO moves it: "
    "its two pushes are equal, ENT-1)"
)
HOLD_MORE = (
    "raise the weight of the likelihood term that the loss has: the chosen response rises once it "
    "exceeds the push times (<g_w, g_l>/|g_w|^2 - 1)"
)
WATCH = "choose checkpoints by the chosen log-probability; a margin, or an accuracy, cannot tell"

OTHERS = {
    "greedy": "the model's own likeliest tokens",
    "chosen_rephrased": "rephrasings of the chosen responses",
    "rejected_rephrased": "rephrasings of the rejected ones",
    "unrelated": "unrelated responses",
}


def displacement(log: RunLog) -> list[Finding]:
    """Displacement (claim DISP-1), and a margin that grows without likelihood (claim KER-2)."""
    chosen = side(log, "chosen")
    peaked = chosen.past_its_peak()
    if not (peaked or chosen.down()) or _diverges(log):
        return []
    alarm = chosen.far_down() and chosen.in_nats
    since = chosen.peak.step
    evidence = " ".join(
        sentence(text) for text in (_course(chosen), _loss(log), _mass(log)) if text
    )
    advice, claim = _advice(log)
    if peaked:
        advice = f"go back to step {since}, or {advice}"
    found = [
        Finding(
            "displacement",
            "alarm" if alarm else "warning",
            evidence,
            since,
            sentence(advice),
            claim,
        )
    ]
    return found + _margin(log, chosen, since)


def _diverges(log: RunLog) -> bool:
    """Falling with a rising loss is another illness, with a finding of its own."""
    loss = path(log, "loss")
    return loss is not None and loss.moves(1, limit("chance"))


def _course(chosen: Watched) -> str:
    """Readings of evaluations as they are, levels of the trend where every batch is another."""
    whole, high, steps = chosen.trend, chosen.peak, chosen.series.steps
    if chosen.series.split == "eval":
        values = chosen.series.values
        first, top, last = values[0], values[steps == high.step][0], values[-1]
    else:
        first, last = whole.start, whole.end
        top = np.interp(high.step, whole.steps, whole.levels)
    places = [f"{first:.4g} at step {steps[0]}"]
    if steps[0] < high.step < steps[-1]:
        places.append(
            f"{top:.4g} at step {high.step}, where they were most likely (95 % confidence: "
            f"{high.earliest} to {high.latest})"
        )
    places.append(f"{last:.4g} at step {steps[-1]}")
    peaked = len(places) == 3
    since = f"{_below(last - top)} the peak and " if peaked else ""
    return (
        f"chosen responses went from {(', to ' if peaked else ' to ').join(places)}: {since}"
        f"{_below(last - first)} the start, in {chosen.unit} ({chosen.source}){_through(whole)}"
    )


def _through(whole: Trend) -> str:
    """The trend in words, where the readings scatter at all."""
    if whole.noise <= 1e-9 * max(abs(whole.start), abs(whole.end)):
        return ""
    return (
        f"; the trend through all readings, which scatter by {whole.noise:.2g}, goes from "
        f"{level(whole.start, whole.error)} to {level(whole.end, whole.error)} "
        f"({measured(whole.moved, whole.error, sign=True)})"
    )


def _below(change: float) -> str:
    return f"{abs(change):.3g} {'below' if change < 0 else 'above'}"


def _loss(log: RunLog) -> str:
    """The other half of the definition: the objective improves all the while."""
    loss, grown = path(log, "loss"), margin(log)
    if loss is not None and loss.moves(-1, limit("chance")):
        start, end = loss.quoted
        return f"the loss fell from {start:.3g} to {end:.3g} meanwhile"
    if grown is not None and grown.moves(1, limit("chance")):
        return "the margin grew meanwhile, as the objective wants"
    return "whether the loss fell the log does not tell, and without that it may be no displacement"


def _mass(log: RunLog) -> str:
    """Benign or catastrophic, as far as the log can tell: what gained the mass."""
    chance = limit("chance")
    inside = path(log, "mass_inside")
    if inside is not None:
        if inside.moves(-1, chance):
            return (
                f"the mass on the known responses went from {inside.start:.2g} to "
                f"{inside.end:.2g}: it goes to responses outside, which nobody compared"
            )
        return "the mass on the known responses stays where it is: it is handed round inside"
    paths = {words: found for name, words in OTHERS.items() if (found := path(log, name))}
    up = [_by(words, found) for words, found in paths.items() if found.moves(1, chance)]
    down = [_by(words, found) for words, found in paths.items() if found.moves(-1, chance)]
    reworded = path(log, "chosen_rephrased")
    told = []
    if up:
        told.append(f"{listed(up)} gained")
    if down:
        told.append(f"{listed(down)} lost")
    if not told:
        return (
            "what gained the mass is not in the log: log greedy continuations, rephrasings, or "
            "the mass on known responses (prefdyn's callback does)"
        )
    harm = ""
    if reworded is not None:
        good = reworded.moves(1, chance)
        harm = "; it looks benign" if good else "; it does not go to other wordings of the same"
    return f"{', while '.join(told)}{harm}"


def _by(words: str, found: Trend) -> str:
    return f"{words} ({change(found)})"


def _advice(log: RunLog) -> tuple[str, str]:
    holds = any(log.settings.get(name) for name in ("rpo_alpha", "cpo_alpha"))
    return (HOLD_MORE, "SPO-8") if holds else (HOLD, "DISP-8")


def _margin(log: RunLog, chosen: Watched, since: int) -> list[Finding]:
    found = margin(log)
    if found is None or not found.moves(1, limit("chance")):
        return []
    start, end = found.quoted
    evidence = (
        f"the margin went from {start:.3g} to {end:.3g} while chosen responses lost "
        "likelihood: it grows by what rejected responses lose, whatever chosen ones do"
    )
    return [
        Finding(
            "margin_without_likelihood",
            "warning",
            sentence(evidence),
            since,
            sentence(WATCH),
            "KER-2",
        )
    ]
