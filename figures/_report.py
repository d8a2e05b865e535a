"""One self-contained page: a summary, then a section for each paper, and what it was made with."""

import base64
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from figures import FOLDER, OUTPUT
from figures._files import write_atomically
from figures._pool import Outcome
from figures._sections import SECTIONS

PAGE = FOLDER.parent / "report" / "index.html"
VERDICTS = ("holds", "reported", "fails", "not_run")
MEANING = {
    "holds": "checked on every instance, within its tolerance",
    "reported": "an observation, whose numbers are given; nothing is asserted",
    "fails": "violated, or its check could not run",
    "not_run": "has no check here",
}
PACKAGES = (
    *("prefdyn", "numpy", "scipy", "sympy", "torch", "transformers", "numba"),
    *("matplotlib", "mpltern"),
)
LETTERS = {
    "alpha": "α",
    "beta": "β",
    "eps": "ε",
    "eta": "η",
    "kappa": "κ",
    "lam": "λ",
    "mu": "μ",
    "pi": "π",
    "sqrt": "√",
    "tau": "τ",
    "theta": "θ",
}
VECTOR_LIMIT = 1_500_000
"""Bytes of SVG above which the page embeds the PNG instead: a page must still scroll."""


def write(
    outcomes: list[Outcome],
    seconds: float,
    seed: int,
    full: bool,
    validation: dict[str, Any] | None = None,
) -> Path:
    """Write the report from the outcomes of all jobs, and return where it is."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["greek"] = greek
    environment.filters["measured"] = measured
    environment.filters["script"] = script
    claims = [claim_of(outcome) for outcome in outcomes if outcome.job.kind == "claim"]
    figures = [figure_of(outcome) for outcome in outcomes if outcome.job.kind == "figure"]
    page = environment.get_template("report.html.jinja").render(
        claims=claims,
        figures=figures,
        sections=sections_of(claims, figures),
        validation=validation,
        verdicts=VERDICTS,
        meaning=MEANING,
        versions={"Python": platform.python_version(), **versions()},
        seconds=seconds,
        seed=seed,
        full=full,
    )
    write_atomically(PAGE, lambda file: file.write_text(page, encoding="utf-8"))
    return PAGE


def sections_of(
    claims: list[dict[str, Any]], figures: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Every section that has something to show, each figure with the claims it shows."""
    known = {claim["id"]: claim for claim in claims}
    drawn = {figure["name"]: figure for figure in figures}
    found = []
    for section in SECTIONS:
        own = [claim for claim in claims if claim["id"].partition("-")[0] in section.families]
        pictures = [
            figure | {"shows": [known[id] for id in figure.get("claims", ()) if id in known]}
            for name in section.figures
            if (figure := drawn.get(name))
        ]
        if own or pictures:
            found.append({"about": section, "claims": own, "figures": pictures})
    return found


def claim_of(outcome: Outcome) -> dict[str, Any]:
    """A claim's row; one whose check died fails, with the sentence."""
    if outcome.record is not None:
        return outcome.record
    from prefdyn import claims

    claim = claims.get(outcome.job.name)
    return {
        **{part: getattr(claim, part) for part in ("id", "title", "statement", "source", "origin")},
        "verdict": "fails",
        "instances": 0,
        "violations": 0,
        "worst_error": None,
        "tolerance": None,
        "seconds": 0.0,
        "checks": [{"part": "the run", "code": "", "verdict": "fails", "note": outcome.error}],
    }


def figure_of(outcome: Outcome, folder: Path = OUTPUT) -> dict[str, Any]:
    """A figure's record with its image embedded, or the sentence that says why there is none."""
    name = outcome.job.name
    if outcome.record is None:
        return {"name": name, "title": name.replace("_", " "), "error": outcome.error}
    vector = folder / f"{name}.svg"
    image = vector if vector.stat().st_size <= VECTOR_LIMIT else folder / f"{name}.png"
    return {**outcome.record, "error": "", "image": data_uri(image)}


def data_uri(image: Path) -> str:
    """An image as an address that contains it."""
    kind = {".svg": "image/svg+xml", ".png": "image/png"}[image.suffix]
    return f"data:{kind};base64,{base64.b64encode(image.read_bytes()).decode()}"


def versions() -> dict[str, str]:
    """Installed versions of the packages that the numbers depend on."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def script(code: str) -> str:
    """Where a check is written, seen from the report: ``"analysis.module:Class"`` as a path."""
    return "../" + code.partition(":")[0].replace(".", "/") + ".py"


def number(value: float | None) -> str:
    """A number as a table shows it: an error with two digits, nothing for nothing."""
    if value is None:
        return ""
    return re.sub(r"e([+-])0(\d)$", r"e\1\2", f"{value:.1e}") if value else "0"


def measured(value: float | str | None) -> str:
    """A number of a validation with four digits; words as they are."""
    return "" if value is None else value if isinstance(value, str) else f"{value:.4g}"


def greek(text: str) -> str:
    """Names of parameters as the letters they stand for; captions are written in plain words."""
    return re.sub(rf"\b({'|'.join(LETTERS)})(?![A-Za-z])", lambda word: LETTERS[word[0]], text)
