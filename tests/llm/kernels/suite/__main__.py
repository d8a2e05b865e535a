"""``python -m tests.llm.kernels.suite``: the kernels against float64, on this machine's GPU.

Takes pytest's options.  Needs torch, triton, numpy and pytest only, and says in one sentence what
is not there.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

missing = [name for name in ("torch", "triton", "numpy", "pytest") if find_spec(name) is None]
if missing:
    sys.exit(f"Not installed for {sys.executable}: {', '.join(missing)}. Nothing was tested.")

import pytest  # noqa: E402

from tests.llm.kernels.suite import place  # noqa: E402

if not place.POSSIBLE:
    sys.exit(f"{place.IMPOSSIBLE} Nothing was tested.")
suite = sorted(map(str, Path(__file__).parent.glob("check_*.py")))
sys.exit(pytest.main(["--noconftest", *sys.argv[1:], *suite]))
