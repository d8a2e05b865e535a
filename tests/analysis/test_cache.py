import json

import pytest

from analysis import _cache
from analysis._cache import cached, source_key


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of two source files and a constraints file."""
    monkeypatch.setattr(_cache, "ROOT", tmp_path)
    monkeypatch.setattr(_cache, "CACHE", tmp_path / ".cache")
    (tmp_path / "constraints.txt").write_text("numpy==2.0\n")
    (tmp_path / "src" / "inner").mkdir(parents=True)
    (tmp_path / "src" / "a.py").write_text("a = 1\n")
    (tmp_path / "src" / "inner" / "b.py").write_text("b = 1\n")
    return tmp_path


@pytest.mark.parametrize("changed", ["constraints.txt", "src/a.py", "src/inner/b.py", "src/new.py"])
def test_the_key_follows_every_source(checkout, changed):
    before = source_key(["src"], 0)
    (checkout / changed).write_text("c = 2\n")
    assert source_key(["src"], 0) != before


def test_the_key_follows_the_seed_and_names_of_files(checkout):
    before = source_key(["src"], 0)
    assert source_key(["src"], 1) != before
    (checkout / "src" / "a.py").rename(checkout / "src" / "c.py")
    assert source_key(["src"], 0) != before


def test_the_key_ignores_file_times_and_compiled_files(checkout):
    before = source_key(["src"], 0)
    source = checkout / "src" / "a.py"
    source.write_text(source.read_text())
    (checkout / "src" / "__pycache__").mkdir()
    (checkout / "src" / "__pycache__" / "a.pyc").write_bytes(b"\0")
    assert source_key(["src"], 0) == before


def test_the_key_ignores_what_no_claim_rests_on(checkout):
    (checkout / "prefdyn" / "llm").mkdir(parents=True)
    (checkout / "prefdyn" / "llmx.py").write_text("a = 1\n")
    before = source_key(["prefdyn"], 0)
    (checkout / "prefdyn" / "llm" / "train.py").write_text("a = 1\n")
    assert source_key(["prefdyn"], 0) == before
    (checkout / "prefdyn" / "llmx.py").write_text("a = 2\n")
    assert source_key(["prefdyn"], 0) != before


def test_a_value_is_computed_once_per_key(checkout):
    calls = []

    def compute():
        calls.append(1)
        return {"value": len(calls)}

    assert cached("x/y", "one", compute) == cached("x/y", "one", compute) == {"value": 1}
    assert cached("x/y", "two", compute) == {"value": 2}


def test_a_value_not_worth_keeping_is_computed_again(checkout):
    values = iter([1, 2])
    assert cached("x", "key", lambda: next(values), keep=lambda value: value > 1) == 1
    assert cached("x", "key", lambda: next(values), keep=lambda value: value > 1) == 2
    assert cached("x", "key", lambda: 3) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": "other", "value": 1}'])
def test_a_damaged_or_foreign_entry_is_replaced(checkout, content):
    (checkout / ".cache").mkdir()
    path = checkout / ".cache" / "x.json"
    path.write_text(content)
    assert cached("x", "key", lambda: 7) == 7
    assert json.loads(path.read_text()) == {"key": "key", "value": 7}
    assert list(path.parent.iterdir()) == [path]


def test_a_value_that_json_cannot_hold_leaves_nothing_behind(checkout):
    with pytest.raises(ValueError, match="JSON"):
        cached("x", "key", lambda: float("nan"))
    assert not (checkout / ".cache" / "x.json").exists()
