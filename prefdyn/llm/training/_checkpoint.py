"""The state of a run on disk, whole or not at all, and its log."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from prefdyn._errors import InputError


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain data, and put them in place in one move."""
    temporary = path.with_name(f".{path.name}.writing")
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


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


def save_folder(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a folder, which takes the place of `path` when it is complete."""
    temporary = path.with_name(f".{path.name}.writing")
    shutil.rmtree(temporary, ignore_errors=True)
    write(temporary)
    shutil.rmtree(path, ignore_errors=True)
    temporary.replace(path)


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
