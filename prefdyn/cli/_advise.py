"""``prefdyn advise``: from the configuration of a trainer to a recipe and a verdict."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from prefdyn.cli._recipe import Flag, described_game, one_game

if TYPE_CHECKING:
    from prefdyn.pipeline import Outlook, Translation

REFERENCE_GAMES = ("rps:0.1", "rps:0.4", "cyclic", "minneapolis", "pandalm", "arxiv")
"""Games that a pipeline is tried on where none is given."""
SMALL_GAMES = REFERENCE_GAMES[:3]
"""The same for objectives other than IPO and DPO, whose rounds take seconds on more responses."""
Share = Annotated[float | None, arg(metavar="SHARE", help_behavior_hint="")]
Count = Annotated[int | None, arg(metavar="N", help_behavior_hint="")]


@dataclass(frozen=True, kw_only=True)
class Advise:
    """Translate a trainer's configuration into a recipe, show how, and judge it.

    Reads YAML (trl dpo --config), JSON (saved training arguments) and TOML; knows TRL's DPO, CPO,
    KTO, ORPO, TPO, online DPO, Nash-MD and XPO trainers.  For a recipe that you have already there
    is prefdyn stability.

    For example:
      prefdyn advise --from dpo.yaml
      prefdyn advise --from dpo.yaml --rounds 3 --rounds-from current --game votes.csv
      prefdyn advise --from online.yaml --kappa 0.05 --game rps:0.4
    """

    from_: Annotated[Path, arg(name="from", metavar="CONFIG")]
    """Configuration file (.yaml, .json, .toml)."""
    trainer: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    """Trainer it is for, where its settings fit several: dpo, cpo, kto, orpo, tpo, online_dpo, …"""
    game: Annotated[str | None, arg(metavar="GAME", help_behavior_hint="")] = None
    """Game to judge it on: vote or matrix file, or a name; several small ones by default."""
    rounds: Count = None
    """How often the trainer is run on new data; by default what the file says, or once."""
    rounds_from: Annotated[
        Literal["current", "fixed"] | None, arg(metavar="WHICH", help_behavior_hint="")
    ] = None
    """Reference of a round: current (the policy it starts from) or fixed (the first one)."""
    alpha: Share = None
    """Geometric share of the policy in the next reference, where it is neither."""
    lam: Share = None
    """Share of a round's pairs that are new and from the policy; the rest are a fixed set."""
    kappa: Share = None
    """Fraction of the way to its optimum that a round goes, as prefdyn iterate measures it."""
    tokens: Annotated[float | None, arg(metavar="N", help_behavior_hint="")] = None
    """Mean tokens of a response, for losses that are means per token."""
    steps: Count = None
    """Optimiser steps of a run; by default max_steps of the file."""
    far_starts: Annotated[int, arg(metavar="N")] = 64
    """Starts far from the fixed point that must come home before a game passes."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """Seed of all randomness."""
    json: Flag = False
    """Print JSON for machines."""

    def answer(self) -> dict[str, Any]:
        """The translation, and a verdict on one game or on several."""
        from prefdyn._inputs import count
        from prefdyn.pipeline import everywhere, read_config, translate

        count(self.seed, "seed", least=0)
        count(self.far_starts, "far-starts")
        game = None if self.game is None else one_game(self.game)
        made = translate(
            read_config(self.from_, self.trainer),
            alpha=self.alpha,
            lam=self.lam,
            kappa=self.kappa,
            tokens=self.tokens,
            rounds=self.rounds,
            rounds_from=self.rounds_from,
            steps=self.steps,
        )
        return {
            "config": {
                "source": made.config.source,
                "trainer": made.config.trainer,
                "unknown": made.config.unknown,
            },
            "recipe": _recipe(made),
            "rows": [asdict(row) for row in made.rows],
            "assumptions": made.assumptions,
            "notes": made.notes,
            "every_game": everywhere(made),
            "game": game and described_game(str(self.game), game),
            "outlook": game and asdict(self._judged(made, game, self.far_starts)),
            "games": [] if game or made.needs_tokens else list(self._tried(made)),
        }

    def rendered(self, answer: dict[str, Any], width: int) -> Iterator[Any]:
        """Translation first, then what follows."""
        from prefdyn.cli._output import facts, policy_table, table

        for name, hint in answer["config"]["unknown"].items():
            yield f"Not known to this trainer, and left out: {name}{hint}"
        yield table(
            "setting",
            "means",
            "because",
            rows=([row["setting"], row["quantity"], _because(row)] for row in answer["rows"]),
            title=f"\n{self.from_.name}, for TRL's {answer['config']['trainer']} trainer",
        )
        recipe = answer["recipe"]
        names = ("objective", "beta", "alpha", "lam", "kappa")
        yield facts(**{name: recipe[name] for name in names})
        assumed = [f"- {text}" for text in answer["assumptions"]]
        yield "\n".join(["", *(["Assumed:", *assumed, ""] if assumed else ())])
        yield "\n".join([*answer["notes"], *answer["every_game"], ""])
        if answer["outlook"]:
            yield f"On {answer['game']['name']}: {answer['outlook']['word']}."
            yield "\n".join([*answer["outlook"]["sentences"], ""])
            if answer["outlook"]["policy"] is not None:
                names = answer["game"]["names"]
                drifts = answer["outlook"]["word"] == "drifts"
                where = "probability at the end" if drifts else "probability at rest"
                yield policy_table(names, answer["outlook"]["policy"], where)
        elif answer["games"]:
            yield _games_table(answer["games"])
            told = (game["sentences"] for game in answer["games"] if game["word"] == "not known")
            yield from dict.fromkeys(sentence for sentences in told for sentence in sentences)
            yield "Small games without far starts; yours: --game votes.csv."
        elif not answer["outlook"]:
            yield "Beta is per token: give --tokens to get a verdict."

    def _judged(self, made: "Translation", game: Any, far_starts: int) -> "Outlook":
        from prefdyn._progress import working
        from prefdyn.pipeline import judge

        with working("judging"):
            return judge(made, game, far_starts=far_starts, seed=self.seed)

    def _tried(self, made: "Translation") -> Iterator[dict[str, Any]]:
        from prefdyn._progress import track

        names = REFERENCE_GAMES if isinstance(made.on_table, str) else SMALL_GAMES
        for name in track(names, "games"):
            yield {"name": name, **asdict(self._judged(made, one_game(name), 0))}


def _recipe(made: "Translation") -> dict[str, Any]:
    names = ("kind", "beta", "alpha", "lam", "kappa", "mixture", "mixing", "periods", "rounds")
    on_table = made.on_table if isinstance(made.on_table, str) else made.on_table.id
    return {
        "objective": on_table,
        "trained": made.objective.id,
        **{name: getattr(made, name) for name in names},
    }


def _because(row: dict[str, Any]) -> str:
    return row["why"] if row["claim"] is None else f"{row['why']} ({row['claim']})"


def _games_table(games: list[dict[str, Any]]) -> Any:
    """What becomes of the pipeline on several games; columns that stay empty are left out."""
    from prefdyn.cli._output import number, table

    def cell(value: float | None) -> str:
        return "" if value is None else number(value)

    columns = {
        "game": [game["name"] for game in games],
        "word": [game["word"] for game in games],
        "spectral radius": [cell(game["spectral_radius"]) for game in games],
        "stable below kappa": [
            "any" if (game["largest_kappa"] or 0) > 1 else cell(game["largest_kappa"])
            for game in games
        ],
        "largest probability at rest": [
            "" if game["policy"] is None else number(float(max(game["policy"]))) for game in games
        ],
    }
    filled = {name: cells for name, cells in columns.items() if any(cells)}
    return table(*filled, rows=zip(*filled.values(), strict=True))
