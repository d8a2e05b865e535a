"""Finished pieces of a long job, each in a file of its own."""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

from prefdyn._errors import InputError
from prefdyn._files import write_atomically

Row = dict[str, Any]


@dataclass(frozen=True)
class Pieces:
    """A folder of numbered pieces: a header and rows each, as JSON lines.

    A piece is written whole or not at all, so that a job that was killed goes on where it stopped.
    """

    folder: Path

    @classmethod
    def of(cls, folder: Path, job: dict[str, Any], tell: Callable[[str], Any]) -> "Pieces":
        """The pieces of a job; those of any other job are removed, and `tell` hears why.

        Parameters
        ----------
        folder
            Made if it is not there.
        job
            Everything that the pieces depend on, as plain data.
        tell
            Called with a sentence if there are pieces that cannot be used.
        """
        folder.mkdir(parents=True, exist_ok=True)
        manifest, pieces = folder / "job.json", cls(folder)
        job = json.loads(json.dumps(job))
        if manifest.exists() and (known := _read(manifest)) != job:
            changed = sorted(name for name in known | job if known.get(name) != job.get(name))
            tell(
                f"The finished pieces in {folder} were made with another {' and '.join(changed)}: "
                "starting anew."
            )
            manifest.unlink()  # first, so that a kill in between leaves nothing that looks valid
        if not manifest.exists():
            for path in folder.glob("*.jsonl"):
                path.unlink()
            text = json.dumps(job, indent=2)
            write_atomically(manifest, lambda path: path.write_text(text, encoding="utf-8"))
        return pieces

    def path(self, number: int) -> Path:
        """Where a piece is, or will be."""
        return self.folder / f"{number:06d}.jsonl"

    def has(self, number: int) -> bool:
        """Whether a piece is finished."""
        return self.path(number).exists()

    def save(self, number: int, header: Row, rows: Iterable[Row]) -> None:
        """Finish a piece."""
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in (header, *rows))
        write_atomically(self.path(number), lambda path: path.write_text(text, encoding="utf-8"))

    def header(self, number: int) -> Row:
        """What stands above the rows of a finished piece."""
        for line in self._lines(number):
            return line
        raise self._damaged(number, "empty")

    def headers(self) -> Iterator[Row]:
        """The headers of all pieces, in order."""
        return (self.header(number) for number in self._numbers())

    def rows(self) -> Iterator[Row]:
        """The rows of all pieces, in order; one is in memory at a time."""
        for number in self._numbers():
            yield from islice(self._lines(number), 1, None)

    def _lines(self, number: int) -> Iterator[Row]:
        try:
            with self.path(number).open(encoding="utf-8") as file:
                yield from map(json.loads, file)
        except ValueError as error:
            raise self._damaged(number, str(error)) from None

    def _damaged(self, number: int, why: str) -> InputError:
        return InputError(f"{self.path(number)} is damaged ({why}): delete it and rerun.")

    def _numbers(self) -> Iterator[int]:
        return takewhile(self.has, itertools.count())


def _read(manifest: Path) -> dict[str, Any]:
    """What the pieces of a folder depend on; of a damaged description nothing is believed."""
    try:
        known = json.loads(manifest.read_text(encoding="utf-8"))
    except ValueError:
        known = None
    return known if isinstance(known, dict) else {}
