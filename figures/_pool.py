"""Two workers, one thread each; every finished job is already on disk when it is reported."""

import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

WORKERS = 2
_ONE_THREAD = ("OMP", "OPENBLAS", "MKL", "NUMBA")


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
    for library in _ONE_THREAD:  # before a worker imports numpy
        os.environ[f"{library}_NUM_THREADS"] = "1"
    # A fresh interpreter per worker: forking one that holds threads (rich, torch) can deadlock.
    pool = ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn"))
    futures = {pool.submit(attempt, job): job for job in jobs}
    try:
        for future in as_completed(futures):
            lost = future.exception()  # only when the worker itself died
            yield Outcome(futures[future], None, str(lost)) if lost else future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def attempt(job: Job) -> Outcome:
    """Run a job here; an exception becomes a sentence with its place."""
    try:
        return Outcome(job, job.work(*job.arguments))
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}, line {place.lineno}"
        return Outcome(job, None, f"{type(error).__name__}: {error} ({where})")
