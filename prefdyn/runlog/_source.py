"""A log before its columns are understood: rows, from whatever kind of file."""

import gzip
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from prefdyn._errors import InputError

Row = Mapping[str, Any]

LONGEST = 2**29
"""Bytes of a line; what is longer is no log, and would fill the memory."""


@dataclass
class Source:
    """Rows of a log, which are read as they are asked for.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    format : str
        What kind of file it is.
    rows : iterable of (int, mapping)
        Number and content of each row.
    unit : str
        What the number counts, such as ``"line"``.
    settings : dict
        What the file says of the run.
    notes : list of str
        Sentences; complete once all rows are read.
    run : str or None
        The run that the rows are of, where it was chosen already.
    rounds, round_names
        As of `RunLog`, where the file has them outside its rows.
    """

    path: Path
    format: str
    rows: Iterable[tuple[int, Row]]
    unit: str = "line"
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    run: str | None = None
    rounds: np.ndarray | None = None
    round_names: tuple[str, ...] = ()


def beginning(path: Path) -> bytes:
    """The first bytes that are not white space, unpacked if the file is compressed."""
    with _opened(path) as file:
        return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of every line that is not blank, one at a time.

    Raises
    ------
    InputError
        If the file cannot be read, is damaged, or is not UTF-8 text.
    """
    with _opened(path) as file:
        number = 0
        while data := file.readline(LONGEST):
            number += 1
            if len(data) == LONGEST:
                raise InputError(
                    f"{path.name} line {number} has more than {LONGEST >> 20} MiB: this is no log; "
                    "give the trainer's own."
                )
            if number == 1:
                data = data.removeprefix(b"\xef\xbb\xbf")
            try:
                text = data.decode("utf-8")
            except UnicodeDecodeError:
                text = "\0"
            if "\0" in text:
                raise InputError(
                    f"{path.name} line {number} is not UTF-8 text: give the log itself, and not "
                    "a binary file."
                )
            if text.strip():
                yield number, text


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """The bytes of a file, unpacked if they are compressed; failures name the file."""
    try:
        with path.open("rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            if packed:
                with gzip.open(plain, "rb") as file:
                    yield file
            else:
                yield plain
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path.name} cannot be unpacked ({error}): compress it anew.") from None
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read ({error.strerror}).") from None
