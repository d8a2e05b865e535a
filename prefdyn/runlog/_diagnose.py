"""What a training log says, in words, with figures and what to do."""

from collections.abc import Callable
from dataclasses import dataclass

from prefdyn._errors import InsufficientData
from prefdyn._modes import DynamicModes
from prefdyn.runlog._displacement import displacement
from prefdyn.runlog._finding import Finding
from prefdyn.runlog._log import RunLog

_ORDER = {"alarm": 0, "warning": 1, "info": 2}

_FAMILIES: tuple[tuple[str, Callable[[RunLog], list[Finding]]], ...] = (
    ("displacement", displacement),
)


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What a training log says; made by `diagnose`.  ``print`` it for the sentences.

    Attributes
    ----------
    log : RunLog
        The log.
    findings : tuple of Finding
        The gravest first.
    sentences : tuple of str
        The same in words.
    modes : DynamicModes or None
        Multipliers of the rounds, where the log has enough.
    refused : dict
        What could not be judged, and why.
    """

    log: RunLog
    findings: tuple[Finding, ...]
    sentences: tuple[str, ...]
    modes: DynamicModes | None
    refused: dict[str, str]

    def __str__(self) -> str:
        return "\n".join(self.sentences)


def diagnose(log: RunLog) -> Diagnosis:
    """Look for displacement, squeezing, collapse and oscillation in a training log.

    Parameters
    ----------
    log
        As `prefdyn.read_log` gives it.

    Returns
    -------
    Diagnosis
    """
    findings: list[Finding] = []
    refused: dict[str, str] = {}
    for name, look in _FAMILIES:
        try:
            findings += look(log)
        except InsufficientData as error:
            refused[name] = str(error)
    findings.sort(key=lambda finding: _ORDER[finding.severity])
    if not findings:
        findings.append(Finding("healthy", "info", "nothing is wrong", None, "", ""))
    sentences = tuple(f"{f.severity}: {f.kind}: {f.evidence}." for f in findings)
    return Diagnosis(log, tuple(findings), sentences, None, refused)
