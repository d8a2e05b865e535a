"""Sphinx configuration; the claims page is written from `prefdyn.claims` before each build."""

from pathlib import Path

import prefdyn
from prefdyn import claims

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
myst_enable_extensions = ["dollarmath", "colon_fence"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "prefdyn"

autodoc_member_order = "bysource"
numpydoc_show_class_members = False
default_role = "code"
