"""The options that every question about a recipe shares."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from prefdyn._errors import InputError

if TYPE_CHECKING:
    from prefdyn.games import PreferenceMatrix

Text = Annotated[str | None, arg(metavar="P1,P2,…", help_behavior_hint="")]
Flag = Annotated[bool, arg(help_behavior_hint="")]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A game and a recipe; the commands that take one derive from it."""

    game: Annotated[Positional[str], arg(metavar="GAME")]
    """Vote or matrix file, or a name such as rps:0.4 or minneapolis (see prefdyn games)."""
    alpha: Annotated[float, arg(metavar="SHARE")]
    """Geometric share of the current policy in the next reference, from 0 to 1."""
    lam: Annotated[float, arg(metavar="SHARE")]
    """Share of the current policy in the next sampler, from 0 to 1 (fully on-policy)."""
    beta: Annotated[float | None, arg(metavar="BETA", help_behavior_hint="")]
    """Pull to the reference, above 0; larger stays closer."""
    objective: Annotated[str, arg(metavar="ID")] = "ipo"
    """What a round minimises: ipo, dpo or the id of another objective."""
    reference: Text = None
    """Fixed part of the reference: probabilities, uniform by default."""
    offline: Text = None
    """Fixed part of the sampler: probabilities, uniform by default."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """Seed of all randomness."""
    json: Flag = False
    """Print JSON for machines."""

    def fixed(self) -> dict[str, Any]:
        """Reference and offline sampler as numbers."""
        return {
            "reference": probabilities(self.reference, "reference"),
            "offline": probabilities(self.offline, "offline"),
        }

    def described(self, **more: Any) -> dict[str, Any]:
        """The recipe as plain data."""
        return {
            "objective": self.objective,
            "alpha": self.alpha,
            "lam": self.lam,
            "beta": self.beta,
            **more,
            **self.fixed(),
        }


def probabilities(text: str | None, what: str) -> list[float] | None:
    """Numbers written with commas between them."""
    if text is None:
        return None
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise InputError(
            f"{what} {text!r} is not a list of numbers: write it as 0.5,0.3,0.2."
        ) from None


def one_game(spec: str) -> "PreferenceMatrix":
    """The game that a specification names, which must not be a batch of them."""
    from prefdyn import games

    game = games.load(spec)
    if game.batch_shape:
        raise InputError(
            f"{spec} holds a batch of games of shape {game.batch_shape}: give a file with one."
        )
    return game


def described_game(spec: str, game: "PreferenceMatrix") -> dict[str, Any]:
    """A game as plain data, without its matrix."""
    return {
        "name": spec,
        "K": game.K,
        "names": labels(game),
        "votes": None if game.counts is None else float(game.counts.sum()),
        "source": game.source or None,
    }


def labels(game: "PreferenceMatrix") -> list[str]:
    """One name per response."""
    return list(game.names or (f"response {k}" for k in range(game.K)))


def named_by_suffix(path: Path | None, known: tuple[str, ...], what: str) -> None:
    """Refuse a file whose type is not known, before anything is computed."""
    if path is not None and path.suffix.lower() not in known:
        raise InputError(f"{path} is not a {what} file: let its name end in {' or '.join(known)}.")
