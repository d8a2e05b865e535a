"""``prefdyn doctor``: what is missing or broken, what that costs, and how it is mended."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys

import pytest

from prefdyn.cli import _doctor, main
from prefdyn.cli._installed import Requirement, how_to_install, requirements


def fine() -> str:
    """All is well."""
    return "as it must be"


def broken() -> str:
    """The floor holds."""
    raise OSError(28, "No space left on device")


@pytest.fixture
def examined(monkeypatch, capsys):
    """The doctor's finding where some packages are missing or old, and some checks are run."""

    def examine(versions: dict[str, str | None], *checks, code: int = 0) -> dict:
        known = importlib.metadata.version

        def version(name: str) -> str:
            found = versions.get(name, known(name))
            if found is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return found

        monkeypatch.setattr(importlib.metadata, "version", version)
        monkeypatch.setattr(_doctor, "CHECKS", checks or (fine,))
        monkeypatch.setattr(_doctor, "_gpu", lambda: "none")  # torch takes seconds to import
        assert main(["doctor", "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return examine


def test_a_healthy_place_has_nothing_to_do(examined):
    found = examined({})
    assert found["works"]
    assert found["remedies"] == []
    assert all(row["works"] for row in found["commands"].values())
    assert found["machine"]["cores"] >= 1
    assert found["checks"] == [{"name": "All is well", "state": "good", "found": "as it must be"}]


def test_a_missing_extra_names_what_it_costs_and_the_command_that_brings_it(examined):
    found = examined({"zarr": None, "transformers": None})
    assert found["works"]
    assert found["extras"]["sweep"] == {"state": "missing", "missing": ["zarr"]}
    assert found["extras"]["data"]["state"] == "good"
    lacking = {name: row["lacks"] for name, row in found["commands"].items() if not row["works"]}
    assert lacking["sweep"] == ["zarr"]
    assert set(lacking) == {"sweep", "iterate", "predict", "train", "validate"}
    assert found["remedies"] == [
        "pip install --upgrade 'prefdyn[sweep]'",
        "pip install --upgrade 'prefdyn[llm]'",
    ]


def test_a_version_below_the_floor_stops_everything(examined, capsys):
    found = examined({"numpy": "1.26.4"}, code=1)
    assert not found["works"]
    row = next(row for row in found["packages"] if row["name"] == "numpy")
    assert (row["version"], row["state"]) == ("1.26.4", "old")
    assert not any(row["works"] for row in found["commands"].values())
    assert found["remedies"] == ["pip install --upgrade 'numpy>=2.0'"]
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert shown.startswith("prefdyn cannot work here: see what to do, below.")
    assert re.search(r"numpy +1\.26\.4 +2\.0 +old", shown)
    assert "prefdyn stability" in shown


def test_a_check_that_fails_is_said_with_its_cause(examined):
    found = examined({}, fine, broken, code=1)
    assert [row["state"] for row in found["checks"]] == ["good", "bad"]
    assert found["remedies"] == [
        "mend: The floor holds (OSError: [Errno 28] No space left on device)"
    ]


def test_a_check_of_what_is_not_installed_is_skipped(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "transformers", raising=False)
    assert _doctor._attempt(_doctor._model) == {
        "name": "The language model that ships is loaded",
        "state": "skipped",
        "found": "transformers is not installed: pip install 'prefdyn[llm]'",
    }


def test_a_full_disk_is_noticed(monkeypatch):
    monkeypatch.setattr(_doctor, "LITTLE_DISK", float("inf"))
    found = _doctor._attempt(_doctor._files)
    assert found["state"] == "bad"
    assert "are free in" in found["found"]


def test_requirements_are_read_from_the_metadata():
    found = {(one.name, one.extra): one for one in requirements()}
    assert found["numpy", None].floor == "2.0"
    assert found["zarr", "sweep"].floor == "3"
    assert found["triton", "llm"].linux_only
    assert found["xarray", "sweep"].floor is None
    assert not found["numpy", None].too_old
    assert how_to_install("array_api_compat") == "pip install --upgrade prefdyn"
    assert how_to_install("pyarrow") == "pip install 'prefdyn[llm]'"


@pytest.mark.parametrize(
    ("version", "floor", "old"),
    [
        ("2.13.0+cpu", "2.4", False),
        ("2.3", "2.4", True),
        ("10.0", "9.1", False),
        ("2", "2.0", False),
    ],
)
def test_versions_are_compared_as_numbers(monkeypatch, version, floor, old):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    assert Requirement("torch", floor, None, False).too_old is old


def test_a_wrong_sum_is_no_good_state(monkeypatch):
    monkeypatch.setattr("numba.njit", lambda function: lambda x: 3)
    assert _doctor._attempt(_doctor._numba)["state"] == "bad"


@pytest.mark.slow
def test_the_kernel_of_the_check_runs_where_triton_interprets():
    run = subprocess.run(
        [sys.executable, "-c", "from prefdyn.cli import _doctor; print(_doctor._row_on('cpu'))"],
        env=os.environ | {"TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert run.stdout.startswith("by triton "), run.stderr


@pytest.mark.slow
def test_the_doctor_finds_this_place_healthy():
    run = subprocess.run(
        [sys.executable, "-m", "prefdyn", "doctor"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout
    assert run.stderr == ""
    assert "prefdyn works here; nothing to do." in run.stdout
    for check in _doctor.CHECKS:
        first = (check.__doc__ or "").split()[:3]
        assert " ".join(first) in run.stdout
