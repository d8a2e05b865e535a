"""The derivations and checks behind every claim in `prefdyn.claims`, one module per paper.

``python -m analysis`` runs them all and prints the verdicts.  To add a check, write a subclass of
`Check` in a module of its paper; it is found there.  Only the package's public interface is used.
"""

import os

# Arrays here are small: parallel work is done by processes, one thread each.  This must be set
# before numpy is imported, since a thread pool is sized only once.
for _library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

from analysis._check import Check, CheckResult  # noqa: E402
from analysis._harness import ClaimResult, run  # noqa: E402

__all__ = ["Check", "CheckResult", "ClaimResult", "run"]
