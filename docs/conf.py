"""Sphinx configuration; the claims and the reference are written from the package itself."""

import contextlib
import dataclasses
import inspect
import json
import re
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot

import prefdyn
from prefdyn import claims, objectives, rules
from prefdyn.plots.house import style

project = "prefdyn"
author = "prefdyn developers"
project_copyright = "2026, prefdyn developers"
version = release = prefdyn.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
myst_heading_anchors = 2
myst_enable_extensions = ["attrs_block", "dollarmath"]
exclude_patterns = ["_build", "_generated/objective-ids.md", "_generated/rule-ids.md"]
default_role = "code"
html_theme = "furo"
html_title = "prefdyn"
numpydoc_show_class_members = False

MODULES = ("games", "objectives", "policies", "rules", "displacement", "llm", "plots", "testing")
GENERATED = Path(__file__).parent / "_generated"
VALIDATION = Path(__file__).parent / "validation"
"""Results of ``prefdyn validate``, a folder for each model."""


def claims_page() -> str:
    """Every claim with its statement, origin and source."""
    parts = [
        "# Claims",
        "",
        "What the package relies on, one numbered statement each. `python -m analysis` draws "
        "instances, compares prediction and observation, and prints a verdict for each. "
        "*Paper* means that the source says so, *reconstructed* that the exact form is ours, "
        "*derived* that the claim is ours.",
    ]
    for claim in claims.all():
        source = re.sub(
            r"\b(\d{4}\.\d{5})\b", r"[\1](https://arxiv.org/abs/\1)", escaped(claim.source)
        )
        parts += [
            "",
            f"## {claim.id}: {escaped(claim.title)}",
            "",
            escaped(claim.statement),
            "",
            f"*{escaped(claim.origin)}* ({source})",
        ]
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
            parts.append("| " + " | ".join(map(escaped, (*words, *ends))) + " |")
        notes = [r for r in records if r["note"] and r["verdict"] in ("fails", "not_run")]
        parts += ["", *(f"- {escaped(r['quantity'])}: {escaped(r['note'])}" for r in notes), ""]
    return "\n".join(parts) + "\n"


def shown(value: float | str | None) -> str:
    """A number with four digits, words as they are."""
    return "" if value is None else value if isinstance(value, str) else f"{value:.4g}"


def escaped(text: str) -> str:
    """Plain text whose punctuation Markdown leaves alone."""
    return re.sub(r"([\\`*_{}\[\]<>#|$~])", r"\\\1", text)


def reference_page() -> str:
    """The names of the package itself, and a list of its modules."""
    elsewhere = {
        id(getattr(getattr(prefdyn, module), name))
        for module in MODULES
        for name in getattr(getattr(prefdyn, module), "__all__", ())
    }
    parts = ["# Reference", "", "```{toctree}", *MODULES, "```", ""]
    parts += ["## prefdyn", "", "```{eval-rst}", ".. currentmodule:: prefdyn", ""]
    for name in sorted(set(prefdyn.__all__) - {*MODULES, "__version__", "claims"}, key=str.lower):
        value = getattr(prefdyn, name)
        if id(value) in elsewhere:
            continue
        if not inspect.isclass(value):
            parts.append(f".. autofunction:: {name}")
        elif issubclass(value, Exception):
            parts.append(f".. autoexception:: {name}")
        else:
            parts += [f".. autoclass:: {name}", "   :members:"]
    return "\n".join([*parts, "```"]) + "\n"


def module_page(module: str) -> str:
    """Every public name of one module."""
    directive = f".. automodule:: prefdyn.{module}\n   :members:"
    return f"# prefdyn.{module}\n\n```{{eval-rst}}\n{directive}\n```\n"


def objectives_table() -> str:
    """Every objective and wrapper: id, class, first sentence of its docstring, parameters."""
    found: dict[str, Any] = dict(objectives.classes())
    parts = ["| id | class | what it is | defaults |", "|---|---|---|---|"]
    for id, cls in found.items():
        summary = escaped(first_paragraph(cls))
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
        parts.append(f"| `{id}` | `{cls.__name__}` | {escaped(first_paragraph(cls))} |")
    return "\n".join(parts) + "\n"


def draw_pictures() -> None:
    """Run the code of pages that save pictures, as a reader would, where they look for them."""
    folder = GENERATED / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    matplotlib.use("agg")
    for page in sorted(Path(__file__).parent.glob("*.md")):
        if ".savefig(" in (text := page.read_text("utf-8")):
            blocks = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
            with contextlib.chdir(folder), style():
                exec(compile("\n".join(blocks), str(page), "exec"), {"__name__": "page"})
            pyplot.close("all")


def first_paragraph(cls: type) -> str:
    """The summary of a class, on one line."""
    return " ".join((cls.__doc__ or "").partition("\n\n")[0].split())


def write_pages(app) -> None:
    """Write the generated pages, touching only those that changed."""
    pages = {"claims": claims_page(), "api": reference_page(), "validation": validation_page()}
    pages |= {module: module_page(module) for module in MODULES}
    pages |= {"objective-ids": objectives_table(), "rule-ids": rules_table()}
    GENERATED.mkdir(exist_ok=True)
    draw_pictures()
    for name, text in pages.items():
        page = GENERATED / f"{name}.md"
        if not page.exists() or page.read_text() != text:
            page.write_text(text)


def setup(app) -> None:
    """Register the hook."""
    app.connect("builder-inited", write_pages)
