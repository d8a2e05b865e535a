"""The package against its alternatives, as ratios measured in one run, one thread each."""

import os

# A thread pool is sized when its library is first loaded, so this comes before any import.
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
os.environ.update(THREADS)
