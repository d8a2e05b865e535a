"""One thread per process, no display, and the three depths at which hypothesis searches."""

import gc
import os

# Before numpy or torch is imported: a thread pool is sized only once.
for variable in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ.setdefault(f"{variable}_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")

import pytest
from hypothesis import settings

# No deadline: the first example compiles what the later ones run.
settings.register_profile("dev", max_examples=100, deadline=None)
settings.register_profile("ci", parent=settings.get_profile("dev"), derandomize=True)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Collect garbage after all tests are imported, not time and again while they are.

    What stands then (torch, transformers, sympy) stays to the end and is not searched again.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()
