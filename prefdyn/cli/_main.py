"""Which command was asked for, and what its errors look like."""

import inspect
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import tyro
from tyro.conf import FlagCreatePairsOff, subcommand

from prefdyn import __version__
from prefdyn._errors import InputError, InsufficientData
from prefdyn.cli._claims import Claims
from prefdyn.cli._games import Games
from prefdyn.cli._iterate import Iterate
from prefdyn.cli._orbit import Orbit
from prefdyn.cli._output import show
from prefdyn.cli._predict import Predict
from prefdyn.cli._stability import Stability
from prefdyn.cli._sweep import Sweep
from prefdyn.cli._train import Train
from prefdyn.cli._validate import Validate

COMMANDS: dict[str, Any] = {
    "stability": Stability,
    "orbit": Orbit,
    "sweep": Sweep,
    "claims": Claims,
    "games": Games,
    "iterate": Iterate,
    "predict": Predict,
    "train": Train,
    "validate": Validate,
}
_ABOUT = f"""The dynamics of preference optimisation (prefdyn {__version__}).

Does iterated DPO or IPO converge, oscillate or collapse on this game?

Start with:
  prefdyn stability rps:0.4 --alpha 0.5 --lam 1 --beta 0.15
"""
_Any = (
    Annotated[Stability, subcommand("stability", description="Judge a recipe, with proofs.")]
    | Annotated[Orbit, subcommand("orbit", description="Run a recipe and measure the run.")]
    | Annotated[Sweep, subcommand("sweep", description="Map a rule over a grid of parameters.")]
    | Annotated[Claims, subcommand("claims", description="List what the answers rest on.")]
    | Annotated[Games, subcommand("games", description="List the built-in games, or look at one.")]
    | Annotated[
        Iterate, subcommand("iterate", description="Train a language model through rounds.")
    ]
    | Annotated[
        Predict, subcommand("predict", description="Rank preference pairs by what they will do.")
    ]
    | Annotated[Train, subcommand("train", description="Train a language model, and watch it.")]
    | Annotated[
        Validate, subcommand("validate", description="Test the predictions on a language model.")
    ]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments
        Without the program's name; by default those of the process.

    Returns
    -------
    int
        Exit code, see `prefdyn.cli`.

    Raises
    ------
    SystemExit
        With code 0 after ``--help`` and 2 for options that cannot be parsed.
    """
    try:
        code = _run(list(sys.argv[1:] if arguments is None else arguments) or ["--help"])
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read our output has had enough; the interpreter's last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _run(words: list[str]) -> int:
    if words == ["--version"]:
        print(f"prefdyn {__version__}")
        return 0
    command = _parse(words)
    try:
        answer = command.answer()
    except (InputError, InsufficientData) as error:
        return _refuse(str(error))
    except ImportError as error:
        if error.name is not None:  # ours name no module: they are sentences
            raise
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"{error.filename or 'a file'}: {error.strerror or error}.")
    show(command, answer)
    return 0


def _parse(words: list[str]) -> Any:
    """The dataclass of the command; only its own parser is built, which is what takes time."""
    name, *options = words
    settings: dict[str, Any] = {"config": (FlagCreatePairsOff,)}
    if name in COMMANDS:
        known = COMMANDS[name]
        about = inspect.getdoc(known)
        return tyro.cli(known, prog=f"prefdyn {name}", description=about, args=options, **settings)
    return tyro.cli(_Any, prog="prefdyn", description=_ABOUT, args=words, **settings)


def _refuse(sentence: str) -> int:
    print(f"prefdyn: {sentence}", file=sys.stderr)
    return 2
