"""What a log says, as data."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["info", "warning", "alarm"]


@dataclass(frozen=True)
class Finding:
    """One thing that a log shows.

    Attributes
    ----------
    kind : str
        Such as ``"displacement"``; see `prefdyn.runlog`.
    severity : str
        ``"info"``, ``"warning"`` or ``"alarm"``.
    evidence : str
        A sentence with the figures it rests on.
    since : int or None
        Step (or round) from which on it is visible.
    advice : str
        What to change, in a sentence; empty where nothing needs changing.
    claim : str
        Id of the claim that the advice rests on; empty without advice.
    """

    kind: str
    severity: Severity
    evidence: str
    since: int | None
    advice: str
    claim: str
