"""A command that is run here, and what it printed."""

import json

import pytest

from prefdyn.cli import main

VOTES = """prompt,winner,loser,count
easy,a,b,9
easy,b,c,9
easy,a,c,9
ring,a,b,40
ring,b,c,40
ring,c,a,40
"""
SWEEP = """rounds = 30
[rule]
id = "mrs_ipo"
game = "rps:0.4"
alpha = 0.5
lam = 1.0
[axes]
beta = [0.1, 1.0]
"""


@pytest.fixture
def votes(tmp_path, monkeypatch):
    """A votes file in the working directory, the configuration of a sweep, and a training log."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "votes.csv"
    path.write_text(VOTES)
    (tmp_path / "config.toml").write_text(SWEEP)
    rows = [{"step": k, "eval_logps/chosen": -100.0 - k} for k in range(20)]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": rows}))
    return path


@pytest.fixture
def text(capsys):
    """Run a command that succeeds, and give what it printed."""

    def run(*arguments: str) -> str:
        assert main(arguments) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out

    return run


@pytest.fixture
def data(text):
    """Run a command with --json, and give the object; NaN and infinity are refused."""

    def run(*arguments: str) -> dict:
        return json.loads(text(*arguments, "--json"), parse_constant=pytest.fail)

    return run
