"""The commands by name, and the words of a command line as one of them."""

import importlib
import inspect
import os
import re
import sys
from contextlib import redirect_stderr
from dataclasses import make_dataclass
from difflib import get_close_matches
from io import StringIO
from typing import Annotated, Any, NoReturn, Union

from prefdyn import __version__

# tyro looks at its own variable only; it has to be set before tyro is imported.
if os.environ.get("NO_COLOR"):
    os.environ.setdefault("PYTHON_TYRO_ANSI_CODES", "False")

import tyro
from tyro.conf import FlagCreatePairsOff, subcommand

COMMANDS = {
    "stability": "Judge a recipe, with proofs.",
    "advise": "Translate a trainer's configuration into a recipe, and judge it.",
    "orbit": "Run a recipe and measure the run.",
    "sweep": "Map a rule over a grid of parameters.",
    "claims": "List what the answers rest on.",
    "games": "List the built-in games, or look at one.",
    "explore": "Play with three answers in the browser.",
    "diagnose": "Say what a training log shows, and what to change.",
    "iterate": "Train a language model through rounds.",
    "predict": "Rank preference pairs by what they will do.",
    "train": "Train a language model, and watch it.",
    "validate": "Test the predictions on a language model.",
    "doctor": "Check what is installed, and what works.",
    "completion": "Let the shell complete commands and options.",
}
"""What there is, in the order of the help; NAME is the class ``Name`` of the module ``_name``."""

ABOUT = f"""The dynamics of preference optimisation (prefdyn {__version__}).

Does iterated DPO or IPO converge, oscillate or collapse on this game?

Start with:
  prefdyn stability rps:0.4 --alpha 0.5 --lam 1 --beta 0.15
"""


def command(name: str) -> Any:
    """The dataclass of a command; only its own module is imported."""
    return getattr(importlib.import_module(f"prefdyn.cli._{name}"), name.capitalize())


def parsed(words: list[str]) -> Any:
    """The command that the words ask for; only its own parser is built, which takes the time.

    Raises
    ------
    SystemExit
        With code 0 after ``--help`` and 2, and a sentence, for words that cannot be parsed.
    """
    name, *options = words
    if name not in COMMANDS and not name.startswith("-"):
        near = get_close_matches(name, COMMANDS, n=1)
        hint = f" (nearest: {near[0]})" if near else ""
        _refuse(f"there is no command {name!r}{hint}: choose from {', '.join(COMMANDS)}.")
    settings: dict[str, Any] = {"config": (FlagCreatePairsOff,)}
    if name in COMMANDS:
        kind, prog = command(name), f"prefdyn {name}"
        about = inspect.getdoc(kind)
    else:
        kind, prog, about, options = _names_only(), "prefdyn", ABOUT, words
    said = StringIO()
    try:
        with redirect_stderr(said):
            return tyro.cli(kind, prog=prog, description=about, args=options, **settings)
    except SystemExit as end:
        if end.code:
            _refuse(f"{sentence(said.getvalue())}; see {prog} --help.")
        raise


def _names_only() -> Any:
    """A union of empty commands, for a help text that only names them."""
    return Union[  # noqa: UP007
        tuple(
            Annotated[make_dataclass(name, []), subcommand(name, description=about)]
            for name, about in COMMANDS.items()
        )
    ]


def _refuse(text: str) -> NoReturn:
    print(f"prefdyn: {text}", file=sys.stderr)
    sys.exit(2)


def sentence(box: str) -> str:
    """What a parser's message in a frame says, on one line and without the pointers to more help.

    Of options that are named with their descriptions, names and forms are kept.
    """
    plain = re.sub(r"\x1b\[[\d;]*m", "", box).splitlines()
    lines = [line.strip("│").rstrip() for line in plain if line.startswith("│")]
    if not lines:  # terminals without these letters: a title, a line of dashes, and no frame
        lines = [line[1:].rstrip() for line in plain[2:] if line.strip()]
    parts: list[list[str]] = [[]]
    for line in lines:
        if set(line.strip()) in ({"─"}, {"-"}):
            parts.append([])
        else:
            parts[-1].append(line)
    said = []
    for first, *others in filter(None, parts):
        if not first.strip().startswith(("For full helptext", "Argument helptext")):
            # Options stand at four columns, what is said about them further in.
            named = [line.strip() for line in others if re.match(r" {5}\S", line)]
            wrapped = [line.strip() for line in others if re.match(r" \S", line)]
            words = " ".join([first.strip(), *wrapped]).rstrip(".")
            said.append(" ".join(filter(None, [words, ", ".join(named)])))
    text = "; ".join(text[:1].lower() + text[1:] for text in said).partition(" Got errors")[0]
    text = re.sub(r"\. ([A-Z])", lambda found: f": {found[1].lower()}", text.rstrip("."))
    return text.replace("unrecognized", "unrecognised")
