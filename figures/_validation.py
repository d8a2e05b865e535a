"""What ``prefdyn validate`` left in a folder, for the report."""

import json
from pathlib import Path
from typing import Any

from figures import FOLDER
from figures._report import data_uri

VALIDATION = FOLDER.parent / "report" / "validation"
"""Where `make reproduce` lets ``prefdyn validate`` write."""


def read(folder: Path = VALIDATION) -> dict[str, Any] | None:
    """The model and its experiments, each with its records and its figure; None if none was run.

    The verdicts are those of ``validation.json``; what else there is to say about an experiment
    comes from its own file, which one that broke does not have.
    """
    try:
        model = json.loads((folder / "model.json").read_text("utf-8"))
        records = json.loads((folder / "validation.json").read_text("utf-8"))
    except FileNotFoundError:
        return None
    return model | {
        "records": records,
        "experiments": [
            _experiment(folder, name, [r for r in records if r["experiment"] == name])
            for name in model["experiments"]
        ],
    }


def _experiment(folder: Path, name: str, records: list[dict[str, Any]]) -> dict[str, Any]:
    broken = any(record["quantity"] == "the run itself" for record in records)
    if broken:
        return {"name": name, "title": name.replace("_", " "), "records": records, "image": None}
    stored = json.loads((folder / f"{name}.json").read_text("utf-8"))
    kept = {part: stored[part] for part in ("title", "caption", "claims", "seconds")}
    image = data_uri(folder / f"{name}.svg")
    return {"name": name, "records": records, "image": image, **kept}
