"""Files written whole or not at all, and records that know what they were made from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefdyn import _files as files


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place in one move."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomically(path, write)


def read_record(path: Path, key: str) -> dict[str, Any] | None:
    """The JSON record at a path if it was stored under this key, else None."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("key") == key else None


def write_record(path: Path, key: str, record: dict[str, Any]) -> dict[str, Any]:
    """Store a JSON record under a key and return it."""
    record = {**record, "key": key}
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path, lambda file: file.write_text(text, encoding="utf-8"))
    return record
