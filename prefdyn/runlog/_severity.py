"""When something is worth a word, and when an alarm: each threshold with its reason."""

from typing import NamedTuple


class Threshold(NamedTuple):
    """A number, its unit, and why it is this one."""

    value: float
    unit: str
    why: str


THRESHOLDS = {
    "chance": Threshold(
        0.001,
        "probability",
        "a log is asked some ten questions: at one in a thousand each, about one log in a hundred "
        "is accused of what its noise did, and more where neighbouring readings are correlated",
    ),
    "noticeable": Threshold(
        0.1, "nats", "a response that has lost this much is a tenth less likely than it was"
    ),
    "large": Threshold(
        1.0, "nats", "a response that has lost this much is about a third as likely as it was"
    ),
    "halved": Threshold(
        0.5,
        "of its start",
        "at half the entropy the model hesitates between the square root of as many tokens",
    ),
    "entangled": Threshold(
        0.9,
        "cosine",
        "the chosen response falls once its gradient is shorter than this share of the rejected "
        "one's, so that a tenth in length decides",
    ),
    "right": Threshold(
        0.95,
        "accuracy",
        "where nineteen of twenty pairs are ranked right, further steps have little left to learn",
    ),
}
"""What the findings are judged by."""


def limit(name: str) -> float:
    """The number of one of `THRESHOLDS`."""
    return THRESHOLDS[name].value
