"""The kernel suite through Triton's interpreter, which a process takes or leaves as a whole."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SUITE = sorted(path.name for path in (HERE / "suite").glob("check_*.py"))


def test_the_suite_is_there():
    assert SUITE


@pytest.mark.parametrize("name", SUITE)
def test_kernels_against_float64(name):
    environment = os.environ | {"TRITON_INTERPRET": "1", "PREFDYN_KERNELS": "triton"}
    command = [sys.executable, "-m", "pytest", "--noconftest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, HERE / "suite" / name], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert int(re.findall(r"(\d+) passed", run.stdout)[-1]) > 0
