"""Results kept under a key made of content: sources, constraints, seeds; never file times."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""


def source_key(paths: Iterable[str | Path], *extra: Any) -> str:
    """Key of everything a result depends on.

    Parameters
    ----------
    paths
        Files and folders relative to the checkout (or absolute); of a folder every file counts,
        by its name and content, except caches.
    *extra
        Further dependencies, by their ``repr``: seeds, sizes, options.

    Returns
    -------
    str
        32 hexadecimal digits.

    Raises
    ------
    FileNotFoundError
        If a path does not exist.
    """
    digest = hashlib.sha256(repr(extra).encode())
    for path in paths:
        top = ROOT / path
        for file in _files(top):
            content = file.read_bytes()
            digest.update(f"{path} {file.relative_to(top)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:32]


def read_record(path: Path, key: str) -> dict[str, Any] | None:
    """The JSON record at a path if it was stored under this key, else None."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return record if isinstance(record, dict) and record.get("key") == key else None


def write_record(path: Path, key: str, record: dict[str, Any]) -> dict[str, Any]:
    """Store a JSON record under a key, whole or not at all."""
    record = {**record, "key": key}
    write_atomically(path, lambda file: file.write_text(json.dumps(record, indent=1), "utf-8"))
    return record


def cached(path: Path, key: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The record stored at a path under this key, computed and stored if there is none."""
    found = read_record(path, key)
    return found if found is not None else write_record(path, key, compute())


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place in one move."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)  # mkstemp makes private files
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _files(top: Path) -> list[Path]:
    if not top.is_dir():
        return [top]
    found = (f for f in top.rglob("*") if f.is_file() and "__pycache__" not in f.parts)
    return sorted(found, key=lambda file: file.relative_to(top).as_posix())
