"""Where generated pages go, and the little that all of their makers share."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
GENERATED = DOCS / "_generated"


def write(name: str, text: str) -> None:
    """Write a generated file, unless it is already there word for word: Sphinx reads file times."""
    path = GENERATED / name
    if not path.exists() or path.read_text("utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def escaped(text: str) -> str:
    """Plain text whose punctuation Markdown leaves alone."""
    return re.sub(r"([\\`*_{}\[\]<>#|$~])", r"\\\1", text)


def arxiv_links(text: str) -> str:
    """Escaped text in which the numbers of arXiv papers are links."""
    return re.sub(r"\b(\d{4}\.\d{5})\b", r"[\1](https://arxiv.org/abs/\1)", escaped(text))


def first_paragraph(thing: object) -> str:
    """The summary of a docstring, on one line."""
    return " ".join((thing.__doc__ or "").partition("\n\n")[0].split())
