"""Results kept under a key made of what they were computed from; no file time is compared."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
"""The checkout."""

CACHE = ROOT / ".cache"

APART = ("prefdyn/cli", "prefdyn/llm")
"""What no claim and no figure rests on; an import contract holds that."""


def source_key(folders: Iterable[str], *extra: Any) -> str:
    """Digest of everything a result depends on: sources, pinned environment, and `extra`.

    Parameters
    ----------
    folders
        Folders of the checkout; every file in them counts, but for compiled ones and `APART`.
    extra
        What else the result depends on, such as a seed; values with a faithful ``repr``.
    """
    digest = hashlib.sha256(repr(extra).encode())
    files = [ROOT / "constraints.txt"]
    for folder in folders:
        files += sorted(
            path
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and not _apart(path)
        )
    for path in files:
        digest.update(f"\0{path.relative_to(ROOT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _apart(path: Path) -> bool:
    return any(path.is_relative_to(ROOT / folder) for folder in APART)


def cached(
    name: str,
    key: str,
    compute: Callable[[], Any],
    keep: Callable[[Any], bool] = lambda value: True,
) -> Any:
    """The value stored under this name if its key is this one, else computed and stored.

    Parameters
    ----------
    name
        File below ``.cache``, e.g. ``"claims/IPO-1"``; the value is stored as JSON.
    key
        From `source_key`.
    compute
        Gives the value, anything JSON can hold.
    keep
        Whether a computed value is worth storing.
    """
    path = CACHE / f"{name}.json"
    try:
        entry = json.loads(path.read_text())
        if entry["key"] == key:
            return entry["value"]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # nothing there, or not ours: compute it
    value = compute()
    if keep(value):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and renamed, so that a killed process leaves no half file.
        part = path.with_name(f"{path.name}.{os.getpid()}")
        part.write_text(json.dumps({"key": key, "value": value}, allow_nan=False))
        part.replace(path)
    return value
