"""``prefdyn stability``: verdicts, thresholds, surveys."""

import re

import numpy as np
import pytest

import prefdyn
from prefdyn.games import rock_paper_scissors

RECIPE = ["--alpha", "0.5", "--lam", "1"]
UNSTABLE = ["rps:0.4", *RECIPE, "--beta", "0.15"]


@pytest.mark.slow
def test_stability_says_what_advise_says(data):
    advice = prefdyn.advise(rock_paper_scissors(0.4), alpha=0.5, lam=1, beta=0.15)
    assert advice.verdict is not None
    found = data("stability", *UNSTABLE)
    assert found["verdict"] == "unstable"
    assert found["sentences"] == list(advice.sentences)
    assert found["linear"]["spectral_radius"] == advice.verdict.stability.spectral_radius
    assert complex(*found["linear"]["multipliers"][0]) == advice.verdict.stability.multipliers[0]
    assert found["stable_above"] == pytest.approx(0.4 / np.sqrt(3 * 0.75), rel=1e-12)
    assert {known["claim"] for known in found["certificates"]} == {"MRS-2", "MRS-4", "MRS-9"}


def test_stability_shows_every_number_of_the_verdict(text):
    shown = text("stability", *UNSTABLE)
    facts = dict(re.findall(r"^(\S.*?) {2,}(\S.*)$", shown, re.M))
    assert facts["verdict"] == "unstable"
    radius = np.hypot(0.5, 0.4 / (0.15 * np.sqrt(3)))  # alpha and lam s / beta, MRS-4
    assert facts["spectral radius"] == f"{radius:.4g}"
    assert facts["kind"] == "neimark-sacker"
    assert facts["multipliers"] == "0.5 ± 1.54i"
    assert facts["stable beta"] == "0.2667 to 100 (searched 0.001 to 100)"
    assert facts["locally stable above"] == "0.2667"
    assert facts["largest stable on-policy share"] == "0.5625"
    assert facts["margin"].startswith("0.5625")
    assert "MRS-9" in shown


def test_without_beta_there_are_thresholds_and_no_verdict(data):
    found = data("stability", "condorcet:0.1:0.4", "--alpha", "0", "--lam", "1")
    assert found["verdict"] is None
    assert found["linear"] is None
    assert len(found["stable_beta"]["intervals"]) == 2  # unstable in a window only


def test_a_range_is_searched_where_it_was_asked_for(data):
    found = data("stability", "rps:0.4", *RECIPE, "--range", "0.3", "2")
    assert found["stable_beta"] == {"range": [0.3, 2.0], "intervals": [[0.3, 2.0]]}


def test_alpha_one_is_the_last_iterate(data, text):
    arguments = ["stability", "pandalm", "--alpha", "1", "--lam", "1", "--beta", "0.5"]
    found = data(*arguments)
    assert found["stable_beta"] is None
    assert found["last_iterate"]["kind"] == "collapse"
    assert found["game"]["names"][found["last_iterate"]["top"]] == "llama-7b"
    assert "collapses onto llama-7b" in text(*arguments)


@pytest.mark.slow
def test_votes_bring_a_posterior(data, text):
    arguments = ["stability", "minneapolis", *RECIPE, "--draws", "20"]
    found = data(*arguments)["posterior"]
    assert found["draws"] == 20
    assert 0 < found["unstable"] < 1
    assert found["beta"] == sorted(found["beta"])
    assert "20 draws" in text(*arguments)


def test_a_survey_judges_every_prompt(votes, data, text):
    arguments = ["stability", str(votes), *RECIPE, "--beta", "0.02", "--per-prompt"]
    found = data(*arguments)
    outcomes = {row["prompt"]: row["outcome"] for row in found["prompts"]}
    assert outcomes == {"easy": "collapses", "ring": "oscillates"}
    assert found["shares"]["oscillates"] == 0.5
    assert found["worst"][0] == "ring"
    assert found["skipped"] == {}
    assert re.search(r"oscillates +50\.0%", text(*arguments))


def test_a_survey_says_what_it_skipped_and_why(votes, data, text, monkeypatch):
    found = prefdyn.Survey((), (), np.array([]), np.array([]), {}, (), {"hard": "has no optimum"})
    monkeypatch.setattr(prefdyn, "survey", lambda *_, **__: found)
    arguments = ["stability", str(votes), *RECIPE, "--beta", "0.02", "--per-prompt"]
    assert data(*arguments)["skipped"] == {"hard": "has no optimum"}
    assert re.search(r"hard +has no optimum", text(*arguments))


def test_votes_without_per_prompt_are_pooled_and_it_says_so(tmp_path, text):
    path = tmp_path / "votes.csv"
    path.write_text("prompt,winner,loser\n1,a,b\n2,b,a\n2,a,b\n")
    assert "pooled over 2 prompts" in text("stability", str(path), *RECIPE)
