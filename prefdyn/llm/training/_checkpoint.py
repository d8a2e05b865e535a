"""The state of a run on disk, whole or not at all, and its log."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from prefdyn._errors import InputError
from prefdyn._files import write_atomically


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain data, whole or not at all, and on the disk itself."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())

    write_atomically(path, write)


def load_state(path: Path) -> dict[str, Any] | None:
    """What `save_state` wrote, on the CPU; None if there is nothing.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive fails in many ways
        raise InputError(
            f"{path} cannot be read ({type(error).__name__}): remove it to start afresh."
        ) from None


class Log:
    """One JSON object per line; a line is on disk when `write` returns.

    Parameters
    ----------
    path
        The file.
    size
        Bytes of it that are kept; what an interrupted run wrote after its checkpoint goes.
    """

    def __init__(self, path: Path, size: int = 0):
        self._file = path.open("ab")
        self._file.truncate(min(size, self._file.tell()))  # no longer: that would be zeros
        self._file.seek(0, os.SEEK_END)

    def write(self, line: Mapping[str, Any]) -> None:
        """Append a line."""
        self._file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
        self._file.flush()

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
