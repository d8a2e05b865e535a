"""Whether the mass goes to what the model says already."""

from prefdyn._errors import InsufficientData
from prefdyn.runlog._finding import Finding
from prefdyn.runlog._log import RunLog
from prefdyn.runlog._severity import limit
from prefdyn.runlog._watched import path, side
from prefdyn.runlog._words import change, listed, sentence

EXTEND = (
    "train on both responses of every pair first: rejected responses that are likely when they are "
    "pushed down squeeze the others less; or let the model write the responses: unlikely ones "
    "squeeze most (SQZ-4)"
)


def squeezing(log: RunLog) -> list[Finding]:
    """Likeliest tokens gain while the responses that are trained on, and others, lose (SQZ-2).

    Raises
    ------
    InsufficientData
        If the log has no reading of the model's own likeliest responses.
    """
    greedy = path(log, "greedy")
    if greedy is None:
        raise InsufficientData(
            "the log does not follow what the model itself says: log the log-probability of its "
            "first greedy continuations (prefdyn's callback does)."
        )
    chosen, rejected = side(log, "chosen"), side(log, "rejected")
    sinking = chosen.down() or chosen.past_its_peak()
    if not (greedy.moves(1, limit("chance"), limit("noticeable")) and sinking and rejected.down()):
        return []
    others = {
        "rephrasings of the chosen": path(log, "chosen_rephrased"),
        "rephrasings of the rejected": path(log, "rejected_rephrased"),
        "unrelated responses": path(log, "unrelated"),
    }
    lost = [
        f"{words} ({change(found)})"
        for words, found in others.items()
        if found is not None and found.moves(-1, limit("chance"), limit("noticeable"))
    ]
    evidence = (
        f"the model's own likeliest tokens gained {change(greedy, sign=False)} nats "
        "while chosen and rejected responses lost"
        + (f", and so did {listed(lost)}" if lost else "")
        + ": mass goes to what the model says already"
    )
    severity = "alarm" if lost and chosen.down() else "warning"
    return [
        Finding(
            "squeezing",
            severity,
            sentence(evidence),
            int(greedy.steps[0]),
            sentence(EXTEND),
            "SQZ-5",
        )
    ]
