"""Damaged files are read or refused in a sentence: never a traceback, never a hang."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest

from prefdyn import InputError
from tests.fuzz.readers import READERS, Reader
from tests.fuzz.run import PATIENCE, feed, feed_by_name

EACH = 46_000
"""Damaged files for each reader, a million in all, in the slow tier."""
every_reader = pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)


@every_reader
def test_good_files_are_read(reader, tmp_path):
    path = tmp_path / f"file{reader.suffix}"
    for data in reader.seeds:
        path.write_bytes(data)
        reader.read(path)


@every_reader
def test_a_few_damaged_files(reader):
    tally = feed(reader, 25, seed=1)
    assert not tally.failures
    assert tally.refused


@pytest.mark.slow
def test_a_million_damaged_files():
    names = [reader.name for reader in READERS]
    work = partial(feed_by_name, inputs=EACH, seed=2)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        tallies = dict(zip(names, pool.map(work, names), strict=True))
    assert {name: tally.failures for name, tally in tallies.items() if tally.failures} == {}
    assert sum(tally.inputs for tally in tallies.values()) >= 1_000_000


def breaks(error):
    def read(path):
        raise error

    return Reader("broken", ".txt", (b"good",), read)


def test_a_reader_that_breaks_is_noticed():
    (_, what), *_ = feed(breaks(KeyError("inside")), 3, seed=0).failures
    assert "KeyError" in what
    assert "test_readers.py" in what


@pytest.mark.parametrize(("sentence", "flaw"), [("no end", "no full stop"), ("x" * 5000 + ".", "")])
def test_a_refusal_is_a_short_sentence(sentence, flaw):
    tally = feed(breaks(InputError(sentence)), 2, seed=0)
    assert [what.partition(":")[0] for _, what in tally.failures] == [flaw] * (2 if flaw else 0)


def test_a_reader_that_hangs_is_noticed(monkeypatch):
    monkeypatch.setattr("tests.fuzz.run.PATIENCE", 0.05)

    def read(path):
        while True:
            pass

    (_, what), *_ = feed(Reader("slow", ".txt", (b"good",), read), 1, seed=0).failures
    assert "Hangs" in what
    assert PATIENCE >= 1
