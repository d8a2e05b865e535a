"""From a figure's name to its files: compute or recall, save, draw from what was saved."""

import importlib
import json
import time
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from analysis._cache import source_key
from figures import FOLDER, OUTPUT
from figures._files import read_record, write_atomically, write_record

FORMATS = {"svg": {"Date": None}, "png": {}}
"""Kinds of image, with metadata that does not change from one drawing to the next."""
SHORT = 12
"""Arrays up to this size are also written out in the record, where a person can read them."""


def key_of(name: str, seed: int, full: bool) -> str:
    """Key of a figure: the package, the figure's own file, the shared ones, constraints, seed.

    A figure that shows what a check computes imports it from `analysis`, which then counts too.
    """
    own = [FOLDER / f"plot_{name}.py", *sorted(FOLDER.glob("_*.py"))]
    texts = [(file.name, file.read_text("utf-8")) for file in own]
    folders = ["prefdyn", "analysis"] if "\nfrom analysis" in texts[0][1] else ["prefdyn"]
    return source_key(folders, seed, full, texts)


def stored(name: str, key: str, folder: Path = OUTPUT) -> dict[str, Any] | None:
    """Record of a figure that is already drawn under this key, else None."""
    record = read_record(folder / f"{name}.json", key)
    files = [folder / f"{name}.{suffix}" for suffix in ("npz", *FORMATS)]
    return record if all(file.exists() for file in files) else None


def make(name: str, seed: int, full: bool, key: str, folder: Path = OUTPUT) -> dict[str, Any]:
    """Compute a figure's data, save it, draw from the saved data, and store its record.

    The record goes last and its predecessor first, so that a killed run never leaves a record
    beside files it does not describe.  The key is taken before anything is imported: sources edited
    during a run then give a record that is not recalled, never one that should not be.
    """
    import numpy as np

    from prefdyn.plots.house import style

    module = importlib.import_module(f"figures.plot_{name}")
    began = time.perf_counter()
    data = module.compute(seed, full)
    computed = time.perf_counter() - began

    (folder / f"{name}.json").unlink(missing_ok=True)
    write_atomically(folder / f"{name}.npz", lambda file: np.savez_compressed(file, **data))
    with np.load(folder / f"{name}.npz") as archive:  # never pickled: plain arrays only
        data = {label: archive[label] for label in archive.files}
    with style():
        drawing = module.draw(data)
        for suffix, metadata in FORMATS.items():
            save = partial(drawing.savefig, metadata=metadata)
            write_atomically(folder / f"{name}.{suffix}", save)
    record = {
        **describe(module, data),
        "name": name,
        "seed": seed,
        "full": full,
        "seconds": round(time.perf_counter() - began, 2),
        "seconds_computing": round(computed, 2),
    }
    return write_record(folder / f"{name}.json", key, record)


def describe(module: ModuleType, data: dict[str, Any]) -> dict[str, Any]:
    """What a figure says about itself, and the parameters and shapes of its data."""
    findings = getattr(module, "findings", lambda data: [])(data)
    return {
        "title": module.TITLE,
        "caption": " ".join(module.CAPTION.split()),
        "findings": list(findings),
        "claims": list(module.CLAIMS),
        "parameters": {n: _plain(x) for n, x in data.items() if x.size <= SHORT and x.ndim <= 1},
        "arrays": {n: list(x.shape) for n, x in data.items()},
    }


def _plain(array: Any) -> Any:
    """An array as JSON writes it; what JSON has no word for (NaN, inf) as text."""
    value = array.tolist()
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return str(value)
    return value
