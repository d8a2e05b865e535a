"""From plain data to the screen: JSON for machines, sentences and tables for people."""

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from io import TextIOWrapper
from typing import Any

from prefdyn import __version__

NARROW = 80
"""Columns where the output is not a terminal."""
LISTED = 20
"""Responses of a policy that are listed before the rest is added up."""
JUDGED = ("verdict", "outcome", "holds", "severity", "state")
"""Names of facts and headings of columns whose words are coloured, on a terminal, by meaning."""
MEANING = {
    "green": (
        "certified",
        "locally stable",
        "converges",
        "holds",
        "yes",
        "info",
        "good",
        "healthy",
    ),
    "yellow": ("bistable", "reported", "warning", "missing", "old"),
    "red": ("unstable", "oscillates", "collapses", "fails", "no", "alarm", "bad"),
    "dim": ("not run", "skipped", "not installed"),
}
"""What a verdict's colour is, by how the word begins."""


def show(command: Any, answer: dict[str, Any]) -> None:
    """Print an answer as the command asks for it."""
    if command.json:
        import json

        head = {"command": type(command).__name__.lower(), "version": __version__}
        print(json.dumps(head | plain(answer), indent=2, allow_nan=False))
        return
    from rich.console import Console

    # Names come from files: nothing in them is markup.  A name that the terminal's encoding lacks
    # is escaped instead of ending the program.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    width = None if sys.stdout.isatty() else NARROW
    console = Console(width=width, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        for part in command.rendered(answer, console.width):
            console.print(part, soft_wrap=getattr(part, "no_wrap", None) is True)
    print(_tidy(captured.get()))


def _tidy(text: str) -> str:
    """Without trailing blanks, coloured ones too, and one empty line where tables leave several."""
    shown = (re.sub(r"\s+((?:\x1b\[[\d;]*m)*)$", r"\1", line) for line in text.splitlines())
    lines = "\n".join(line if re.sub(r"\x1b\[[\d;]*m", "", line) else "" for line in shown)
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n")


def plain(value: Any) -> Any:
    """Data that JSON can write: numpy unpacked, complex as pairs, what is not finite as None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, complex):
        return [plain(value.real), plain(value.imag)]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


def coloured(word: str) -> Any:
    """A verdict in the colour of its meaning; other words as they are."""
    from rich.text import Text

    for colour, words in MEANING.items():
        if any(re.match(rf"{known}\b", word) for known in words):
            return Text(word, style=colour)
    return word


def verbatim(text: str) -> Any:
    """Text whose lines are left as they are, however long."""
    from rich.text import Text

    return Text(text, no_wrap=True, overflow="ignore")


def number(value: float) -> str:
    """Four significant digits; whole numbers in full."""
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def table(
    *headings: str,
    rows: Iterable[Iterable[Any]],
    title: str | None = None,
    form: Callable[[float], str] = number,
) -> Any:
    """A table in which long words wrap; columns that hold numbers are flush right."""
    from rich import box
    from rich.table import Table

    rows = [list(row) for row in rows]
    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for k, heading in enumerate(headings):
        numbers = all(isinstance(row[k], (int, float)) for row in rows)
        made.add_column(heading, justify="right" if numbers else "left", overflow="fold")

    def shown(heading: str, cell: Any) -> Any:
        if isinstance(cell, (int, float)):
            return form(cell)
        return coloured(cell) if heading in JUDGED and isinstance(cell, str) else cell

    for row in rows:
        made.add_row(*map(shown, headings, row))
    return made


def policy_table(names: Sequence[str], policy: Any, heading: str) -> Any:
    """The probability of each response; of many, the largest ones."""
    rows = list(zip(names, policy.tolist(), strict=True))
    if len(rows) > LISTED:
        rows.sort(key=lambda row: -row[1])
        others = (f"{len(rows) - LISTED} others", sum(share for _, share in rows[LISTED:]))
        rows = [*rows[:LISTED], others]
    return table("response", heading, rows=rows)


def facts(**values: Any) -> Any:
    """Names and values in two columns; what is None is left out."""
    from rich.table import Table

    made = Table.grid(padding=(0, 2))
    made.add_column()
    made.add_column(overflow="fold")
    for name, value in values.items():
        if value is not None:
            text = value if isinstance(value, str) else number(value)
            made.add_row(name.replace("_", " "), coloured(text) if name in JUDGED else text)
    return made
