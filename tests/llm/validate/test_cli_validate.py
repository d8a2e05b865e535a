import json

import pytest

from prefdyn.cli import main
from prefdyn.llm import validate


@pytest.fixture
def asked(monkeypatch):
    """What the command asks for; the answer is made up."""
    calls = []

    def run(**settings):
        calls.append(settings)
        settings["report"]("rounds", {"records": [{"verdict": "fails"}], "seconds": 3.2})
        return [
            validate.close("rounds", "critical beta", 0.26667, 0.2671, relative=0.05),
            validate.close("rounds", "period", 6.0, 7.0, relative=0.05, note="one run"),
            validate.not_run("squeezing", "greedy answer", "the model ends at once"),
        ]

    monkeypatch.setattr(validate, "run", run)
    return calls


def test_records_are_shown_with_what_failed_and_why(asked, capsys):
    assert main(["validate", "--size", "quick", "--only", "rounds,squeezing", "--out", "here"]) == 0
    shown, told = capsys.readouterr()
    assert [line.split()[-1] for line in shown.splitlines() if "critical beta" in line] == ["holds"]
    assert "period: one run" in shown
    assert "greedy answer: the model ends at once" in shown
    assert shown.splitlines()[-1] == "1 holds, 1 fails, 1 not run; everything is in here"
    assert told == "rounds: 1 of 1 fail (3 s)\n"
    (settings,) = asked
    assert settings["experiments"] == ("rounds", "squeezing")
    assert settings["size"] == "quick"
    assert settings["model"] is None


def test_the_same_for_machines(asked, capsys):
    assert main(["validate", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["command"] == "validate"
    assert answer["verdicts"] == {"holds": 1, "fails": 1, "reported": 0, "not_run": 1}
    assert answer["records"][0]["measured"] == 0.2671
    assert asked[0]["experiments"] == validate.ORDER


def test_a_wrong_name_is_one_sentence(capsys, tmp_path):
    assert main(["validate", "--only", "orbits", "--out", str(tmp_path)]) == 2
    assert "experiment 'orbits' is not known" in capsys.readouterr().err
