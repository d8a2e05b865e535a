"""Peak memory of a function, in a process of its own."""

import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def peaks(make: Callable[[Any], Callable[[], object]], cases: Sequence[Any]) -> list[float]:
    """Megabytes that one run takes beyond what was there before, for each case.

    Parameters
    ----------
    make
        A function of a module: builds the operands of a case and returns what is to be run on
        them.  Only the run counts.
    cases
        What is passed to it, each in a fresh process.
    """
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return pool.starmap(_peak, [(make, case) for case in cases], chunksize=1)


def _peak(make: Callable[[Any], Callable[[], object]], case: Any) -> float:
    run = make(case)
    Path("/proc/self/clear_refs").write_text("5")  # forget the largest memory so far
    before = _megabytes("VmRSS")
    run()
    return _megabytes("VmHWM") - before


def _megabytes(field: str) -> float:
    """Memory of this process (VmRSS), or its largest so far (VmHWM), by Linux's own count.

    That of `resource` starts from the parent's.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(field))
