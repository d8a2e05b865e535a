"""The figures' machinery: keys, files, jobs, the command; a figure's own numbers are not here."""

import importlib
import os
import sys
import types

import numpy as np
import pytest
from matplotlib.figure import Figure

import figures
from figures import ORDER, __main__, _make, _pool
from figures._files import read_record, write_atomically, write_record
from figures._pool import Job, attempt
from prefdyn import claims


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """A folder of scripts in place of the real one."""
    monkeypatch.setattr(_make, "FOLDER", tmp_path)
    for name in ("plot_fake.py", "plot_other.py", "_shared.py"):
        (tmp_path / name).write_text("one = 1\n")
    return tmp_path


@pytest.fixture
def fake(scripts, monkeypatch):
    """A figure that remembers what it was drawn from."""
    module = types.ModuleType("figures.plot_fake")

    def draw(data):
        module.drawn = data  # pyright: ignore[reportAttributeAccessIssue]
        drawing = Figure()
        drawing.add_subplot().plot(data["x"])
        return drawing

    content = {
        "TITLE": "A fake",
        "CAPTION": "\nTwo\nlines. ",
        "CLAIMS": ("MRS-1",),
        "compute": lambda seed, full: {"x": np.arange(20.0), "seed": np.array(seed)},
        "draw": draw,
    }
    vars(module).update(content)
    monkeypatch.setitem(sys.modules, "figures.plot_fake", module)
    return module


def test_the_key_follows_content_and_nothing_else(scripts):
    def key(seed=0, full=False):
        return _make.key_of("fake", seed, full)

    first = key()
    os.utime(scripts / "plot_fake.py", (1, 1))
    (scripts / "plot_other.py").write_text("two = 2\n")
    assert key() == first
    assert len({first, key(seed=1), key(full=True)}) == 3
    for name in ("plot_fake.py", "_shared.py"):
        before = key()
        (scripts / name).write_text("two = 2\n")
        assert key() != before


def test_only_a_figure_that_uses_the_analysis_follows_it(scripts, monkeypatch):
    monkeypatch.setattr(_make, "source_key", lambda folders, *extra: tuple(folders))
    assert _make.key_of("fake", 0, False) == ("prefdyn",)
    (scripts / "plot_fake.py").write_text("import numpy\nfrom analysis import smaug\n")
    assert _make.key_of("fake", 0, False) == ("prefdyn", "analysis")


def test_a_figure_is_drawn_from_what_was_saved(fake, tmp_path):
    output = tmp_path / "output"
    record = _make.make("fake", 7, False, "key", output)
    assert sorted(file.name for file in output.iterdir()) == [
        f"fake.{suffix}" for suffix in ("json", "npz", "png", "svg")
    ]
    with np.load(output / "fake.npz", allow_pickle=False) as saved:
        for name, values in fake.compute(7, False).items():
            np.testing.assert_array_equal(saved[name], values)
            np.testing.assert_array_equal(fake.drawn[name], values)
    assert record["caption"] == "Two lines."
    assert (record["parameters"], record["arrays"]["x"]) == ({"seed": 7}, [20])


def test_the_same_figure_gives_the_same_files(fake, tmp_path):
    for folder in ("first", "second"):
        _make.make("fake", 0, False, "key", tmp_path / folder)
    for suffix in ("npz", "svg", "png"):
        files = [(tmp_path / folder / f"fake.{suffix}") for folder in ("first", "second")]
        assert files[0].read_bytes() == files[1].read_bytes(), suffix


def test_a_stored_figure_is_recalled_only_while_nothing_changed(fake, scripts, tmp_path):
    output = tmp_path / "output"
    key = _make.key_of("fake", 0, False)
    record = _make.make("fake", 0, False, key, output)
    assert _make.stored("fake", key, output) == record
    assert _make.stored("fake", _make.key_of("fake", 1, False), output) is None
    (output / "fake.svg").unlink()
    assert _make.stored("fake", key, output) is None


