"""The command that diagnoses a log: sentences, JSON, pictures, and what it refuses."""

import inspect
import json
import re
import sys

import numpy as np
import pytest

import prefdyn
from prefdyn.cli import main

STEPS = np.arange(0, 200, 5)
FALLING = [
    {"step": int(s), "eval_logps/chosen": -100 - 0.2 * s, "eval_logps/rejected": -90 - 1.0 * s}
    | {"eval_rewards/margins": 0.08 * s, "eval_entropy": 1.0, "mystery": 1.0}
    for s in STEPS
]


@pytest.fixture
def log(tmp_path, monkeypatch):
    """An output folder whose chosen responses fall, and the working directory beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "trainer_state.json"
    path.write_text(json.dumps({"log_history": FALLING}))
    return "run"


@pytest.fixture
def told(capsys):
    def run(*arguments: str) -> str:
        assert main(["diagnose", *arguments]) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out

    return run


def test_it_says_what_diagnose_says(log, told):
    data = json.loads(told(log, "--json"))
    expected = prefdyn.diagnose(prefdyn.read_log(log))
    assert data["sentences"] == list(expected.sentences)
    assert [one["kind"] for one in data["findings"]] == [one.kind for one in expected.findings]
    ranks = [["alarm", "warning", "info"].index(one["severity"]) for one in data["findings"]]
    assert ranks == sorted(ranks)
    assert set(data["findings"][0]) == {
        "kind", "severity", "evidence", "since", "advice", "claim",
    }  # fmt: skip
    assert "displacement" in [one["kind"] for one in data["findings"]]
    assert data["log"]["steps"] == [0, 195]
    assert data["log"]["unknown"] == ["mystery"]
    assert (data["log"]["format"], data["log"]["rounds"]) == ("trainer_state.json", None)
    chosen = next(one for one in data["series"] if one["name"] == "chosen")
    assert (chosen["first"], chosen["highest"], chosen["readings"]) == (-100, -100, len(STEPS))
    assert chosen["last"] == chosen["lowest"] == -139


def test_people_read_sentences_numbers_and_what_was_not_known(log, told):
    shown = told(log)
    flat = " ".join(shown.split())
    for sentence in prefdyn.diagnose(prefdyn.read_log(log)).sentences:
        assert " ".join(sentence.split()) in flat
    assert re.search(r"^ ?chosen \(eval\) +-100 +-139 +-100 +-139$", shown, re.M)
    assert re.search(r"^unknown +mystery$", shown, re.M)
    assert max(map(len, shown.splitlines())) <= 80


def test_beta_and_run_reach_the_reader(log, told, tmp_path):
    assert json.loads(told(log, "--beta", "0.3", "--json"))["log"]["settings"]["beta"] == 0.3
    rows = [{"run": name, "step": k, "loss": 0.5} for name in "ab" for k in range(9)]
    (tmp_path / "runs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert json.loads(told("runs.jsonl", "--run", "b", "--json"))["log"]["steps"] == [0, 8]


@pytest.mark.parametrize("name", [pytest.param("a.png", marks=pytest.mark.slow), "b.SVG"])
def test_a_plot_is_a_picture(log, told, tmp_path, name):
    assert f"Written: {name}" in told(log, "--plot", name)
    magic = {"a.png": b"\x89PNG", "b.SVG": b"<?xml"}
    assert (tmp_path / name).read_bytes().startswith(magic[name])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "run"])


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["absent.json"], "there is no file"),
        (["run", "--plot", "a.txt"], "not a picture file"),
        (["run", "--beta", "0"], "beta is 0"),
        (["run", "--run", "x"], "leave out the run"),
        (["bad.jsonl"], "line 2"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_and_code_two(log, capsys, tmp_path, arguments, cause):
    (tmp_path / "bad.jsonl").write_text('{"loss": 1}\n{oops\n{"loss": 1}\n')
    assert main(["diagnose", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.search(cause, printed.err)
    assert printed.err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.jsonl", "run"]


def test_every_key_is_documented(log, told):
    documented = re.findall(r"``(\w+)", inspect.getdoc(sys.modules["prefdyn.cli"]) or "")
    data = json.loads(told(log, "--json"))
    groups = [data, data["log"], data["findings"][0], data["series"][0]]
    assert {key for group in groups for key in group} <= set(documented)
