"""What a training log says, in words, with figures and what to do."""

from collections.abc import Callable
from dataclasses import dataclass

from prefdyn._errors import InputError, InsufficientData
from prefdyn._modes import DynamicModes
from prefdyn.runlog import _course
from prefdyn.runlog._displacement import displacement
from prefdyn.runlog._finding import Finding
from prefdyn.runlog._forecast import forecast
from prefdyn.runlog._log import RunLog
from prefdyn.runlog._oscillation import modes_of, oscillation
from prefdyn.runlog._severity import limit
from prefdyn.runlog._squeezing import squeezing
from prefdyn.runlog._watched import Watched, side
from prefdyn.runlog._words import listed, sentence

_GRAVEST = ("alarm", "warning", "info")

_FAMILIES: dict[str, Callable[[RunLog], list[Finding]]] = {
    "displacement": displacement,
    "squeezing": squeezing,
    "saturation": _course.saturation,
    "divergence": _course.divergence,
    "entropy": _course.entropy,
    "entanglement": _course.entanglement,
    "kl": _course.divergence_from_reference,
    "forecast": forecast,
}


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What a training log says; made by `diagnose`.  ``print`` it for the sentences.

    Attributes
    ----------
    log : RunLog
        The log.
    findings : tuple of Finding
        The gravest first.  Kinds: ``displacement``, ``margin_without_likelihood``, ``squeezing``,
        ``saturation``, ``divergence``, ``entropy``, ``entanglement``, ``kl``, ``oscillation``,
        ``forecast``, ``healthy``.
    sentences : tuple of str
        The same in words, with advice, and what could not be judged.
    modes : DynamicModes or None
        Multipliers of the rounds, or of evaluations at equal spacing, where there are enough.
    refused : dict
        What could not be judged, by kind, and why.
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

    Every threshold stands, with its reason, in ``prefdyn.runlog._severity``; how often a log of
    noise, or of a healthy run, is accused, and how often a displaced one is found, is claim DIAG-2.

    Parameters
    ----------
    log
        As `prefdyn.read_log` gives it.

    Returns
    -------
    Diagnosis

    Examples
    --------
    >>> import numpy as np
    >>> from prefdyn import RunLog
    >>> from prefdyn.runlog import Series
    >>> steps = np.arange(0, 200, 10)
    >>> chosen = Series("chosen", "logps/chosen", "eval", steps, -80 - 0.05 * steps)
    >>> log = RunLog("a run", "by hand", {"eval/chosen": chosen}, None, {}, (), ())
    >>> diagnose(log).findings[0].kind
    'displacement'
    """
    if not isinstance(log, RunLog):
        raise InputError(f"log is of type {type(log).__name__}: read it with read_log first.")
    findings: list[Finding] = []
    refused: dict[str, str] = {}
    for kind, look in _FAMILIES.items():
        try:
            findings += look(log)
        except InsufficientData as error:
            refused[kind] = str(error)
    modes = None
    try:
        modes = modes_of(log)
        findings += oscillation(log, modes)
    except InsufficientData as error:
        refused["oscillation"] = str(error)
    if "displacement" not in refused and all(one.severity == "info" for one in findings):
        findings.insert(0, _healthy(side(log, "chosen"), refused))
    ordered = sorted(findings, key=lambda one: _GRAVEST.index(one.severity))
    return Diagnosis(log, tuple(ordered), _sentences(ordered, refused), modes, refused)


def _healthy(chosen: Watched, refused: dict[str, str]) -> Finding:
    looked = {
        "displacement": "displacement",
        "squeezing": "squeezing",
        "divergence": "a diverging loss",
        "oscillation": "oscillation",
    }
    named = [words for kind, words in looked.items() if kind not in refused]
    evidence = f"nothing is wrong as far as this log can tell: no sign of {listed(named)}"
    unseen = chosen.trend.width(limit("chance")) * chosen.trend.error
    if chosen.in_nats and unseen > limit("large"):
        evidence += (
            f"; its readings scatter so much that chosen responses might have lost {unseen:.2g} "
            "nats unseen: evaluate the same responses every so many steps"
        )
    return Finding("healthy", "info", sentence(evidence), None, "", "")


def _sentences(findings: list[Finding], refused: dict[str, str]) -> tuple[str, ...]:
    told = [
        " ".join(
            part
            for part in (
                f"{one.severity}, {one.kind.replace('_', ' ')}: {one.evidence}",
                f"{one.advice[:-1]} ({one.claim})." if one.advice else "",
            )
            if part
        )
        for one in findings
    ]
    untold = [f"not judged, {kind.replace('_', ' ')}: {why}" for kind, why in refused.items()]
    return tuple(sentence(text) for text in told + untold)
