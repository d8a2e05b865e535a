"""Every example a reader may copy runs and shows what it says, and every link leads somewhere."""

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import figures
import prefdyn
from prefdyn import claims, objectives, rules

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("tutorials/*.md"), ROOT / "README.md"])
PROSE = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
MODULES = sorted(module.name for module in pkgutil.walk_packages(prefdyn.__path__, "prefdyn."))
GENERATED = {"claims.md", "api.md", "validation.md", "gallery/index.rst"}
"""Pages that the documentation's build writes and that others link to."""


def python_blocks(page: Path) -> str:
    """The Python blocks of a page, in order, as one script."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.M | re.S))


def examples(text: str) -> list[tuple[str, str]]:
    """The Python blocks of a page, each with the output shown right below it, if any."""
    return re.findall(r"^```python\n(.*?)^```$(?:\s*^```text\n(.*?)^```$)?", text, re.M | re.S)


def links(page: Path) -> list[str]:
    """Relative targets of a page's links and pictures, without their anchors; code is no prose."""
    text = re.sub(r"^```.*?^```$|`[^`\n]+`", "code", page.read_text(), flags=re.M | re.S)
    targets = [re.sub(r"\s", "", found) for found in re.findall(r"\]\(([^)]+)\)", text)]
    outside = ("http:", "https:", "mailto:", "#")
    return [t.partition("#")[0] for t in targets if not t.startswith(outside)]


def leads_somewhere(page: Path, target: str) -> bool:
    """Whether a target is a file, a generated page, or a picture that the page's code saves."""
    path = (page.parent / target).resolve()
    if path.is_relative_to(DOCS / "_generated"):
        name = str(path.relative_to(DOCS / "_generated"))
        picture = name.startswith("pictures/") and f'"{path.name}"' in python_blocks(page)
        return picture or name in GENERATED or f"{name}.md" in GENERATED
    suffixless = page.is_relative_to(DOCS) and path.with_name(f"{path.name}.md").exists()
    return path.exists() or suffixless


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_on_a_page_runs_and_prints_what_is_shown(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # a page may write files
    names = {"__name__": "page"}
    for code, shown in examples(page.read_text()):
        exec(compile(code, str(page), "exec"), names)
        printed = capsys.readouterr().out
        assert not shown or printed.strip() == shown.strip()


def test_outputs_are_found_on_pages():
    assert sum(bool(shown) for page in PAGES for _, shown in examples(page.read_text())) >= 20
    fence = "```"
    text = f"{fence}python\n1\n{fence}\n\n{fence}text\n2\n{fence}\n{fence}python\n3\n{fence}\n"
    assert examples(text) == [("1\n", "2\n"), ("3\n", "")]


def test_pages_have_code():
    assert sum(bool(python_blocks(page)) for page in PAGES) >= 2


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.stem)
def test_relative_links_lead_somewhere(page):
    assert [target for target in links(page) if not leads_somewhere(page, target)] == []


def test_dead_links_are_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "[one](here.md#part) [two](\nnowhere.md) `[three](code.md)` [four](https://a.b)"
    )
    (tmp_path / "here.md").touch()
    assert links(page) == ["here.md", "nowhere.md"]
    assert [leads_somewhere(page, target) for target in links(page)] == [True, False]


def test_every_page_is_in_the_navigation():
    lists = re.findall(r"^```{toctree}\n(.*?)^```$", (DOCS / "index.md").read_text(), re.M | re.S)
    listed = {line for text in lists for line in text.split() if not line.startswith(":")}
    pages = {str(p.relative_to(DOCS).with_suffix("")) for p in PAGES if p.is_relative_to(DOCS)}
    assert pages - listed == {"index"}


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    outcome = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert outcome.failed == 0


def test_citation_agrees_with_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert [author["name"] for author in citation["authors"]] == [
        author["name"] for author in project["authors"]
    ]
    assert str(citation["version"]) == project["version"]
    assert citation["license"] == project["license"]


@pytest.fixture
def files(monkeypatch):
    """The module of the documentation's build that writes generated files."""
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module("_ext.files")


def test_what_earlier_builds_left_is_removed(files, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "GENERATED", tmp_path)
    for name in ("part/kept.rst", "part/kept.py.md5", "part/old.rst", "part/older/page.rst"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    files.prune("part", ["kept"])
    files.prune("nowhere", [])
    assert {path.name for path in (tmp_path / "part").iterdir()} == {"kept.rst", "kept.py.md5"}


def test_bars_do_not_end_a_cell(files):
    assert files.cell("a | b, ``||v||`` of beta") == r"a \| b, ``\|\|v\|\|`` of β"


def test_tables_have_a_row_for_each(files):
    tables = importlib.import_module("_ext.tables")
    rows = tables.objectives_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == objectives.names() + objectives.wrapper_names()
    rows = tables.rules_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == rules.names()


@pytest.mark.slow
def test_the_documentation_is_built_without_a_warning(tmp_path):
    build = ["-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", str(tmp_path)]
    run = subprocess.run([sys.executable, *build], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    families = [page.read_text() for page in tmp_path.glob("_generated/claims/*.html")]
    for claim in claims.all():
        assert sum(f'id="claim-{claim.id.lower()}"' in page for page in families) == 1
    for name in figures.ORDER:
        (page,) = tmp_path.glob(f"_generated/gallery/*/plot_{name}.html")
        module = importlib.import_module(f"figures.plot_{name}")
        assert all(f"#claim-{id.lower()}" in page.read_text() for id in module.CLAIMS)
        assert any(f"/{page.name}" in family for family in families)
