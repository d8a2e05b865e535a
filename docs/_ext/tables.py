"""Tables made from the package: objectives, rules, and what the validation measured."""

import dataclasses
import json
from typing import Any

import yaml

from _ext.files import DOCS, ROOT, cell, escaped, first_paragraph, write
from prefdyn import objectives, rules

VALIDATION = DOCS / "validation"
"""Results of ``prefdyn validate``, a folder for each model."""


def write_pages() -> None:
    """All of them."""
    write("objective-ids.md", objectives_table())
    write("rule-ids.md", rules_table())
    write("validation.md", validation_page())
    write("citation.bib", bibtex())


def objectives_table() -> str:
    """Every objective and wrapper: id, class, first sentence of its docstring, parameters."""
    found: dict[str, Any] = dict(objectives.classes())
    parts = ["| id | class | what it is | defaults |", "|---|---|---|---|"]
    for id, cls in found.items():
        summary = cell(first_paragraph(cls))
        defaults = ", ".join(
            f"`{field.name}={field.default!r}`"
            for field in dataclasses.fields(cls)
            if field.default is not dataclasses.MISSING
        )
        parts.append(f"| `{id}` | `{cls.__name__}` | {summary} | {defaults} |")
    return "\n".join(parts) + "\n"


def rules_table() -> str:
    """Every rule: id, class, first sentence of its docstring."""
    parts = ["| id | class | what a round is |", "|---|---|---|"]
    for id in rules.names():
        cls = rules.get(id)
        parts.append(f"| `{id}` | `{cls.__name__}` | {cell(first_paragraph(cls))} |")
    return "\n".join(parts) + "\n"


def validation_page() -> str:
    """What `prefdyn validate` found on each of the models whose results are kept."""
    parts = ["# What the validation found", ""]
    for folder in sorted(VALIDATION.iterdir()):
        model = json.loads((folder / "model.json").read_text("utf-8"))
        records = json.loads((folder / "validation.json").read_text("utf-8"))
        versions = ", ".join(f"{name} {number}" for name, number in model["versions"].items())
        parts += [
            f"## {escaped(model['model'])}",
            "",
            f"{model['parameters']:,} parameters, {model['architecture']}; size {model['size']}, "
            f"seed {model['seed']}, {model['device']}, {model['dtype']}; {versions}.",
            "",
            "| experiment | quantity | predicted | measured | tolerance | verdict |",
            "|---|---|---|---|---|---|",
        ]
        for record in records:
            numbers = (shown(record["predicted"]), shown(record["measured"]))
            words = (record["experiment"].replace("_", " "), record["quantity"], *numbers)
            ends = (record["tolerance"], record["verdict"].replace("_", " "))
            cells = [escaped(text) for text in (*words, *ends)]
            if record["note"]:
                cells[1] += f"<br><small>{escaped(record['note'])}</small>"
            parts.append(f"| {' | '.join(cells)} |")
        parts.append("")
    return "\n".join(parts) + "\n"


def shown(value: float | str | None) -> str:
    """A number with four digits, words as they are."""
    return "" if value is None else value if isinstance(value, str) else f"{value:.4g}"


def bibtex() -> str:
    """How to cite the package, from CITATION.cff."""
    about = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    authors = " and ".join(f"{{{author['name']}}}" for author in about["authors"])
    return (
        "@software{prefdyn,\n"
        f"  author = {{{authors}}},\n"
        f"  title = {{{about['title']}}},\n"
        f"  version = {{{about['version']}}},\n"
        "}\n"
    )
