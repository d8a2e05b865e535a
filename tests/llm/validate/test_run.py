import json
import os
import subprocess
import sys
import time
import types
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

from prefdyn import InputError
from prefdyn._processes import workers
from prefdyn.llm import reference, validate
from prefdyn.llm.models import LanguageModel
from prefdyn.llm.validate import _run, _setup


@pytest.fixture
def fakes(monkeypatch):
    """Two experiments, and a model, that cost nothing; they count their calls."""
    calls = []

    def load(setup):
        calls.append(("load",))
        return LanguageModel(torch.nn.Linear(2, 1), None)

    def predict(lm, size, seed):
        calls.append(("predict", size, seed))
        return {"slope": float("nan"), "weights": torch.ones(2)}

    def measure(lm, predicted, size, seed):
        calls.append(("measure", predicted))
        return {"slope": 2.0}

    def records(predicted, measured):
        return [validate.close("rounds", "slope", 2.1, measured["slope"], relative=0.1)]

    def broken(lm, predicted, size, seed):
        raise InputError("There is nothing to train on.")

    def draw(predicted, measured):
        calls.append(("draw",))
        return Figure()

    for name, how in (("rounds", measure), ("squeezing", broken)):
        module = types.ModuleType(f"prefdyn.llm.validate.{name}")
        parts = {"TITLE": "A\ntitle", "CAPTION": "Two\nlines.", "CLAIMS": ("MRS-1",)}
        functions = {"predict": predict, "measure": how, "records": records, "draw": draw}
        vars(module).update(parts | functions)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(_setup.Setup, "load", load)
    # The same weights would be drawn again by no one: what is asked here is what is stored.
    monkeypatch.setattr(reference, "fingerprint", lambda model, tokenizer: "weights")
    return calls


def run(out, *names, **settings):
    return validate.run(out=out, experiments=names, processes=1, size="quick", **settings)


def steps(calls):
    """What was done besides loading models."""
    return [name for name, *_ in calls if name != "load"]


def test_predictions_are_on_disk_before_anything_is_trained(fakes, tmp_path, monkeypatch):
    module = sys.modules["prefdyn.llm.validate.rounds"]

    def measure(lm, predicted, size, seed):
        stored = json.loads((tmp_path / "predictions" / "rounds.json").read_text())
        assert stored["predicted"] == predicted == {"slope": None, "weights": [1.0, 1.0]}
        return {"slope": 2.0}

    monkeypatch.setattr(module, "measure", measure)
    (record,) = run(tmp_path, "rounds")
    assert (record.verdict, record.tolerance) == ("holds", "within 10 %")
    written = json.loads((tmp_path / "validation.json").read_text())
    fields = {"experiment", "quantity", "predicted", "measured", "tolerance", "verdict", "note"}
    assert [set(line) for line in written] == [fields]
    assert (tmp_path / "rounds.png").exists()


def test_what_is_done_is_not_done_again(fakes, tmp_path):
    first = run(tmp_path, "rounds")
    done = len(fakes)
    assert run(tmp_path, "rounds") == first
    assert len(fakes) == done  # the model is not even loaded
    run(tmp_path, "rounds", seed=1)
    assert steps(fakes) == ["predict", "measure", "draw"] * 2


def test_a_model_is_known_by_the_content_of_its_files(fakes, tmp_path):
    model, adapter = tmp_path / "model", tmp_path / "adapter"
    for folder in (model, adapter):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
    settings = {"model": str(model), "adapter": str(adapter)}

    def loads(**more):
        before = len(fakes)
        run(tmp_path / "out", "rounds", **settings | more)
        return fakes[before:].count(("load",))

    assert loads() == 3  # to be described, for the predictions, to be trained
    assert loads() == 0
    (adapter / "weights").write_text("other")
    assert loads() == 1  # described anew: the same, since the fake always is
    assert loads() == 0
    assert loads(dtype="float64") == 3
    (model / "config.json").unlink()
    assert loads() == 3  # now that what it is made of may be anywhere
    assert loads() == 1


def test_to_look_up_what_is_stored_needs_no_torch():
    code = "import sys, prefdyn.llm.validate; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_one_more_experiment_joins_those_that_are_there(fakes, tmp_path, monkeypatch):
    run(tmp_path, "rounds")
    broken = sys.modules["prefdyn.llm.validate.squeezing"]
    monkeypatch.setattr(broken, "measure", lambda *arguments: {"slope": 2.0})
    monkeypatch.setattr(
        broken, "records", lambda *arguments: [validate.told("squeezing", "greedy", 1.0)]
    )
    assert [r.experiment for r in run(tmp_path, "squeezing")] == ["rounds", "squeezing"]
    assert len(json.loads((tmp_path / "validation.json").read_text())) == 2
    assert [r.experiment for r in run(tmp_path, "squeezing", seed=1)] == ["squeezing"]


def test_predictions_of_a_killed_run_are_kept(fakes, tmp_path):
    run(tmp_path, "rounds")
    (tmp_path / "rounds.json").unlink()
    run(tmp_path, "rounds")
    assert steps(fakes) == ["predict", "measure", "draw", "measure", "draw"]


def test_an_experiment_that_breaks_fails_and_the_others_go_on(fakes, tmp_path):
    records = run(tmp_path, "squeezing", "rounds")
    assert [(r.experiment, r.verdict) for r in records] == [
        ("rounds", "holds"),
        ("squeezing", "fails"),
    ]
    assert records[1].note == "There is nothing to train on."
    assert not (tmp_path / "squeezing.json").exists()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"experiments": ("orbits",)}, "experiment 'orbits' is not known"),
        ({"size": "huge"}, "size 'huge' is not known"),
        ({"processes": 0}, "processes is 0"),
    ],
)
def test_wrong_settings_are_refused(fakes, tmp_path, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        validate.run(out=tmp_path, **settings)


def test_verdicts_follow_the_stated_rule():
    def verdict(record):
        return record.verdict

    assert verdict(validate.close("e", "q", 1.0, 1.04, relative=0.05)) == "holds"
    assert verdict(validate.close("e", "q", 1.0, 1.06, relative=0.05)) == "fails"
    assert verdict(validate.close("e", "q", 0.0, float("nan"), absolute=1.0)) == "fails"
    assert verdict(validate.bounded("e", "q", 0.95, least=0.9, most=1)) == "holds"
    assert verdict(validate.bounded("e", "q", 0.89, least=0.9)) == "fails"
    assert verdict(validate.bounded("e", "q", float("nan"), least=0.9)) == "fails"
    assert verdict(validate.told("e", "q", 3)) == "reported"
    assert verdict(validate.not_run("e", "q", "no such token")) == "not_run"


def test_all_workers_start_while_the_first_describes_the_model(tmp_path, monkeypatch):
    monkeypatch.setattr(_run, "described", time.sleep)
    monkeypatch.setattr(_run, "_warm", os.getpid)  # whatever a worker can do
    a_moment: Any = 0.1
    with workers(3) as pool:
        _run._describe(a_moment, pool, 3)
        assert len(pool._processes) == 3
