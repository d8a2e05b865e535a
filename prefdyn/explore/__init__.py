"""The explorable page: one HTML file with the dynamics of three responses in it.

The sources beside this file are ES modules, in the order of what builds on what: ``mathematics.js``
(the map) and ``stability.js`` (what it comes to) draw nothing; ``tour.js`` is the guided tour,
``state.js`` what can be set and how a link says it, ``model.js`` what is shown of it;
``drawing.js``, ``simplex.js``, ``charts.js``, ``controls.js`` and ``words.js`` are what is seen;
``numbers.js`` prints what the page computes; ``app.js`` is the page.
"""

import json
import re
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parent
SCRIPTS = (
    "mathematics.js",
    "stability.js",
    "tour.js",
    "state.js",
    "model.js",
    "drawing.js",
    "simplex.js",
    "charts.js",
    "controls.js",
    "words.js",
    "numbers.js",
    "app.js",
)
MARK = '<meta name="generator" content="prefdyn explore'
"""What tells a page of ours from any other file."""

__all__ = ["MARK", "page", "presets"]


def page() -> str:
    """The explorable page as one self-contained HTML document.

    Style, scripts and games are inlined; the page asks the network for nothing.  Its numbers are
    those of `prefdyn.MRSIPO` and `prefdyn.MRSDPO` on three responses, with a uniform reference and
    offline sampler.

    Returns
    -------
    str
        HTML, to be written as UTF-8.
    """
    from prefdyn import __version__

    parts = {
        "version": __version__,
        "style": _source("style.css"),
        "presets": json.dumps(presets(), ensure_ascii=False),
        "script": "\n".join(_without_imports(_source(name)) for name in SCRIPTS),
    }
    # A function, since in a replacement string backslashes would mean something.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]].strip(), _source("page.html"))


def presets() -> list[dict[str, Any]]:
    """The games that the page offers.

    Returns
    -------
    list of dict
        ``title``, ``names`` of the three responses, and ``wins``: the win rates of the first
        against the second, the second against the third, and the third against the first.
    """
    import numpy as np

    from prefdyn import games

    def ring(P: np.ndarray) -> list[float]:
        return [float(P[i, (i + 1) % 3]) for i in range(3)]

    def cycle(a: float) -> tuple[list[str], list[float]]:
        game = games.rock_paper_scissors(a)
        return list(game.names or ()), ring(game.P)

    letters = ["A", "B", "C"]
    election = games.load("minneapolis")
    candidates = list(election.names or ())[:3]
    listed = {
        "rock, paper, scissors: 90 %": cycle(0.4),
        "rock, paper, scissors: always": cycle(0.5),
        "rock, paper, scissors: 98 %": cycle(0.48),
        "unequal rock, paper, scissors": (cycle(0.4)[0], [0.95, 0.7, 0.8]),
        "a winner by a hair": (letters, [0.95, 0.95, 0.49]),
        "transitive: A over B over C": (letters, [0.6, 0.7, 0.1]),
        "Bradley-Terry with rewards 1, 0, −1": (letters, ring(games.bradley_terry([1, 0, -1]).P)),
        "Minneapolis 2021: a real cycle": (candidates, ring(election.P)),
    }
    return [{"title": title, "names": n, "wins": wins} for title, (n, wins) in listed.items()]


def _source(name: str) -> str:
    return (SOURCES / name).read_text(encoding="utf-8")


def _without_imports(script: str) -> str:
    """A module as part of the one script: its imports are above it already."""
    script = re.sub(r"^import\s[^;]*;\n", "", script, flags=re.MULTILINE)
    return re.sub(r"^export ", "", script, flags=re.MULTILINE)
