"""The package as a package: what importing it costs, what is in it, what is shipped."""

import importlib
import importlib.metadata
import pkgutil
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import prefdyn

ROOT = Path(__file__).parents[1]
MODULES = sorted(m.name for m in pkgutil.walk_packages(prefdyn.__path__, "prefdyn."))
HEAVY = {
    *("scipy", "torch", "sympy", "matplotlib", "mpltern", "numba", "rich", "tyro"),
    *("array_api_compat", "hypothesis", "jinja2"),
    *("transformers", "datasets", "accelerate", "peft", "trl", "pyarrow", "pandas"),
}


def imported_by(statement: str) -> set[str]:
    """Top-level packages in memory after `statement` has run in a fresh interpreter."""
    script = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


def test_importing_prefdyn_loads_nothing_heavier_than_numpy():
    assert imported_by("import prefdyn") & HEAVY == set()


def test_heavy_packages_are_seen_when_they_are_loaded():
    assert "scipy" in imported_by("import prefdyn, scipy.linalg")


@pytest.mark.parametrize("name", MODULES)
def test_every_module_can_be_imported(name):
    assert importlib.import_module(name).__doc__


def test_every_public_name_resolves():
    for name in importlib.import_module("prefdyn").__all__:
        assert getattr(prefdyn, name).__doc__, name


def test_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert prefdyn.__version__ == project["version"]
    assert prefdyn.__version__ == importlib.metadata.version("prefdyn")


def test_constraints_pin_every_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = dict(
        line.lower().replace("_", "-").split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    )
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["llm"], *extras["dev"], *extras["docs"]]
    names = {re.split(r"[\[<>=;]", name)[0] for name in wanted + extras["report"]} - {"prefdyn"}
    assert names <= pins.keys()
    assert pins["torch"] == "2.13.0"


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    sources = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "prefdyn").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert shipped == sources
    assert "prefdyn/py.typed" in shipped
    assert any(name.startswith("prefdyn/games/data/") for name in shipped)