def test_a_drawing_that_fails_leaves_no_record_and_no_half_file(fake, tmp_path):
    output = tmp_path / "output"
    _make.make("fake", 0, False, "key", output)
    fake.draw = lambda data: {}["no such array"]
    with pytest.raises(KeyError):
        _make.make("fake", 0, False, "key", output)
    assert _make.stored("fake", "key", output) is None
    assert not [file for file in output.iterdir() if file.name.startswith(".")]


def test_files_are_written_whole_or_not_at_all(tmp_path):
    target = tmp_path / "file.txt"
    write_atomically(target, lambda file: file.write_text("whole"))

    def interrupted(file):
        file.write_text("ha")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(target, interrupted)
    assert target.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [target]


def test_records_belong_to_their_key(tmp_path):
    path = tmp_path / "record.json"
    assert read_record(path, "a") is None
    write_record(path, "a", {"value": 1.5})
    assert read_record(path, "a") == {"key": "a", "value": 1.5}
    assert read_record(path, "b") is None
    path.write_text("{ half")
    assert read_record(path, "a") is None


def test_an_exception_becomes_a_sentence_with_its_place():
    outcome = attempt(Job("figure", "x", len, (3,)))
    assert outcome.record is None
    assert outcome.error.startswith("TypeError: object of type 'int' has no len() (_pool.py, line ")


def test_jobs_run_in_other_processes_and_one_failure_stops_no_other():
    jobs = [Job("figure", "good", dict, ([("a", 1)],)), Job("figure", "bad", int, ("no",))]
    outcomes = {outcome.job.name: outcome for outcome in _pool.run(jobs)}
    assert outcomes["good"].record == {"a": 1}
    assert outcomes["bad"].error.startswith("ValueError: invalid literal")


def test_an_unknown_figure_is_refused_in_one_sentence(capsys):
    assert __main__.main(["no_such_figure"]) == 2
    assert "There is no figure 'no_such_figure': choose from" in capsys.readouterr().err


def test_a_failing_figure_gives_exit_code_one(monkeypatch, capsys):
    job = Job("figure", ORDER[0], len, (3,))
    monkeypatch.setattr(__main__, "_jobs", lambda options: [(job, None)])
    monkeypatch.setattr(__main__, "run", lambda jobs: map(attempt, jobs))
    assert __main__.main([]) == 1
    captured = capsys.readouterr()
    assert f"figure {ORDER[0]} failed: TypeError" in captured.err
    assert captured.out.startswith("0 figures in ")


def test_a_failing_claim_gives_exit_code_one(monkeypatch, capsys):
    job = Job("claim", "MRS-1", dict)
    monkeypatch.setattr(__main__, "_jobs", lambda options: [(job, {"verdict": "fails"})])
    assert __main__.main([]) == 1
    assert "claim MRS-1 fails" in capsys.readouterr().err


def test_what_is_stored_is_not_run_again(monkeypatch):
    job = Job("figure", ORDER[0], len, (3,))
    monkeypatch.setattr(__main__, "_jobs", lambda options: [(job, {"name": ORDER[0]})])
    monkeypatch.setattr(__main__, "run", lambda jobs: map(attempt, jobs))
    assert __main__.main([]) == 0


def test_the_order_names_every_script():
    scripts = {path.stem.removeprefix("plot_") for path in figures.FOLDER.glob("plot_*.py")}
    assert scripts == set(ORDER)
    assert len(ORDER) == len(scripts)


@pytest.mark.parametrize("name", ORDER)
def test_figures_keep_their_contract(name):
    module = importlib.import_module(f"figures.plot_{name}")
    assert module.TITLE
    for word in ("redicted", "imulated", "pull to the reference"):
        assert word in " ".join(module.CAPTION.split()), f"the caption does not say {word!r}"
    assert [claims.get(id).id for id in module.CLAIMS] == list(module.CLAIMS)
    assert callable(module.compute)
    assert callable(module.draw)
