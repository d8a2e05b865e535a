"""Sphinx configuration; much of the documentation is written from the package, see ``_ext``."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from _ext import claims_pages, commands, gallery, pictures, reference, tables  # noqa: E402

import prefdyn  # noqa: E402
from prefdyn import explore  # noqa: E402

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
    "sphinx_gallery.gen_gallery",
    "_ext.claim_links",
]
exclude_patterns = [
    "_build",
    "_ext",
    "_generated/commands.md",
    "_generated/objective-ids.md",
    "_generated/rule-ids.md",
    "_generated/scripts",
]
default_role = "code"

myst_heading_anchors = 2
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "dollarmath"]
numpydoc_show_class_members = False
sphinx_gallery_conf = gallery.CONFIGURATION

toc_object_entries = False  # the pages of the reference begin with a table of their names

html_theme = "furo"
html_title = "prefdyn"
html_static_path = ["_static"]
html_css_files = ["house.css"]


def write_pages(app) -> None:
    """Write all generated pages, touching only those that changed."""
    gallery.write_scripts()
    pictures.draw()
    claims_pages.write_pages()
    commands.write_pages()
    tables.write_pages()
    reference.write_pages()


def write_explorable(app, exception) -> None:
    """The explorable page stands on its own, beside the pages of the documentation."""
    if exception is None:
        (Path(app.outdir) / "explorable.html").write_text(explore.page(), "utf-8")


def setup(app) -> None:
    """Register the hooks, the first of them before the gallery's own."""
    app.connect("builder-inited", write_pages, priority=1)
    app.connect("missing-reference", reference.find_elsewhere)
    app.connect("autodoc-process-docstring", reference.examples_without_heading, priority=1)
    app.connect("build-finished", write_explorable)
