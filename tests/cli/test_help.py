"""Help texts: every command, with examples that work, and nothing heavy loaded for them."""

import inspect
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import prefdyn
from prefdyn.cli import main
from prefdyn.cli._commands import COMMANDS, command
from prefdyn.cli._model import ModelOptions
from prefdyn.cli._options import options

ROOT = Path(__file__).parents[2]


def test_version(text):
    assert text("--version", "please") == text("--version") == f"prefdyn {prefdyn.__version__}\n"


def help_of(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code in (0, None)
    return capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_names_every_command(capsys, arguments):
    shown = help_of(capsys, *arguments)
    assert all(f"• {name}" in shown for name in COMMANDS)


# Commands that take a language model are run in tests/llm, the doctor's in its own test.
SECONDS = ("stability", "orbit", "sweep", "diagnose", "advise")
EXAMPLES = [
    pytest.param(name, marks=pytest.mark.slow if name in SECONDS else ())
    for name in COMMANDS
    if name != "doctor" and not issubclass(command(name), ModelOptions)
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_in_a_help_text_works(capsys, text, votes, monkeypatch, name):
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    Path("dpo.yaml").write_text("beta: 0.1\nloss_type: [sigmoid]\nsync_ref_model: false\n")
    Path("online.yaml").write_text("beta: 0.1\nloss_type: ipo\nmax_new_tokens: 64\n")
    Path("talk").mkdir()
    examples = re.findall(r"^  prefdyn (.*)$", help_of(capsys, name, "--help"), re.M)
    assert examples
    for example in examples:
        text(*shlex.split(example))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_and_json(name):
    assert re.search(rf"^  prefdyn {name}\b", inspect.getdoc(command(name)) or "", re.M)
    assert "--json" in {option.flag for option in options(command(name))}


@pytest.mark.parametrize("name", ["orbit", "advise", "claims", "train"])
def test_the_options_of_a_command_are_those_of_its_help(capsys, name):
    shown = help_of(capsys, name, "--help")
    known = options(command(name))
    flags = re.findall(r"^[│ ] +(--[\w-]+)", shown, re.M)
    assert flags == [option.flag for option in known if option.flag.startswith("--")]
    said = " ".join(re.findall(r"[\w-]+", shown))
    for option in known:
        assert option.about
        assert " ".join(re.findall(r"[\w-]+", option.about)) in said
        assert not option.default or f"(default: {option.default})" in " ".join(
            re.sub("│", "", shown).split()
        )


def test_the_same_thing_has_the_same_name_everywhere():
    meanings: dict[str, set[str]] = {}
    for name in COMMANDS:
        for option in options(command(name)):
            meanings.setdefault(option.flag, set()).add(option.metavar.replace("[", ""))
    many = {flag for flag, metavars in meanings.items() if len(metavars) > 1}
    # Files of one command, folders of another; words that are few enough to be listed, or not.
    assert many <= {"--out", "--optimiser", "--reference"}


def run_python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.slow
def test_help_is_plain_where_colours_are_not_wanted():
    code = (
        "import sys\n"
        "sys.stdout.isatty = lambda: True\n"
        "from prefdyn.cli import main\n"
        "main(['games', '--help'])"
    )
    coloured, plain = (
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env=os.environ | {"TERM": "xterm"} | wish,
        ).stdout
        for wish in ({}, {"NO_COLOR": "1"})
    )
    assert "\x1b[" in coloured
    assert "\x1b[" not in plain
    assert "prefdyn games" in plain


def test_help_loads_nothing_heavy():
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*{name.partition('.')[0] for name in sys.modules}))\n"
        "from prefdyn.cli import main\n"
        "main(['--help'])"
    )
    loaded = set(run_python(code).stdout.splitlines()[-1].split())
    assert "tyro" in loaded
    heavy = {"torch", "scipy", "sympy", "matplotlib", "numba", "rich", "numpy"}
    assert loaded & heavy == set()
