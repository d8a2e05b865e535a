"""Two workers, one thread each; every finished job is already on disk when it is reported."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefdyn._processes import workers as processes

WORKERS = 2


@dataclass(frozen=True)
class Job:
    """A call that stores its own result: a module-level function and its arguments."""

    kind: str
    name: str
    work: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of a job: its record, or the sentence that says why there is none."""

    job: Job
    record: dict[str, Any] | None
    error: str = ""


def run(jobs: Sequence[Job], workers: int = WORKERS) -> Iterator[Outcome]:
    """Run jobs in processes of their own and yield each outcome as it arrives."""
    if not jobs:
        return
    with processes(min(workers, len(jobs))) as pool:
        futures = {pool.submit(attempt, job): job for job in jobs}
        for future in as_completed(futures):
            lost = future.exception()  # only when the worker itself died
            yield Outcome(futures[future], None, str(lost)) if lost else future.result()


def attempt(job: Job) -> Outcome:
    """Run a job here; an exception becomes a sentence with its place."""
    try:
        return Outcome(job, job.work(*job.arguments))
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}, line {place.lineno}"
        return Outcome(job, None, f"{type(error).__name__}: {error} ({where})")
