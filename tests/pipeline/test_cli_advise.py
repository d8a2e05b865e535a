"""``prefdyn advise``: the translation is shown, and its verdict; mistakes are sentences."""

import json

import numpy as np
import pytest

from prefdyn import games
from prefdyn.cli import main
from prefdyn.pipeline import judge, read_config, translate

ONLINE = "loss_type: ipo\nbeta: 0.2\nmax_new_tokens: 53\nlearning_rate: 5.0e-7\ntemprature: 1.0\n"
SYNC = "loss_type: [ipo]\nbeta: 0.4\nsync_ref_model: true\nloss_weights: [1.0]\nmax_steps: 1024\n"
ROUNDS = "f_divergence_type: reverse_kl\nbeta: 0.3\nnum_iterations: 3\n"


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["prefdyn"])

    def run(text: str, *options: str, code: int = 0) -> str:
        path = tmp_path / "config.yaml"
        path.write_text(text)
        assert main(["advise", "--from", str(path), *options]) == code
        printed = capsys.readouterr()
        return printed.err if code else printed.out

    return run


def data(run, text: str, *options: str) -> dict:
    return json.loads(run(text, *options, "--json"), parse_constant=pytest.fail)


def test_json_says_what_the_functions_say(run, tmp_path):
    found = data(run, ONLINE, "--game", "rps:0.4", "--far-starts", "4", "--kappa", "0.9")
    made = translate(read_config(tmp_path / "config.yaml"), kappa=0.9)
    expected = judge(made, games.load("rps:0.4"), far_starts=4)
    assert found["command"] == "advise"
    assert found["config"]["trainer"] == "online_dpo"
    assert "nearest: temperature" in found["config"]["unknown"]["temprature"]
    assert found["recipe"]["objective"] == "ipo"
    assert found["recipe"]["kappa"] == 0.9
    assert [row["setting"] for row in found["rows"]] == [row.setting for row in made.rows]
    assert found["outlook"]["word"] == expected.word == "unstable"
    assert found["outlook"]["largest_kappa"] == expected.largest_kappa
    np.testing.assert_allclose(found["outlook"]["policy"], 1 / 3)
    assert found["games"] == []


@pytest.mark.slow
def test_people_see_the_translation_its_assumptions_and_the_verdict(run):
    shown = run(ONLINE, "--game", "rps:0.4", "--far-starts", "4")
    for words in (
        "left out: temprature (nearest: temperature",
        "for TRL's online_dpo trainer",
        "kappa unknown, in (0, 1]",
        "Assumed:",
        "truncated sampling is not modelled",
        "Locally stable on every game if rounds go less than",
        "On rps:0.4: unstable",
        "rock",
    ):
        assert words in shown


@pytest.mark.slow
def test_without_a_game_several_are_tried(run):
    shown = run(ROUNDS, "--rounds-from", "fixed")
    for name in ("rps:0.4", "minneapolis", "pandalm"):
        assert name in shown
    found = data(run, ROUNDS, "--rounds-from", "fixed")
    assert {game["name"]: game["word"] for game in found["games"]}["rps:0.4"] == "unstable"
    assert found["recipe"]["rounds"] == 3


def test_beta_per_token_waits_for_tokens(run):
    shown = run(SYNC)
    assert "give --tokens to get a verdict" in shown
    assert "the policy moves at most 1.6 times" in " ".join(shown.split())
    found = data(run, SYNC, "--tokens", "40", "--kappa", "1", "--game", "arxiv")
    assert found["recipe"] | {"beta": 0.01, "kind": "drift", "periods": 2} == found["recipe"]
    assert found["outlook"]["word"] == "drifts"


@pytest.mark.slow
def test_why_games_are_not_judged_is_said_once(run):
    shown = run("loss_type: kto\nbeta: 0.1\n")
    assert shown.count("No verdict:") == 1
    assert "Assumed:" not in shown  # nothing was


def test_saved_arguments_in_json(run, tmp_path, capsys):
    path = tmp_path / "training_args.json"
    path.write_text(json.dumps({"f_alpha_divergence_coef": 0.5, "beta": 0.1, "seed": 3}))
    assert main(["advise", "--from", str(path), "--game", "rps:0.4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["config"]["trainer"] == "dpo"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("beta: 0.1", (), "fit several of TRL's trainers"),
        (ROUNDS, (), "3 rounds, and no setting says what a round's reference is"),
        (SYNC + "precompute_ref_log_probs: true\n", (), "contradict each other"),
        (ONLINE, ("--game", "nobody"), "nobody"),
        (ONLINE, ("--trainer", "ppo"), "trainer 'ppo' is not known"),
        (ONLINE, ("--kappa", "0"), "kappa is 0"),
        (SYNC, ("--game", "rps:0.4"), "give the mean number of tokens"),
    ],
)
def test_mistakes_are_one_sentence(run, text, options, message):
    said = run(text, *options, code=2)
    assert said.startswith("prefdyn: ")
    assert message in said
    assert said.count("\n") == 1
