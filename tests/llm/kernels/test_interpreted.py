"""The kernel suite through Triton's interpreter, which a process takes or leaves as a whole."""

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SUITE = sorted((HERE / "suite").glob("check_*.py"))


def test_kernels_against_float64():
    environment = os.environ | {"TRITON_INTERPRET": "1", "PREFDYN_KERNELS": "triton"}
    command = [sys.executable, "-m", "pytest", "--noconftest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, *SUITE], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert int(re.findall(r"(\d+) passed", run.stdout)[-1]) > len(SUITE) > 0
