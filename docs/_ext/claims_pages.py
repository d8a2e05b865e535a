"""The pages of the claims: what each says, who says so, how it is derived, checked and shown."""

import ast
import inspect
import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from html import escape
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from _ext import gallery
from _ext.files import ROOT, arxiv_links, cell, prose, prune, write
from analysis import Check, _harness
from analysis._cache import CACHE, source_key
from figures._report import greek
from figures._sections import SECTIONS, Section
from prefdyn import claims

WORDS = {  # with spaces at which no line breaks
    "holds": "✓\u00a0holds",
    "fails": "✗\u00a0fails",
    "reported": "○\u00a0reported",
    "not_run": "–\u00a0not\u00a0run",
}
INTRODUCTION = """
What the package relies on, one numbered statement each, with its assumptions. *Paper* means that
the source says so, *reconstructed* that the claim is the source's but its exact form is ours,
*derived* that the claim is ours. `python -m analysis` draws instances, computes what is predicted
and what happens by separate code, compares them, and prints a verdict: **holds**, **fails**, or
**reported** for an observation about which nothing is asserted. `python -m analysis MRS-4` checks
one; `prefdyn claims MRS-4` shows it.
"""


def write_pages() -> None:
    """The index, and a page for each family or few."""
    verdicts = {claim.id: verdict_of(claim.id) for claim in claims.all()}
    write("claims.md", index(verdicts))
    prune("claims", modules())
    for page in modules():
        write(f"claims/{page}.md", family_page(page, verdicts))


def index(verdicts: dict[str, dict[str, Any] | None]) -> str:
    """All claims in tables, the modules under their sections, and how many have which verdict."""
    counts = Counter(result["verdict"].replace("_", " ") for result in verdicts.values() if result)
    tally = ", ".join(f"{word}: {number}" for word, number in counts.most_common())
    last = f" When last checked here, {tally}." if tally else ""
    parts = ["# Claims", "", f"{INTRODUCTION.strip()} There are {len(verdicts)}.{last}", ""]
    parts += ["```{toctree}", ":hidden:", "", *(f"claims/{page}" for page in modules()), "```"]
    for section in SECTIONS:
        if pages := [page for page in modules() if section_of(page) is section]:
            parts += ["", f"## {section.title}"]
        for page in pages:
            parts += ["", f"[{prose(heading(page))}](claims/{page}.md)", ""]
            parts += ["| claim | what it says | origin | verdict |", "|---|---|---|---|"]
            for claim in modules()[page].CLAIMS:
                result = verdicts[claim.id]
                word = WORDS[result["verdict"]] if result else ""
                origin = ", ".join(dict.fromkeys(claim.origins))
                parts.append(f"| {claim.id} | {cell(claim.title)} | {origin} | {word} |")
    return "\n".join(parts) + "\n"


@cache
def modules() -> dict[str, ModuleType]:
    """The modules of claims by name, in the order of the sections; each has a page."""
    found = {part.__name__.rpartition("._")[2]: part for part in claims._READING_ORDER}
    families = [family for section in SECTIONS for family in section.families]
    return dict(sorted(found.items(), key=lambda item: families.index(main_family(item[1]))))


def main_family(module: ModuleType) -> str:
    """The family of the claim that a module begins with."""
    return module.CLAIMS[0].id.partition("-")[0]


def section_of(page: str) -> Section:
    """The section that a page comes under."""
    return next(s for s in SECTIONS if main_family(modules()[page]) in s.families)


def heading(page: str) -> str:
    """What a page is about, and its families: "Iterated rounds (MRS, RND, NS)"."""
    module = modules()[page]
    about = re.match(r"Claims about ([^:,]+)", module.__doc__ or "")
    subject = about[1] if about else page
    families = dict.fromkeys(claim.id.partition("-")[0] for claim in module.CLAIMS)
    return f"{subject[0].upper()}{subject[1:]} ({', '.join(families)})"


def family_page(page: str, verdicts: dict[str, dict[str, Any] | None]) -> str:
    """The claims of one module, after its notation."""
    module = modules()[page]
    notation = (module.__doc__ or "").partition("\n\n")[2]
    parts = [f"# {prose(heading(page))}", "", prose(notation)]
    for claim in module.CLAIMS:
        parts += claim_section(claim, verdicts[claim.id])
    return "\n".join(parts) + "\n"


