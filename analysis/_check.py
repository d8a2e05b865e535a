"""What a check is, and how one is judged."""

import time
import zlib
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, TypedDict

import numpy as np

Verdict = Literal["holds", "fails", "reported", "not_run"]
Comparison = Literal["close", "relative", "at_most", "at_least", "agree", "report"]

MAX_DRAWS = 50
"""Draws per instance wanted, at most, when a check skips some."""


class CheckResult(TypedDict):
    """Outcome of one check; every value can be written as JSON.

    ``code`` is where it is written: ``"analysis.module:Class"``.
    """

    claim: str
    part: str
    code: str
    comparison: str
    verdict: Verdict
    instances: int
    skipped: int
    violations: int
    worst_error: float | None
    tolerance: float
    worst: dict[str, Any] | None
    note: str
    seconds: float


class Check:
    """One checkable part of a claim: a prediction and an observation that share no code.

    Subclasses set the class attributes below, write `predict` and `observe`, and either `draw` or
    `cases`.  Instances are made one at a time from a generator of their own, so that the one
    reported as the worst can be made again with `instance`.

    Attributes
    ----------
    claim
        Id of the claim.
    part
        The part of it that is checked, in one line.
    instances
        Number of random instances, skipped ones not counted.
    cases
        Fixed instances, used instead of random ones.
    batch
        Draws inside one instance, for checks that draw many at once; only counted.
    comparison
        ``"close"``: largest ``|observed - predicted| / max(1, |predicted|)``; ``"relative"``: the
        same over ``|predicted|``; ``"at_most"`` and ``"at_least"``: excess of the observed value
        over, or under, the predicted bound; ``"agree"``: share of entries that differ;
        ``"report"``: nothing is asserted, `observe` is summarised by `summary`.
    tolerance
        Largest error that is no violation.
    """

    claim: ClassVar[str] = ""
    part: ClassVar[str] = ""
    instances: ClassVar[int] = 200
    cases: ClassVar[Sequence[Any]] = ()
    batch: ClassVar[int] = 1
    comparison: ClassVar[Comparison] = "close"
    tolerance: ClassVar[float] = 1e-9

    def draw(self, rng: np.random.Generator) -> Any:
        """A random instance."""
        raise NotImplementedError(f"{type(self).__name__} has neither draw nor cases")

    def skip(self, instance: Any) -> bool:
        """Whether the instance lies outside the statement, e.g. too near a tie; it is counted."""
        return False

    def predict(self, instance: Any) -> Any:
        """What the claim says: from its formula or derivation."""

    def observe(self, instance: Any) -> Any:
        """What happens: from the package's rules and solvers, or an explicit computation."""
        raise NotImplementedError(f"{type(self).__name__} has no observe")

    def summary(self, observations: list[Any]) -> str:
        """One sentence about the observations of a ``"report"`` check."""
        values = np.asarray(observations, dtype=float)
        low, middle, high = np.quantile(values, (0.0, 0.5, 1.0))
        return f"smallest {low:.3g}, median {middle:.3g}, largest {high:.3g}"

    def instance(self, seed: int, index: int) -> Any:
        """The index-th draw (skipped ones counted), or case, of a run with this seed."""
        if self.cases:
            return self.cases[index]
        name = zlib.crc32(f"{self.claim}/{self.part}".encode())
        return self.draw(np.random.default_rng((seed, name, index)))


