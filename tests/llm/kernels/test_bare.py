"""Where there are torch, triton and numpy only, the kernels and what carries them import."""

import importlib.metadata
import subprocess
import sys

import pytest

NEEDED = {"torch", "triton", "numpy", "pytest"}

SCRIPT = """
import importlib, importlib.abc, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing}:
            raise ModuleNotFoundError(f"No module named {{name!r}}")

sys.meta_path.insert(0, Missing())
for name in {modules}:
    importlib.import_module(name)
{more}
"""

MODULES = [
    *(f"prefdyn.llm.kernels.{name}" for name in ("_backend", "_gram", "_products", "_rows")),
    *("prefdyn.llm.kernels", "prefdyn.llm.head.logprobs", "prefdyn.llm._pair_head"),
    *("prefdyn.objectives", "prefdyn.llm._encoding", "prefdyn.llm._pair_loss"),
]


def dependencies():
    """Top-level modules of all that prefdyn requires, and that those do not need themselves."""
    wanted = importlib.metadata.requires("prefdyn") or []
    names = {name.split(";")[0].split("[")[0].rstrip("<>=.0123456789 ") for name in wanted}
    return {name.replace("-", "_") for name in names} - NEEDED - {"prefdyn"}


def run(modules, more=""):
    script = SCRIPT.format(missing=dependencies(), modules=modules, more=more)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


def test_what_is_missing_there():
    assert {"lazy_loader", "numba", "scipy", "array_api_compat", "transformers"} <= dependencies()


def test_kernels_and_head_import():
    done = run(MODULES)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["prefdyn.orbit", "prefdyn.llm.load"])
def test_public_names_say_what_is_missing(name):
    done = run(["prefdyn.llm"], more=f"import prefdyn.llm; {name}")
    assert done.returncode != 0
    assert f"{name} cannot be looked up: lazy_loader is missing" in done.stderr
