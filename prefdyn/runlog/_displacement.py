"""Whether chosen responses become less likely while the loss falls, and what gains."""

from prefdyn._errors import InsufficientData
from prefdyn.runlog._finding import Finding
from prefdyn.runlog._log import RunLog
from prefdyn.runlog._severity import limit
from prefdyn.runlog._trend import Trend
from prefdyn.runlog._watched import Watched, optional, side

CHANGE_OBJECTIVE = (
    "add a likelihood term to the loss (dpo_nll, dpop or spo: its gradient lifts the chosen "
    "response by its own square), leave out the pairs that prefdyn predict ranks first, and stop "
    "at the peak"
)


def displacement(log: RunLog) -> list[Finding]:
    """Displacement, and a margin that grows without likelihood (claims DISP-1, KER-2)."""
    chosen = side(log, "chosen")
    fallen, falling = _fallen(chosen)
    if not (fallen or falling) or _loss_rises(log):
        return []
    severity = "alarm" if fallen else "warning"
    evidence = f"{_path(chosen)}{_others(log)}"
    since = int(chosen.trend.steps[chosen.trend.top])
    found = [Finding("displacement", severity, evidence, since, CHANGE_OBJECTIVE, "DISP-8")]
    return found + _margin(log, since)


def _fallen(chosen: Watched) -> tuple[bool, bool]:
    """Whether it is well below its start, and whether it has fallen from its peak."""
    chance, path = limit("chance"), chosen.trend
    large = limit("large") if chosen.nats else 0.0
    noticeable = limit("noticeable") if chosen.nats else 0.0
    return (
        path.moves(-1, chance, large),
        path.moves(-1, chance, noticeable, corner=path.top),
    )


def _loss_rises(log: RunLog) -> bool:
    loss = optional(log, "loss")
    return loss is not None and loss.moves(1, limit("chance"))


def _path(chosen: Watched) -> str:
    path = chosen.trend
    moved, error = path.change()
    lately, late_error = path.change(path.top)
    rose = (
        f"rose from {path.start:.1f} to {path.levels[path.top]:.1f} by the {chosen.when} "
        f"{path.steps[path.top]:g}, and have since fallen to {path.end:.1f}: "
        f"{-lately:.2g} ± {late_error:.1g} {chosen.unit} lost since, {moved:+.2g} ± {error:.1g} "
        "in all"
        if path.top
        else f"have fallen from {path.start:.1f} to {path.end:.1f}: "
        f"{-moved:.2g} ± {error:.1g} {chosen.unit} lost"
    )
    return f"chosen responses {rose} {chosen.how}"


def _others(log: RunLog) -> str:
    """Who else moves: where the mass may have gone, as far as the log can tell."""
    chance = limit("chance")
    told = []
    for name, words in (
        ("rejected", "rejected responses"),
        ("greedy", "the model's own likeliest tokens"),
        ("chosen_rephrased", "rephrasings of the chosen ones"),
        ("unrelated", "unrelated responses"),
        ("mass_inside", "the mass on known responses"),
    ):
        path = optional(log, name)
        if path is not None and (path.moves(1, chance) or path.moves(-1, chance)):
            told.append(f"{words} moved by {path.change()[0]:+.3g}")
    return f"; meanwhile {', '.join(told)}" if told else "; what gained is not in the log"


def _margin(log: RunLog, since: int) -> list[Finding]:
    path = _margin_path(log)
    if path is None or not path.moves(1, limit("chance")):
        return []
    evidence = (
        f"the margin has grown by {path.change()[0]:.3g} while chosen responses fell: a margin "
        "grows whatever the chosen responses do"
    )
    advice = "choose checkpoints by the chosen log-probability, not by margin or accuracy"
    return [Finding("margin_without_likelihood", "warning", evidence, since, advice, "KER-2")]


def _margin_path(log: RunLog) -> Trend | None:
    return optional(log, "reward_margin")


def refusal(log: RunLog) -> str | None:
    """Why displacement cannot be judged, if it cannot."""
    try:
        side(log, "chosen")
    except InsufficientData as error:
        return str(error)
    return None
