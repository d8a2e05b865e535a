"""The command that ranks preference pairs: files, resumption, bad input, what it keeps."""

import inspect
import json
import os
import re
import shlex
import signal
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pyarrow
import pytest
import torch
from pyarrow import parquet

from prefdyn import llm, objectives
from prefdyn.cli import main
from prefdyn.cli._predict import Predict
from prefdyn.displacement.diagnosis import Entanglement
from prefdyn.llm.ranking import _data_set, _ranked
from prefdyn.llm.ranking._pieces import Pieces
from tests.llm.tiny import PAIRS

BAD = [
    ('{"prompt": "a ", "chosen": "yes"', "not JSON"),
    ('{"prompt": "a ", "chosen": "yes", "rejected": "yes"}', "chosen equals rejected"),
    ('{"prompt": "a ", "chosen": "", "rejected": "yes"}', "empty completion"),
    (json.dumps({"prompt": "a" * 70, "chosen": "b", "rejected": "c"}), "prompt too long"),
    ('{"prompt_ids": [3], "chosen_ids": [4], "rejected_ids": [99]}', "does not fit the model"),
]


def line(pair):
    """A record with spaces that nobody else would write: what is kept must be the line itself."""
    prompt, chosen, rejected = map(json.dumps, pair)
    return f'{{"prompt":{prompt} , "chosen": {chosen},  "rejected": {rejected}, "id": 7}}'


@pytest.fixture(scope="module")
def folder(llama, tokenizer, tmp_path_factory):
    """The folder of a random model."""
    path = tmp_path_factory.mktemp("llama")
    llama.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(line, PAIRS)) + "\n")
    return path


@pytest.fixture
def few(tmp_path):
    path = tmp_path / "few.jsonl"
    path.write_text("\n".join(map(line, PAIRS[:3])) + "\n")
    return path


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def command(folder, out):
    """The words of the command for a file."""

    def words(file, *more):
        given = {"--data": file, "--model": folder, "--out": out, "--batch": 2, "--gains": 0}
        return ["predict", *(str(word) for item in given.items() for word in item), *more]

    return words


@pytest.fixture
def predict(command, capsys):
    """Run the command with JSON, and give the object and what was said beside it."""

    def run(file, *more):
        code = main(command(file, "--json", *more))
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return json.loads(printed.out, parse_constant=pytest.fail), printed.err

    return run


@pytest.fixture
def refusal(command, capsys):
    """Run the command on what it must refuse, and give its sentence."""

    def run(file, *more):
        assert main(command(file, *more)) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        return printed.err

    return run


def rows(out):
    return [json.loads(row) for row in (out / "predictions.jsonl").read_text().splitlines()]


def test_rows_are_what_the_library_predicts(few, predict, out, folder):
    found, _ = predict(few, "--format", "jsonl", "--beta", "0.3", "--gains", "2")
    lm = llm.load(str(folder))
    objective = objectives.get("dpo", beta=0.3)
    expected = [p.row() for p in llm.rank_pairs(*lm, PAIRS[:3], objective, batch=2, gains=2)]
    made = rows(out)
    assert [{name: row[name] for name in expected[0]} for row in made] == expected
    assert found["pairs"] == 3
    assert found["chosen_falls"] == np.mean([row["kind"] == "both down" for row in expected])
    assert found["worst"][0] == min(made, key=lambda row: row["chosen_rate"])
    assert (out / "report.md").read_text().startswith("# Which pairs will hurt\n\n3 pairs of ")


@pytest.mark.parametrize("by", ["chosen_rate", "batch_chosen_rate", "ln_ches"])
def test_ranks(pairs, predict, out, by):
    predict(pairs, "--format", "jsonl", "--rank-by", by)
    made = sorted(rows(out), key=lambda row: row["rank"])
    assert [row["rank"] for row in made] == list(range(1, 11))
    assert [row["percentile"] for row in made] == list(np.arange(95.0, 0, -10))
    scores = np.array([row[by] for row in made])
    assert np.all(np.diff(scores if by.endswith("rate") else -scores) >= 0)  # worst first


def test_parquet_has_the_same_rows(few, predict, out):
    predict(few, "--format", "jsonl", "--gains", "2")
    found, _ = predict(few, "--gains", "2")
    assert found["files"]["predictions"] == str(out / "predictions.parquet")
    assert parquet.read_table(out / "predictions.parquet").to_pylist() == rows(out)


