"""What is printed: plain where it is piped, whole, and as documented."""

import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from prefdyn.cli._output import _tidy

ROOT = Path(__file__).parents[2]
RECIPE = ["--alpha", "0.5", "--lam", "1"]
UNSTABLE = ["rps:0.4", *RECIPE, "--beta", "0.15"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["stability", *UNSTABLE],
        pytest.param(
            ["stability", "minneapolis", *RECIPE, "--beta", "0.05", "--draws", "5"],
            marks=pytest.mark.slow,
        ),
        ["orbit", "pandalm", *RECIPE, "--beta", "0.1"],
        ["claims"],
        ["claims", "MRS-13"],
        ["games"],
        ["games", "pandalm"],
    ],
)
def test_piped_output_fits_and_truncates_nothing(text, arguments):
    shown = text(*arguments)
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    assert not re.search(r"[ \t]$", shown, re.M)


def test_coloured_blanks_are_blanks():
    bold, end = "\x1b[1m", "\x1b[0m"
    text = f"{bold}    {end}\n{bold}title  {end}\n\n{bold}  {end}\n  word  "
    assert _tidy(text) == f"{bold}title{end}\n\n  word"


def test_names_are_not_markup(tmp_path, text):
    path = tmp_path / "game.csv"
    path.write_text("[bold]x,[/red]y\n0.5,0.9\n0.1,0.5\n")
    assert "[bold]x" in text("games", str(path))
    assert "[/red]y" in text("orbit", str(path), *RECIPE, "--beta", "1")


@pytest.mark.parametrize(
    "arguments",
    [
        ["stability", *UNSTABLE],
        ["orbit", *UNSTABLE],
        ["claims"],
        ["games"],
        ["games", "rps:0.4"],
    ],
)
def test_every_key_is_documented(data, arguments):
    documented = re.findall(r"``(\w+)", inspect.getdoc(sys.modules["prefdyn.cli"]) or "")
    found = data(*arguments)
    groups = [value for value in found.values() if isinstance(value, dict)]
    groups += [value[0] for value in found.values() if value and isinstance(value, list)]
    keys = {key for group in [found, *groups] if isinstance(group, dict) for key in group}
    assert keys - set(found.get("refused") or {}) <= set(documented)


@pytest.mark.slow
def test_the_readme_shows_true_output(text):
    (block,) = re.findall(r"^```console\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    command, *shown = block.splitlines()
    assert shown[-1] == "…"
    printed = text(*shlex.split(command.removeprefix("$ prefdyn")))
    assert printed.startswith("\n".join(shown[:-1]) + "\n")


def test_the_module_is_the_command_and_hands_its_code_on():
    command = [sys.executable, "-m", "prefdyn", "games", "nothing"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.startswith("prefdyn: there is no game 'nothing'")


def test_a_reader_that_stops_reading_is_no_error():
    command = [sys.executable, "-m", "prefdyn", "claims", "--json"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