def judge(check: Check, seed: int = 0, scale: float = 1.0) -> CheckResult:
    """Run one check.

    Parameters
    ----------
    check
        The check.
    seed
        Seed of the random instances.
    scale
        Multiplies the number of random instances; below 1 it also thins out fixed cases, evenly.
        At least one is always run.

    Returns
    -------
    CheckResult
        A check that raises is one that fails, with the exception's sentence as note.
    """
    start = time.perf_counter()
    tally = _Tally(check)
    try:
        for index in _indices(check, scale):
            tally.at = index
            instance = check.instance(seed, index)
            if check.skip(instance):
                tally.skipped += 1
                continue
            tally.add(instance, check.predict(instance), check.observe(instance))
            if tally.done >= _wanted(check, scale):
                break
        note, raised = tally.note(scale), False
    except Exception as error:
        note, raised = f"{type(error).__name__} at instance {tally.at}: {error}", True
    return {
        "claim": check.claim,
        "part": check.part,
        "code": f"{type(check).__module__}:{type(check).__qualname__}",
        "comparison": check.comparison,
        "verdict": tally.verdict(raised, _wanted(check, scale)),
        "instances": tally.done * check.batch,
        "skipped": tally.skipped * check.batch,
        "violations": tally.violations,
        "worst_error": tally.worst_error,
        "tolerance": check.tolerance,
        "worst": tally.worst,
        "note": note,
        "seconds": time.perf_counter() - start,
    }


def _wanted(check: Check, scale: float) -> int:
    if check.cases:
        return max(1, round(len(check.cases) * min(scale, 1.0)))
    return max(1, round(check.instances * scale))


def _indices(check: Check, scale: float) -> Sequence[int]:
    wanted = _wanted(check, scale)
    if check.cases:
        return [i * len(check.cases) // wanted for i in range(wanted)]
    return range(MAX_DRAWS * wanted)


class _Tally:
    """Counts, and the worst instance so far."""

    def __init__(self, check: Check):
        self.check = check
        self.at = 0
        self.done = self.skipped = self.violations = 0
        self.error = -np.inf  # the largest so far; NaN counts as infinite
        self.worst: dict[str, Any] | None = None
        self.observations: list[Any] = []

    def add(self, instance: Any, predicted: Any, observed: Any) -> None:
        self.done += 1
        if self.check.comparison == "report":
            self.observations.append(observed)
            return
        error = error_of(self.check.comparison, predicted, observed)
        error = np.inf if np.isnan(error) else error
        self.violations += error > self.check.tolerance
        if self.worst is None or error > self.error:
            self.error = error
            self.worst = {
                "index": self.at,
                "instance": plain(instance),
                "predicted": plain(predicted),
                "observed": plain(observed),
            }

    @property
    def worst_error(self) -> float | None:
        return float(self.error) if np.isfinite(self.error) else None

    def note(self, scale: float) -> str:
        if self.check.comparison == "report":
            return self.check.summary(self.observations)
        if self.error == np.inf:
            return "some comparison is not finite"
        wanted = _wanted(self.check, scale)
        if self.done < wanted:
            return f"only {self.done} of {wanted} instances found among {self.at + 1} draws"
        return ""

    def verdict(self, raised: bool, wanted: int) -> Verdict:
        if raised or self.violations or self.done < wanted:
            return "fails"
        return "reported" if self.check.comparison == "report" else "holds"


def error_of(comparison: Comparison, predicted: Any, observed: Any) -> float:
    """Error of one observation, in the sense of `Check`; shapes must agree or be scalar."""
    if comparison == "agree":
        if np.shape(predicted) != np.shape(observed):
            return 1.0
        return float(np.mean(np.asarray(predicted) != np.asarray(observed)))
    predicted, observed = np.asarray(predicted, dtype=float), np.asarray(observed, dtype=float)
    if predicted.shape != observed.shape and 0 not in (predicted.ndim, observed.ndim):
        raise ValueError(f"predicted {predicted.shape}, but observed {observed.shape}")
    excess = observed - predicted
    if comparison == "at_most":
        return float(np.max(excess))
    if comparison == "at_least":
        return float(np.max(-excess))
    scale = np.abs(predicted) if comparison == "relative" else np.maximum(1, np.abs(predicted))
    return float(np.max(np.abs(excess) / scale))


def plain(value: Any) -> Any:
    """A short form of an instance that can be written as JSON."""
    if isinstance(value, dict):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist()) if value.size <= 100 else f"array of shape {value.shape}"
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return plain(value.P) if hasattr(value, "P") else str(value)
