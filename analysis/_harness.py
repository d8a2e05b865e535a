"""Finds the checks, runs them, and gives each claim its verdict."""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import as_completed
from functools import cache, partial
from typing import TypedDict

import analysis
from analysis._cache import cached, source_key
from analysis._check import Check, CheckResult, Verdict, judge
from prefdyn import claims
from prefdyn._processes import workers as processes


class ClaimResult(TypedDict):
    """Outcome of a claim; every value can be written as JSON.

    ``worst_error`` and ``tolerance`` are those of the check that came nearest to failing.
    """

    id: str
    title: str
    statement: str
    source: str
    origin: str
    verdict: Verdict
    instances: int
    skipped: int
    violations: int
    worst_error: float | None
    tolerance: float | None
    seconds: float
    checks: list[CheckResult]


def run(
    ids: Iterable[str] | None = None,
    seed: int = 0,
    workers: int = 1,
    *,
    scale: float = 1.0,
    progress: Callable[[ClaimResult], None] | None = None,
) -> list[ClaimResult]:
    """Check claims.

    Results are cached under the content of the sources, so what has not changed is not run again;
    each claim is stored when it is done, and one that fails is not stored.

    Parameters
    ----------
    ids
        Ids of claims; all of them by default.
    seed
        Seed of the random instances.
    workers
        Number of processes, one thread each.
    scale
        Multiplies the number of instances of each check, at least one each: 0.05 for a quick look,
        10 for a search for violations.
    progress
        Called with each claim's result as soon as there is one.

    Raises
    ------
    InputError
        For an unknown id.
    """
    chosen = claims.all() if ids is None else [claims.get(id) for id in dict.fromkeys(ids)]
    key = source_key(("prefdyn", "analysis"), seed, scale)
    check = partial(_claim, key=key, seed=seed, scale=scale)
    report = progress or (lambda result: None)
    wanted = [claim.id for claim in chosen]
    if workers == 1 or len(wanted) == 1:
        results = {}
        for id in wanted:
            results[id] = check(id)
            report(results[id])
    else:
        results = _in_processes(check, wanted, workers, report)
    return [results[id] for id in wanted]


def checks(id: str) -> list[Check]:
    """The checks of one claim."""
    return [kind() for kind in _kinds() if kind.claim == id]


def examine(id: str, seed: int = 0, scale: float = 1.0) -> ClaimResult:
    """Run the checks of one claim here and now; arguments as in `run`."""
    return assemble(id, [judge(check, seed, scale) for check in checks(id)])


def verdict_of(results: Sequence[CheckResult]) -> Verdict:
    """A claim fails with any of its checks and holds if all that assert something hold."""
    found = {result["verdict"] for result in results}
    order: tuple[Verdict, ...] = ("fails", "holds", "reported")
    for verdict in order:
        if verdict in found:
            return verdict
    return "not_run"


def assemble(id: str, results: list[CheckResult]) -> ClaimResult:
    """A claim's result from those of its checks."""
    claim = claims.get(id)
    asserted = [result for result in results if result["worst"] is not None]
    nearest = max(asserted, key=_nearness, default=None)
    return {
        "id": claim.id,
        "title": claim.title,
        "statement": claim.statement,
        "source": claim.source,
        "origin": claim.origin,
        "verdict": verdict_of(results),
        "instances": sum(result["instances"] for result in results),
        "skipped": sum(result["skipped"] for result in results),
        "violations": sum(result["violations"] for result in results),
        "worst_error": nearest["worst_error"] if nearest else None,
        "tolerance": nearest["tolerance"] if nearest else None,
        "seconds": sum(result["seconds"] for result in results),
        "checks": results,
    }


def _claim(id: str, key: str, seed: int, scale: float) -> ClaimResult:
    # Runs of another depth are kept apart, so that a quick look does not cost the full result.
    folder = "claims" if scale == 1 else f"claims-{scale:g}"
    compute = partial(examine, id, seed, scale)
    return cached(f"{folder}/{id}", key, compute, keep=lambda r: r["verdict"] != "fails")


def _in_processes(check, ids, workers, report) -> dict[str, ClaimResult]:
    results = {}
    with processes(workers) as pool:
        futures = {pool.submit(check, id): id for id in ids}
        for future in as_completed(futures):
            id = futures[future]
            try:
                results[id] = future.result()
            except Exception as error:  # e.g. a worker killed for memory
                results[id] = assemble(id, [_broken(id, error)])
            report(results[id])
    return results


def _broken(id: str, error: Exception) -> CheckResult:
    return {
        "claim": id,
        "part": "the process that ran the checks",
        "code": "",
        "comparison": "agree",
        "verdict": "fails",
        "instances": 0,
        "skipped": 0,
        "violations": 0,
        "worst_error": None,
        "tolerance": 0.0,
        "worst": None,
        "note": f"{type(error).__name__}: {error}",
        "seconds": 0.0,
    }


@cache
def _kinds() -> tuple[type[Check], ...]:
    """Every subclass of Check that a module of this package defines and gives a claim."""
    kinds = []
    for found in pkgutil.walk_packages(analysis.__path__, "analysis."):
        if any(part.startswith("_") for part in found.name.split(".")):
            continue
        module = importlib.import_module(found.name)
        kinds += [
            kind
            for kind in vars(module).values()
            if isinstance(kind, type)
            and issubclass(kind, Check)
            and kind.__module__ == module.__name__
            and "claim" in vars(kind)
        ]
    return tuple(kinds)


def _nearness(result: CheckResult) -> float:
    """Error over tolerance, infinite for a violation."""
    error = result["worst_error"]
    if error is None:
        return float("inf")
    if error > result["tolerance"]:
        return float("inf")
    return error / result["tolerance"] if result["tolerance"] else error
