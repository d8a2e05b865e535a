import json
import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from figures import _report, _validation
from figures._pool import Job, Outcome
from figures._sections import SECTIONS
from prefdyn import claims

BROKEN = "ValueError: no data (plot_onset.py, line 7)"


def claim_record(id, verdict, **changes):
    claim = claims.get(id)
    record = {
        **{part: getattr(claim, part) for part in ("id", "title", "statement", "source", "origin")},
        "verdict": verdict,
        "instances": 1200,
        "violations": 0,
        "worst_error": 3.2e-13,
        "tolerance": 1e-9,
        "seconds": 0.5,
        "checks": [
            {
                "part": "closed form",
                "code": "analysis.some.module:ClosedForm",
                "verdict": verdict,
                "note": "a note with <angles>",
            }
        ],
    }
    return Outcome(Job("claim", id, dict), {**record, **changes})


def figure_record(name, folder):
    drawing = Figure()
    drawing.add_subplot().plot(np.arange(3))
    for suffix in ("svg", "png"):
        drawing.savefig(folder / f"{name}.{suffix}")
    record = {
        "name": name,
        "title": "A title",
        "caption": "A caption.",
        "findings": ["A finding."],
        "claims": ["MRS-1"],
        "seed": 0,
        "seconds": 1.25,
    }
    return Outcome(Job("figure", name, dict), record)


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(_report, "PAGE", tmp_path / "report" / "index.html")
    monkeypatch.setattr(_report.figure_of, "__defaults__", (tmp_path,))

    def write():
        outcomes = [
            figure_record("policy_paths", tmp_path),
            Outcome(
                Job("figure", "onset", dict), None, "ValueError: no data (plot_onset.py, line 7)"
            ),
            claim_record("MRS-1", "holds"),
            claim_record("MRS-2", "fails", violations=3),
            Outcome(Job("claim", "MRS-3", dict), None, "a worker died"),
        ]
        return _report.write(outcomes, 12.3, 5, False).read_text(encoding="utf-8")

    return write


def test_the_page_needs_nothing_but_itself(page):
    text = page()
    assert "data:image/svg+xml;base64," in text
    assert re.findall(r'src="(?!data:)[^"]*"', text) == []
    elsewhere = set(re.findall(r'href="(?!#)([^"]*)"', text))
    assert elsewhere >= {"../figures/plot_policy_paths.py", "../analysis/some/module.py"}
    assert all(link.startswith(("../", "https://arxiv.org/abs/")) for link in elsewhere)
    assert "@import" not in text
    assert "<script" not in text


def test_what_failed_comes_with_its_sentence(page):
    text = page()
    assert f"This figure could not be drawn: {BROKEN}" in text
    assert "a worker died" in text
    assert "✗ 2</b> fail" in text
    assert "✓ 1</b> claims hold" in text
    assert "1 / 2</b> figures drawn" in text
    assert "failed: onset" in text


def test_claims_and_figures_link_to_each_other(page):
    text = page()
    assert '<tr id="MRS-1">' in text
    assert '<a href="#MRS-1">MRS-1</a>' in text
    assert '<a href="#figure-policy_paths">' in text


def test_verdicts_stand_beside_the_picture(page):
    _, aside = page().split("<aside>")[:2]
    assert '<a href="#MRS-1">MRS-1</a>' in aside.split("</aside>")[0]
    assert '<span class="holds">holds</span>' in aside.split("</aside>")[0]


def test_every_claim_belongs_to_one_section():
    families = [family for section in SECTIONS for family in section.families]
    assert len(families) == len(set(families))
    assert set(families) == {claim.id.partition("-")[0] for claim in claims.all()}


def test_text_is_escaped_and_numbers_are_short(page):
    text = page()
    assert "a note with &lt;angles&gt;" in text
    assert "3.2e-13" in text
    assert "1,200" in text


def test_large_vector_images_give_way_to_pixels(page, monkeypatch):
    monkeypatch.setattr(_report, "VECTOR_LIMIT", 10)
    assert "data:image/png;base64," in page()


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (0.0, "0"), (1e-9, "1.0e-9"), (2.5e-13, "2.5e-13")]
)
def test_numbers(value, text):
    assert _report.number(value) == text


def test_parameters_become_letters_and_other_words_stay():
    text = "alpha^2 + (lam a/beta)^2, sqrt(beta), beta_c, mu0, alphabet, tau, taut"
    assert _report.greek(text) == "α^2 + (λ a/β)^2, √(β), β_c, μ0, alphabet, τ, taut"


def test_what_was_measured_on_a_language_model_is_shown(tmp_path, monkeypatch):
    def record(experiment, quantity, verdict, note=""):
        return {
            "experiment": experiment,
            "quantity": quantity,
            "predicted": 0.26667,
            "measured": "both fall",
            "tolerance": "within 5 %",
            "verdict": verdict,
            "note": note,
        }

    monkeypatch.setattr(_report, "PAGE", tmp_path / "index.html")
    (tmp_path / "rounds.svg").write_text("<svg/>")
    records = [
        record("rounds", "critical beta", "holds"),
        record("rounds", "mass left", "reported"),
        record("squeezing", "the run itself", "fails", "no <memory>"),
    ]
    model = {"model": "shipped", "parameters": 262144, "size": "quick"}
    names = {"experiments": ["rounds", "squeezing"]}
    about = {"title": "Rounds", "caption": "alpha", "claims": ["MRS-1"], "seconds": 2.5}
    files = {"model": model | names, "validation": records, "rounds": about}
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))

    validation = _validation.read(tmp_path)
    text = _report.write([], 1.0, 0, False, validation).read_text("utf-8")
    assert "262,144 parameters" in text
    assert "the language model that ships" in text
    assert "0.2667" in text
    assert "both fall" in text
    assert "no &lt;memory&gt;" in text
    assert "✗ 1 fails" in text
    assert "<summary>1 observations about which nothing is asserted</summary>" in text
    assert text.count("data:image/svg+xml") == 1


def test_without_a_validation_the_page_says_nothing_of_one(page, tmp_path):
    assert _validation.read(tmp_path / "nowhere") is None
    assert "validation" not in page()
