"""Logs in JSON: one object per line, objects in a row, an array, or ``trainer_state.json``."""

import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from prefdyn._errors import InputError
from prefdyn.runlog._source import Row, Source, lines

_DECODER = json.JSONDecoder()
_BLANKS = re.compile(r"\s*")


def read_json(path: Path) -> Source:
    """Rows of a file that begins with a bracket.

    A file whose first line is a whole value is read line by line; any other is read at once.  What
    stands in an unfinished last line is left out: the run was killed while it wrote.

    Raises
    ------
    InputError
        While rows are read: for what is not JSON, or JSON that holds no rows.
    """
    source = Source(path, "JSON lines", ())
    source.rows = _rows(source)
    return source


def _rows(source: Source) -> Iterator[tuple[int, Row]]:
    text = lines(source.path)
    first = next(text, None)
    if first is None:
        return
    number, line = first
    try:
        _DECODER.raw_decode(line.strip())
    except json.JSONDecodeError:
        source.format = "JSON objects"
        whole = "\n" * (number - 1) + line + "".join(_with_gaps(text, number))
        yield from _unwrapped(source, _values(source, iter([(1, whole)])))
    except (RecursionError, ValueError):
        yield from _unwrapped(source, _values(source, iter([first])))  # says what is wrong
    else:
        yield from _unwrapped(source, _values(source, chain([first], text)))


def _with_gaps(text: Iterator[tuple[int, str]], number: int) -> Iterator[str]:
    """The lines, and blank ones where such were left out, so that numbers stay right."""
    for n, line in text:
        yield "\n" * (n - number - 1) + line
        number = n


def _values(source: Source, pieces: Iterator[tuple[int, str]]) -> Iterator[tuple[int, Any]]:
    """Every JSON value of the pieces with its line; several may stand in one piece."""
    name, found = source.path.name, False
    for line, text in pieces:
        before, place = 0, _after_blanks(text, 0)
        while place < len(text):
            line += text.count("\n", before, place)
            before = place
            try:
                value, place = _DECODER.raw_decode(text, place)
            except json.JSONDecodeError as error:
                wrong = line + text.count("\n", before, error.pos)
                on_last_line = "\n" not in text[error.pos :].rstrip()
                if found and on_last_line and next(pieces, None) is None:
                    source.notes.append(
                        f"Line {wrong} breaks off, as when a run is killed; it was left out."
                    )
                    return
                raise InputError(
                    f"{name} line {wrong} is not JSON ({error.msg} at column {error.colno}): "
                    "repair or delete it."
                ) from None
            except RecursionError:
                raise InputError(
                    f"{name} line {line} opens more brackets than can be nested: this is no log, "
                    "give the trainer's own."
                ) from None
            except ValueError:  # whole numbers of more than 4300 digits
                raise InputError(
                    f"{name} line {line} holds a whole number that is too long: shorten it."
                ) from None
            found = True
            yield line, value
            place = _after_blanks(text, place)


def _after_blanks(text: str, place: int) -> int:
    found = _BLANKS.match(text, place)
    assert found is not None
    return found.end()


def _unwrapped(source: Source, values: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Row]]:
    """The rows that the values are, or hold."""
    for line, value in values:
        if isinstance(value, list):
            source.format, source.unit = "JSON array", "row"
            yield from enumerate(_objects(source, value, "the array"), 1)
        elif not isinstance(value, dict):
            raise InputError(
                f"{source.path.name} line {line} holds {_kind(value)} where an object with the "
                "numbers of one step should stand."
            )
        elif "log_history" in value:
            source.format, source.unit = "trainer_state.json", "entry"
            yield from enumerate(_objects(source, value["log_history"], "log_history"), 1)
        elif isinstance(value.get("metrics"), dict):
            source.format = "trackio JSON"
            yield from _trackio(source, line, value)
        elif isinstance(value.get("values"), list) and isinstance(value.get("metric"), str):
            source.format = "trackio JSON"
            about = {name: value[name] for name in ("run",) if name in value}
            yield from _points(line, {value["metric"]: value["values"]}, about)
        else:
            yield line, value


def _objects(source: Source, rows: Any, where: str) -> Iterator[Row]:
    if not isinstance(rows, list):
        raise InputError(f"{source.path.name}: {where} is {_kind(rows)}, not a list of rows.")
    for n, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise InputError(
                f"{source.path.name}: entry {n} of {where} is {_kind(row)}, not an object with the "
                "numbers of one step."
            )
        yield row


def _trackio(source: Source, line: int, value: dict[str, Any]) -> Iterator[tuple[int, Row]]:
    """A fragment (one step) or a snapshot (lists of steps and values) of trackio."""
    metrics = value["metrics"]
    if isinstance(value.get("config"), dict):
        source.settings |= value["config"]
    about = {name: value[name] for name in ("run", "step") if name in value}
    points = {name: many for name, many in metrics.items() if isinstance(many, list)}
    if "step" in value or not points:
        yield line, {**metrics, **about}
    else:
        yield from _points(line, points, about)


def _points(line: int, points: dict[str, list], about: dict) -> Iterator[tuple[int, Row]]:
    for name, many in points.items():
        for point in many:
            if isinstance(point, dict) and "value" in point:
                yield line, {name: point["value"], "step": point.get("step"), **about}


def _kind(value: Any) -> str:
    words = {bool: "true or false", str: "text", list: "a list", dict: "an object"}
    return words.get(type(value), "nothing" if value is None else "a number")