def test_what_is_kept_is_as_it_was(pairs, predict, out):
    found, _ = predict(pairs, "--format", "jsonl", "--keep", "0.7")
    kept = [row["line"] for row in rows(out) if row["rank"] > 3]
    lines = pairs.read_bytes().splitlines(keepends=True)
    assert (out / "kept.jsonl").read_bytes() == b"".join(lines[n - 1] for n in kept)
    assert found["kept"] == 7


def test_falling_pairs_are_dropped(pairs, predict, out):
    found, _ = predict(pairs, "--format", "jsonl", "--drop-falling", "--keep", "0.9")
    falling = [row["line"] for row in rows(out) if row["kind"] == "both down"]
    assert falling  # so that there is something to see
    texts = [json.loads(row)["prompt"] for row in (out / "kept.jsonl").read_text().splitlines()]
    assert texts == [pair[0] for n, pair in enumerate(PAIRS, 1) if n not in falling]
    assert found["kept"] == len(PAIRS) - len(falling)


def test_of_parquet_data_all_columns_are_kept(tmp_path, predict, out):
    names = ("prompt", "chosen", "rejected")
    table = [dict(zip(names, pair, strict=True)) | {"id": n} for n, pair in enumerate(PAIRS, 1)]
    path = tmp_path / "pairs.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(table), path)
    predict(path, "--format", "jsonl", "--keep", "0.5")
    kept = [row["line"] for row in rows(out) if row["rank"] > 5]
    found = parquet.read_table(out / "kept.parquet").to_pylist()
    assert found == [table[n - 1] for n in kept]


@pytest.mark.parametrize("content", [content for content, _ in BAD], ids=[why for _, why in BAD])
def test_the_first_bad_line_stops_and_is_named(content, tmp_path, refusal):
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join([*map(line, PAIRS[:3]), content]) + "\n")
    sentence = refusal(path)
    assert sentence.startswith("prefdyn: Line 4: ")
    assert sentence.count("\n") == 1


def test_bad_lines_are_left_out_and_counted(tmp_path, pairs, predict, out):
    good, _ = predict(pairs, "--format", "jsonl")
    values = {row["line"]: row["chosen_rate"] for row in rows(out)}
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join([*(content for content, _ in BAD), *map(line, PAIRS)]) + "\n")
    found, _ = predict(path, "--format", "jsonl", "--skip-bad", "--keep", "1")
    assert found["skipped"] == {reason: 1 for _, reason in BAD}
    assert found["pairs"] == good["pairs"]
    shifted = {row["line"] - len(BAD): row["chosen_rate"] for row in rows(out)}
    assert shifted == pytest.approx(values, rel=1e-5)
    assert (out / "kept.jsonl").read_bytes() == pairs.read_bytes()


def test_pairs_once_left_out_are_not_excused_later(tmp_path, predict, refusal):
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join([BAD[4][0], *map(line, PAIRS)]) + "\n")
    predict(path, "--skip-bad")
    assert "Line 1: " in refusal(path)


def test_nothing_to_rank(tmp_path, refusal):
    path = tmp_path / "empty.jsonl"
    path.write_text("\n")
    assert refusal(path) == f"prefdyn: {path} has no pair that can be used.\n"
    path.write_text(BAD[0][0])
    assert "(left out: 1 not JSON)" in refusal(path, "--skip-bad")


