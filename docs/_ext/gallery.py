"""The gallery: sphinx-gallery shows each figure's script with the picture that is stored for it.

The scripts compute for minutes, so the gallery takes the pictures from figures/output, where
``python -m figures`` puts them, and computes only those that are missing.  It is given copies of
the scripts that are sorted by section and begin with a title, as sphinx-gallery wants them.
"""

import ast
import importlib
import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from _ext.files import GENERATED, ROOT, prune, write
from figures import FOLDER, ORDER, OUTPUT
from figures._report import greek
from figures._sections import SECTIONS
from prefdyn import claims

SCRIPTS = GENERATED / "scripts"
"""The copies."""

CONFIGURATION: dict[str, Any] = {
    "examples_dirs": "_generated/scripts",
    "gallery_dirs": "_generated/gallery",
    "subsection_order": [f"_generated/scripts/{section.name}" for section in SECTIONS],
    "within_subsection_order": "_ext.gallery.position",
    "image_scrapers": ("_ext.gallery.stored_picture",),
    "run_stale_examples": True,  # a script may be as it was and its picture new
    "reset_modules": (),
    "capture_repr": (),
    "doc_module": ("prefdyn",),
    "notebook_extensions": set(),
    "download_all_examples": False,
    "write_computation_times": False,
    "show_signature": False,
    "thumbnail_size": (400, 280),
}

HEADER = """\
Gallery
=======

Every figure of the report, with its script. Lines are predicted, dots and pixels simulated, by
separate code. A script computes its data, saves them, and draws from what it saved;
``python -m figures NAME`` runs one, and recalls what has not changed since the last time.
"""


@cache
def parts_of(name: str) -> dict[str, Any]:
    """Docstring, title, caption and claims of a script, read without running it."""
    tree = ast.parse(source_of(name))
    found = {
        target.id: ast.literal_eval(statement.value)
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name) and target.id in ("TITLE", "CAPTION", "CLAIMS")
    }
    return {"docstring": ast.get_docstring(tree), "end": tree.body[0].end_lineno, **found}


def source_of(name: str) -> str:
    """The script of a figure."""
    return (FOLDER / f"plot_{name}.py").read_text("utf-8")


def showing(id: str) -> list[str]:
    """Names of the figures that show a claim."""
    return [name for name in ORDER if id in parts_of(name)["CLAIMS"]]


def section_of(name: str) -> str:
    """Name of the section that a figure is in."""
    return next(section.name for section in SECTIONS if name in section.figures)


def link(name: str, up: str = "") -> str:
    """Markdown for a link to a figure's page, from a page `up` of the generated ones."""
    return f"[{parts_of(name)['TITLE']}]({up}gallery/{section_of(name)}/plot_{name}.rst)"


def write_scripts() -> None:
    """Compute what pictures are missing, and lay out the copies of the scripts."""
    if missing := [name for name in ORDER if not (OUTPUT / f"{name}.png").exists()]:
        print(f"Computing {len(missing)} figures that are not in {OUTPUT} yet ...", flush=True)
        subprocess.run([sys.executable, "-m", "figures", *missing], cwd=ROOT, check=True)
    shown = [section for section in SECTIONS if section.figures]
    for folder in ("scripts", "gallery"):  # a figure may have been renamed, or moved
        prune(folder, ["GALLERY_HEADER", "index", *(section.name for section in shown)])
    write("scripts/GALLERY_HEADER.rst", HEADER)
    for section in shown:
        names = [f"plot_{name}" for name in section.figures]
        prune(f"scripts/{section.name}", ["GALLERY_HEADER", *names])
        prune(f"gallery/{section.name}", ["index", "images", *names])
        lines = (section.title, "-" * len(section.title), "", section.question)
        write(f"scripts/{section.name}/GALLERY_HEADER.rst", "\n".join(lines) + "\n")
        for name in section.figures:
            write(f"scripts/{section.name}/plot_{name}.py", with_title(name))


def with_title(name: str) -> str:
    """A figure's script, its docstring headed by its title."""
    parts = parts_of(name)
    about = parts["docstring"].removeprefix("Figure: ")
    about = about[0].upper() + about[1:]
    rest = source_of(name).splitlines(keepends=True)[parts["end"] :]
    title = parts["TITLE"]
    return f'r"""\n{title}\n{"=" * len(title)}\n\n{about}\n"""\n' + "".join(rest)


def position(file: str) -> int:
    """Where a script comes within its section."""
    return ORDER.index(Path(file).stem.removeprefix("plot_"))


def stored_picture(block: Any, variables: dict[str, Any], configuration: dict[str, Any]) -> str:
    """What sphinx-gallery shows of a script: the stored picture, and all that belongs to it.

    A scraper in sphinx-gallery's sense: it is called when the script's functions are defined.
    """
    name = Path(variables["src_file"]).stem.removeprefix("plot_")
    record = json.loads((OUTPUT / f"{name}.json").read_text("utf-8"))
    path = next(variables["image_path_iterator"])
    shutil.copyfile(OUTPUT / f"{name}.png", path)
    script = importlib.import_module(f"figures.plot_{name}")
    relative = Path("/") / Path(path).relative_to(configuration["src_dir"])
    lines = [
        "",
        f".. figure:: {relative}",
        f"   :alt: {record['title']}",
        "",
        f"   \\ {rst(' '.join(script.CAPTION.split()))}",  # "(a)" at its start is no list
        "",
        *(f"- {rst(finding)}" for finding in record["findings"]),
        "",
        ".. rubric:: Claims",
        "",
        *(f"- {id}: {rst(claims.get(id).title)}" for id in script.CLAIMS),
        "",
        ".. rubric:: Script",
        "",
        f"Run it with ``python -m figures {name}``: data, picture and record go to "
        f"``figures/output``. Seed {record['seed']}; it took {record['seconds']:.0f} s.",
        "",
    ]
    return "\n".join(lines)


def rst(text: str) -> str:
    """Plain text as reStructuredText, parameters as letters."""
    for mark in "\\*`|_":
        text = text.replace(mark, "\\" + mark)
    return greek(text)
