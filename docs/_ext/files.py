"""Where generated pages go, and the little that all of their makers share."""

import re
import shutil
from collections.abc import Container
from pathlib import Path

from figures._report import greek

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
GENERATED = DOCS / "_generated"


def write(name: str, text: str) -> None:
    """Write a generated file, unless it is already there word for word: Sphinx reads file times."""
    path = GENERATED / name
    if not path.exists() or path.read_text("utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def prune(folder: str, wanted: Container[str]) -> None:
    """Remove what earlier builds left in a folder, which Sphinx would still read.

    `wanted` names what stays, without endings.
    """
    for old in (GENERATED / folder).glob("*"):
        if old.name.partition(".")[0] not in wanted:
            if old.is_dir():
                shutil.rmtree(old)
            else:
                old.unlink()


def escaped(text: str) -> str:
    """Plain text whose punctuation Markdown leaves alone."""
    return re.sub(r"([\\`*_{}\[\]<>#|$~])", r"\\\1", text)


def prose(text: str) -> str:
    """Text of a docstring or a claim as Markdown: code stays code, parameters become letters."""
    parts = re.split(r"(``.+?``|`.+?`)", text)
    return "".join(part if n % 2 else escaped(greek(part)) for n, part in enumerate(parts))


def cell(text: str) -> str:
    """The same inside a table, where a bar ends a cell even in code."""
    return re.sub(r"(?<!\\)\|", r"\|", prose(text))


def arxiv_links(text: str) -> str:
    """Escaped text in which the numbers of arXiv papers are links."""
    return re.sub(r"\b(\d{4}\.\d{5})\b", r"[\1](https://arxiv.org/abs/\1)", escaped(text))


def first_paragraph(thing: object) -> str:
    """The summary of a docstring, on one line."""
    return " ".join((thing.__doc__ or "").partition("\n\n")[0].split())