def claim_section(claim: claims.Claim, result: dict[str, Any] | None) -> list[str]:
    """One claim: statement, origin and source, verdict, figures, derivation, checks."""
    parts = ["", f"({anchor(claim.id)})=", f"## {claim.id}: {prose(claim.title)}", ""]
    parts += [prose(claim.statement), ""]
    parts.append(f"- Origin: {prose(claim.origin)}; {arxiv_links(claim.source)}")
    if result:
        parts.append(f"- {sentence(result)}")
    if figures := [gallery.link(name, "../") for name in gallery.showing(claim.id)]:
        parts.append(f"- Shown in: {'; '.join(figures)}")
    checks = _harness.checks(claim.id)
    for function in unique(f for check in checks for f in derivations(type(check))):
        parts += folded(f"Derivation by sympy: {summary(function)}", function)
    for check in checks:
        parts += folded(f"Check: {check.part}", type(check))
    return parts


def anchor(id: str) -> str:
    """Label of a claim's section."""
    return f"claim-{id.lower()}"


def verdict_of(id: str) -> dict[str, Any] | None:
    """The stored result of a claim and whether it was found with these very sources, or None."""
    try:
        entry = json.loads((CACHE / f"claims/{id}.json").read_text("utf-8"))
        return {**entry["value"], "current": entry["key"] == KEY}
    except (OSError, ValueError, KeyError):
        return None


KEY = source_key(("prefdyn", "analysis"), 0, 1.0)


def sentence(result: dict[str, Any]) -> str:
    """A verdict with the numbers it rests on."""
    instances = f"{result['instances']:,} instance" + "s" * (result["instances"] != 1)
    text = f"Last verdict: **{WORDS[result['verdict']]}**, on {instances}"
    if result["worst_error"] is not None:
        text += f", worst error {result['worst_error']:.1e} (tolerance {result['tolerance']:.0e})"
    return text + ("" if result["current"] else "; the sources have changed since")


def derivations(kind: type[Check]) -> Iterator[FunctionType]:
    """Functions of `analysis`, reached from a check's methods, that derive something by sympy."""
    seen: set[int] = set()

    def reach(function: Any) -> Iterator[FunctionType]:
        function = inspect.unwrap(function)
        if not isinstance(function, FunctionType) or id(function) in seen:
            return
        seen.add(id(function))
        if not function.__module__.startswith("analysis."):
            return
        names = set(names_in(function.__code__))
        if "sympy" in names and function.__qualname__ in definitions(path_of(function)):
            yield function
        for name in sorted(names & function.__globals__.keys()):
            if callable(value := function.__globals__[name]) and not isinstance(value, type):
                yield from reach(value)

    for base in kind.__mro__:
        for value in vars(base).values():
            yield from reach(value) if callable(value) else ()


def names_in(code: CodeType) -> Iterator[str]:
    """Global names and attributes that some code, and what is nested in it, mentions."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def unique(functions: Iterator[FunctionType]) -> list[FunctionType]:
    """Each once, in order."""
    return list(dict.fromkeys(functions))


def summary(function: FunctionType) -> str:
    """First sentence of a docstring, or the function's name."""
    return (inspect.getdoc(function) or function.__name__).partition("\n")[0].rstrip(".")


def folded(title: str, source: type | FunctionType) -> list[str]:
    """Source code behind a line that opens it, and the file it is in."""
    path = path_of(source)
    return [
        "",
        f"<details><summary>{html(title)}</summary>",
        "",
        "```python",
        definitions(path)[source.__name__],
        "```",
        "",
        f"The whole file: {{download}}`{path} <../../../{path}>`",
        "",
        "</details>",
    ]


def path_of(source: type | FunctionType) -> Path:
    """The file that defines something, as seen from the checkout."""
    return Path(inspect.getsourcefile(source) or "").relative_to(ROOT)


@cache
def definitions(path: Path) -> dict[str, str]:
    """Source of what a module defines, by name; `inspect` would parse it once for each."""
    text = (ROOT / path).read_text("utf-8")
    lines, found = text.splitlines(), {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            start = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
            found[node.name] = "\n".join(lines[start - 1 : node.end_lineno])
    return found


def html(text: str) -> str:
    """A line of a docstring as HTML."""
    return re.sub(r"``(.+?)``", r"<code>\1</code>", escape(greek(text), quote=False))
