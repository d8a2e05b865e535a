"""Logs that are cut, resumed, damaged or no logs at all."""

import gzip
import json

import numpy as np
import pytest

from prefdyn import InputError, read_log

GOOD = '{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.4}\n'


@pytest.fixture
def read(tmp_path):
    def write_and_read(text: str | bytes, name: str = "log.txt"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_log(path)

    return write_and_read


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"log.txt is empty"),
        (" \n\n", r"log.txt is empty"),
        (bytes(range(256)), r"log.txt line 1 is not UTF-8 text"),
        (GOOD.encode() + b"\xff\n" + GOOD.encode(), r"line 3 is not UTF-8 text"),
        (GOOD.encode() + b"\0" * 9, r"line 3 is not UTF-8 text"),
        (GOOD.encode("utf-16"), r"line 1 is not UTF-8 text"),
        (GOOD + "{oops\n" + GOOD, r"line 3 is not JSON .* column 2\)"),
        ('{\n "step": 1,\n "loss": 0.5\n}\n{oops\n' + GOOD, r"line 5 is not JSON"),
        ('{"step": 1, "lo', r"line 1 is not JSON"),
        ("[" * 100_000, r"line 1 opens more brackets than can be nested"),
        ('{"a":' * 100_000, r"line 1 opens more brackets than can be nested"),
        (GOOD + "[" * 100_000, r"line 3 opens more brackets than can be nested"),
        ('{"loss": ' + "1" * 5000 + "}", r"line 1 holds a whole number that is too long"),
        ("[1, 2]", r"entry 1 of the array is a number"),
        (GOOD + "3\n", r"line 3 holds a number where an object"),
        ('{"log_history": {"a": 1}}', r"log_history is an object, not a list"),
        ('{"log_history": [{"loss": 1}, null]}', r"entry 2 of log_history is nothing"),
        ('{"a": 1, "b": "x"}', r"no column that is known \(it has 'a', 'b'\)"),
        ('{"step": 1, "loss": "0,5"}', r"no number in loss: write numbers with a decimal point"),
        ('{"step": 1, "loss": NaN}', r"no finite number in a column that is known \(loss\)"),
        ('{"step": "x", "loss": 1}\n{"step": 1, "lr": NaN}', r"no row with both a step and"),
        ("<html>\n<body>Not found</body>\n", r"no column that is known \(it has '<html>'\)"),
        ("1,2\n3,4\n", r"line 1 is numbers"),
        ("step,loss\n1,2\n3\n4,5\n", r"line 3 has fewer cells than the 2 columns"),
        ("step,loss\n1,2,3\n", r"line 2 has 3 cells for 2 columns"),
        ('step,loss\n1,"' + "2" * 200_000 + '"\n', r"line 2 is not CSV"),
        # The time stays out of it: tests are known by their parameters.
        (gzip.compress(GOOD.encode() * 99, mtime=0)[:-12], r"log.txt cannot be unpacked"),
        (b"SQLite format 3\0" + b"x" * 200, r"cannot be read as a trackio database"),
        (b"PAR1" + b"x" * 200, r"cannot be read as Parquet"),
        ("round,prompt,response,policy,log_prob\n0,0,x,1,0\n", r"response is 'x', not a whole"),
    ],
)
def test_what_is_no_log_is_one_sentence(read, text, words):
    with pytest.raises(InputError, match=words) as refused:
        read(text)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_paths_that_hold_no_log(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        read_log(tmp_path / "absent.json")
    with pytest.raises(InputError, match="holds no log that is known"):
        read_log(tmp_path)
    with pytest.raises(InputError, match="is not a file"):
        read_log("/dev/null")
    with pytest.raises(InputError, match="beta is 0"):
        read_log(tmp_path, beta=0)


@pytest.mark.parametrize(
    "text",
    [
        GOOD + '{"step": 3, "lo',
        GOOD + '{"step": 3, "loss": 0.',
        GOOD + '{"step": 3, "loss": Na',
        GOOD.replace("{", "{\n").replace(",", ",\n") + '{\n"step": 3,\n"loss": 0.',
        "step,loss\n1,0.5\n2,0.4\n3",
    ],
)
def test_a_last_line_that_breaks_off_is_left_out(read, text):
    log = read(text)
    assert log.series["train/loss"].values.tolist() == [0.5, 0.4]
    (note,) = log.notes
    assert (
        note
        == f"Line {len(text.splitlines())} breaks off, as when a run is killed; it was left out."
    )


def test_what_is_not_finite_is_left_out_and_counted(read):
    text = (
        '{"step": 0, "loss": NaN}\n{"step": 1, "loss": 0.5}\n{"step": 2, "loss": -Infinity}\n'
        '{"step": 3, "loss": "NaN"}\n{"step": 4, "loss": 1' + "0" * 400 + "}\n"
        '{"step": 5, "loss": 0.4, "done": true, "who": null, "many": [1, 2]}\n'
    )
    log = read(text)
    assert log.series["train/loss"].steps.tolist() == [1, 5]
    assert not log.lost  # it came back
    assert log.notes == ("loss is not a finite number in 4 rows, first in line 1; left out.",)
    assert log.unknown == ()


def test_what_never_is_finite_again_is_known_with_its_step(read):
    rows = [
        '{"step": ' + f'{step}, "loss": {loss}, "eval_logps/chosen": -1' + "}"
        for step, loss in enumerate(("NaN", "0.5", "1e200", "Infinity"))
    ]
    assert read("\n".join(rows)).lost == {"loss": 2}


def test_null_of_a_probe_is_a_number_that_was_not_finite(read):
    log = read('{"step": 0, "probe/entropy": 1.0}\n{"step": 1, "probe/entropy": null}\n')
    assert log.notes == (
        "probe/entropy is not a finite number in 1 row, first in line 2; left out.",
    )


@pytest.mark.parametrize(
    ("steps", "kept"),
    [
        ([0, 10, 20, 30, 15, 25, 35], [0, 1, 4, 5, 6]),  # resumed between two lines
        ([0, 10, 20, 10, 20, 30], [0, 3, 4, 5]),  # resumed at a line
        ([0, 10, 10, 20], [0, 2, 3]),  # written twice
        ([0, 10, 0, 10, 20], [2, 3, 4]),  # started afresh
    ],
)
def test_of_steps_that_were_taken_again_the_later_count(read, steps, kept):
    log = read("\n".join(json.dumps({"step": s, "loss": k}) for k, s in enumerate(steps)))
    assert log.series["train/loss"].values.tolist() == kept
    assert log.series["train/loss"].steps.tolist() == [steps[k] for k in kept]
    (note,) = log.notes
    assert note.startswith(f"{len(steps) - len(kept)} value")


def test_a_table_sorted_downwards_is_turned(read):
    log = read("step,loss\n30,3\n20,2\n10,1\n")
    assert log.series["train/loss"].values.tolist() == [1, 2, 3]
    assert log.notes == ()


def test_rows_without_steps_are_counted_or_left_out(read):
    log = read('{"loss": 3}\n{"note": "x"}\n{"loss": 2}\n')
    assert log.series["train/loss"].steps.tolist() == [0, 1]
    assert log.notes == ("The log does not say at which steps it was written: rows are counted.",)
    log = read(
        '{"step": 3, "loss": 3}\n{"loss": 9}\n{"step": 4.5, "loss": 9}\n{"step": 5, "loss": 1}'
    )
    assert log.series["train/loss"].values.tolist() == [3, 1]
    assert log.notes[0].startswith("2 rows without a step")


def test_lines_are_read_one_at_a_time(tmp_path):
    import tracemalloc

    path = tmp_path / "log.jsonl"
    row = json.dumps({"step": 0, "loss": 0.5, "text": "x" * 10_000})
    with path.open("w") as file:
        for step in range(400):
            file.write(row.replace('"step": 0', f'"step": {step}') + "\n")
    tracemalloc.start()
    log = read_log(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(log.series["train/loss"].steps) == 400
    assert peak < path.stat().st_size / 4
    np.testing.assert_array_equal(np.diff(log.series["train/loss"].steps), 1)
