import json
import os
import re

import pytest

from analysis import Check, _cache, _harness, run
from analysis.__main__ import main
from analysis._harness import assemble, checks, verdict_of
from prefdyn import InputError, claims


class Wrong(Check):
    """Predicts 1, observes 2."""

    claim = "IPO-1"
    part = "one is two"
    instances = 3

    def draw(self, rng):
        return 0

    def predict(self, instance):
        return 1.0

    def observe(self, instance):
        return 2.0


class Right(Wrong):
    """Predicts 2, observes 2."""

    part = "two is two"

    def predict(self, instance):
        return 2.0


@pytest.fixture
def only(monkeypatch, tmp_path):
    """Replace all checks, and keep the cache apart."""
    monkeypatch.setattr(_cache, "CACHE", tmp_path)

    def replace(*kinds):
        monkeypatch.setattr(_harness, "_kinds", lambda: kinds)

    return replace


def test_every_claim_has_a_check_and_every_check_a_claim():
    known = {claim.id for claim in claims.all()}
    assert {kind.claim for kind in _harness._kinds()} == known


def test_parts_are_distinct_so_that_instances_are():
    for claim in claims.all():
        parts = [check.part for check in checks(claim.id)]
        assert len(set(parts)) == len(parts), claim.id


def test_a_wrong_check_fails_the_claim_and_is_not_cached(only):
    only(Right, Wrong)
    (result,) = run(["IPO-1"])
    assert result["verdict"] == "fails"
    assert result["instances"] == 6
    assert result["violations"] == 3
    assert result["worst_error"] == 1.0
    only(Right)
    (result,) = run(["IPO-1"])
    assert result["verdict"] == "holds"


def test_a_finished_claim_is_not_run_again_until_the_key_changes(only):
    only(Right)
    (first,) = run(["ipo-1"])
    only(Wrong)
    assert run(["IPO-1"]) == [first]
    (other,) = run(["IPO-1"], seed=1)
    assert other["verdict"] == "fails"
    assert run(["IPO-1"], scale=0.5)[0]["verdict"] == "fails"


def test_finished_claims_survive_an_interruption(only, monkeypatch):
    class Interrupted(Right):
        claim = "IPO-2"

        def observe(self, instance):
            raise KeyboardInterrupt

    only(Right, Interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(["IPO-1", "IPO-2"])
    only(Wrong)
    assert run(["IPO-1"])[0]["verdict"] == "holds"


def test_a_claim_without_checks_is_not_run(only):
    only()
    assert run(["IPO-1"])[0]["verdict"] == "not_run"


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], "not_run"),
        (["reported"], "reported"),
        (["reported", "holds"], "holds"),
        (["holds", "fails", "reported"], "fails"),
    ],
)
def test_verdict_of_several_checks(verdicts, expected):
    assert verdict_of([{"verdict": verdict} for verdict in verdicts]) == expected  # pyright: ignore


def test_the_check_nearest_to_failing_is_shown():
    calm = {**_harness._broken("IPO-1", ValueError()), "worst": {}, "tolerance": 1.0}
    tight = {**calm, "worst_error": 1e-10, "tolerance": 1e-9}
    loose = {**calm, "worst_error": 1e-3}
    assert assemble("IPO-1", [loose, tight])["tolerance"] == 1e-9  # pyright: ignore
    failing = {**calm, "worst_error": None}
    assert assemble("IPO-1", [loose, tight, failing])["worst_error"] is None  # pyright: ignore


@pytest.mark.slow
def test_processes_give_the_same_results_as_none(tmp_path, monkeypatch):
    ids = ["IPO-5", "IPO-3"]
    alone = [_harness.examine(id, seed=5, scale=0.05) for id in ids]
    seen = []
    together = run(ids, seed=5, workers=2, scale=0.05, progress=lambda r: seen.append(r["id"]))
    assert sorted(seen) == sorted(ids)
    for one, two in zip(alone, together, strict=True):
        for check in (*one["checks"], *two["checks"]):
            check["seconds"] = 0
        assert one["checks"] == two["checks"]


class Deadly:
    """Ends the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (1,)


@pytest.mark.parametrize(("worker", "sentence"), [(Deadly(), "abruptly"), (os._exit, "TypeError")])
def test_a_process_that_dies_or_raises_is_reported_as_a_failure(worker, sentence):
    results = _harness._in_processes(worker, ["IPO-1"], 2, lambda result: None)
    assert results["IPO-1"]["verdict"] == "fails"
    assert sentence in results["IPO-1"]["checks"][0]["note"]


def test_an_unknown_claim_is_refused():
    with pytest.raises(InputError, match="'IPO-99' is not known: did you mean IPO-9"):
        run(["IPO-99"])


def test_the_command_prints_a_table(only, capsys):
    only(Right)
    assert main(["IPO-1", "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"IPO-1 .*closed form.*derived.* 3 .*holds", printed)


def test_the_command_fails_with_a_claim_and_says_where(only, capsys):
    only(Right, Wrong)
    assert main(["IPO-1", "--workers", "1"]) == 1
    printed = capsys.readouterr().out
    assert "fails" in printed
    assert "IPO-1, one is two: violated in 3" in printed


def test_the_command_writes_json(only, capsys):
    only(Right)
    assert main(["IPO-1", "--json", "--workers", "1", "--seed", "3"]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert result["id"] == "IPO-1"
    assert result["checks"][0]["part"] == "two is two"


@pytest.mark.parametrize("arguments", [["IPO-99"], ["IPO-1", "--scale", "0"]])
def test_wrong_arguments_give_one_sentence_and_exit_code_2(arguments, capsys):
    assert main(arguments) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert len(streams.err.strip().splitlines()) == 1
