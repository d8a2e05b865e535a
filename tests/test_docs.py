"""Every example a reader may copy runs, and shows what it says it shows."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import prefdyn

ROOT = Path(__file__).parents[1]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), *ROOT.glob("README.md")])
MODULES = sorted(module.name for module in pkgutil.walk_packages(prefdyn.__path__, "prefdyn."))


def python_blocks(page: Path) -> str:
    """The Python blocks of a page, in order, as one script."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.M | re.S))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_on_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a page may write files
    exec(compile(python_blocks(page), str(page), "exec"), {"__name__": "page"})


def test_pages_have_code():
    assert sum(bool(python_blocks(page)) for page in PAGES) >= 2


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    outcome = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert outcome.failed == 0