def child(work):
    """Run `work` in a process of its own; the signal it died from, 0 for none."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.WTERMSIG(os.waitpid(pid, 0)[1])


def test_killed_and_resumed(pairs, command, predict, out, monkeypatch):
    def killed():
        save = Pieces.save

        def die_in_the_second(self, number, header, rows):
            if number == 1:
                (self.folder / ".writing-half.jsonl").write_text('{"ski')
                os.kill(os.getpid(), signal.SIGKILL)
            save(self, number, header, rows)

        monkeypatch.setattr(Pieces, "save", die_in_the_second)
        main(command(pairs, "--batch", "1"))

    assert child(killed) == signal.SIGKILL
    finished = out / "pieces" / "000000.jsonl"
    before = finished.stat().st_mtime_ns
    measured = []
    ranked = _data_set.rank_pairs
    monkeypatch.setattr(
        _data_set, "rank_pairs", lambda *a, **k: measured.append(1) or ranked(*a, **k)
    )
    resumed, _ = predict(pairs, "--batch", "1", "--format", "jsonl")
    assert finished.stat().st_mtime_ns == before
    assert len(measured) == 2  # of three pieces of four pairs
    made = rows(out)
    predict(pairs, "--batch", "1", "--format", "jsonl", "--keep", "0.5")
    assert len(measured) == 2  # what is kept is another question about the same pieces
    (out / "pieces" / "job.json").unlink()
    whole, _ = predict(pairs, "--batch", "1", "--format", "jsonl")
    assert len(measured) == 5
    assert rows(out) == made
    assert whole == resumed


def test_another_question_starts_anew_and_says_so(pairs, predict):
    predict(pairs)
    _, said = predict(pairs, "--beta", "0.3")
    assert "were made with another objective: starting anew." in said
    pairs.write_text("\n".join(map(line, PAIRS[:5])))
    found, said = predict(pairs, "--beta", "0.3")
    assert "another data: starting anew." in said
    assert found["pairs"] == 5


def test_the_data_are_a_stream(tmp_path, monkeypatch, llama, tokenizer):
    """At most one piece of the data is in memory, however long the file."""
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(line, PAIRS * 2)))
    alive, most = [0], [0]

    class Counted(llm.PreferencePair):
        def __new__(cls, *_, **__):
            alive[0] += 1
            most[0] = max(alive)
            return super().__new__(cls)

        def __del__(self):
            alive[0] -= 1

    monkeypatch.setattr(llm.data, "PreferencePair", Counted)
    found = _data_set.rank_file(llama, tokenizer, str(path), tmp_path / "out", batch=1, gains=0)
    assert found["pairs"] == 20
    assert 0 < most[0] < 12


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_of_each_pair_only_a_few_numbers_stay(form, tmp_path, monkeypatch, llama, tokenizer):
    """At most 300 bytes a pair: a record and what is predicted of it are thousands."""
    (one,) = llm.rank_pairs(llama, tokenizer, PAIRS[:1], gains=0)

    def alike(model, tokenizer, usable, *_, **__):
        return (replace(one, line=pair.line) for pair in usable)

    monkeypatch.setattr(_data_set, "rank_pairs", alike)
    monkeypatch.setattr(_ranked, "_ROW_GROUP", 16)

    def peak(pairs):
        data, out = tmp_path / "pairs.jsonl", tmp_path / f"out-{pairs}"
        data.write_text((line(PAIRS[0]) + "\n") * pairs)
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        _data_set.rank_file(llama, tokenizer, str(data), out, batch=4, keep=0.9, form=form)
        return tracemalloc.get_traced_memory()[1] - before

    tracemalloc.start()
    try:
        peak(16)  # loads what is loaded once
        few, many = peak(32), peak(132)
    finally:
        tracemalloc.stop()
    assert (many - few) / 100 < 300


def test_out_of_memory_says_which_size_to_lower(pairs, refusal, monkeypatch):
    def exhausted(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(_data_set, "rank_pairs", exhausted)
    assert "lower --batch" in refusal(pairs)


def test_a_missing_package_is_one_sentence(few, refusal, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert refusal(few) == (
        "prefdyn: Language models need transformers: install it with pip install 'prefdyn[llm]' "
        "transformers.\n"
    )


def test_changes_in_nats(pairs, predict):
    found, _ = predict(pairs, "--rate", "1e-3")
    worst = found["worst"][0]["chosen_rate"]
    assert found["step"]["worst"] == pytest.approx(1e-3 * worst)
    assert 0 <= found["step"]["beyond_linear"] <= 1


def test_the_answer_for_people(few, command, capsys):
    assert main(command(few, "--gains", "2", "--rate", "1e-3")) == 0
    printed = capsys.readouterr()
    assert printed.err == ""  # a bar is for terminals
    assert "Worst pairs, in nats per unit of learning rate" in printed.out
    assert "nats in the median" in printed.out


def test_every_example_in_the_help_works(few, monkeypatch, capsys):
    """With the model that ships."""
    monkeypatch.chdir(few.parent)
    few.rename("pairs.jsonl")
    examples = re.findall(r"^  prefdyn (.*)$", inspect.getdoc(Predict) or "", re.M)
    assert len(examples) == 2
    for example in examples:
        assert main(shlex.split(example)) == 0, capsys.readouterr().err


def test_every_key_is_documented(few, predict):
    documented = re.findall(r"``(\w+)", inspect.getdoc(sys.modules["prefdyn.cli"]) or "")
    found, _ = predict(few, "--rate", "1e-3", "--keep", "0.5", "--greedy", "2")
    known = {*documented, *llm.PairPrediction.__dataclass_fields__}
    known |= {*Entanglement.__dataclass_fields__, "cosine", "margin_rate"}
    nested = [found[name] for name in ("in_batches", "step")]
    lists = [found[name][0] for name in ("worst", "pushing") if found[name]]
    assert {key for part in (found, *nested, *lists) for key in part} <= known
    assert 0 <= found["greedy_rises"] <= 1
