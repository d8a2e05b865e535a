"""``prefdyn games``: which games there are, and what one looks like."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

CELL = 8
"""Columns that a matrix needs per response."""


@dataclass(frozen=True)
class Games:
    """List the built-in games, or look at one: matrix, votes, source, structure.

    For example:
      prefdyn games
      prefdyn games minneapolis
      prefdyn games votes.csv
    """

    name: Annotated[Positional[str | None], arg(metavar="[NAME]", help_behavior_hint="")] = None
    """Name or file to look at; a list of the names by default."""
    json: Annotated[bool, arg(help_behavior_hint="")] = False
    """Print JSON for machines."""

    def answer(self) -> dict[str, Any]:
        """The names, or one game."""
        from prefdyn import games
        from prefdyn.cli._recipe import described_game, one_game

        if self.name is None:
            listed = games.names().items()
            return {"games": [{"name": name, "about": about} for name, about in listed]}
        game = one_game(self.name)
        return {
            "game": described_game(self.name, game) | _provenance(self.name),
            "P": game.P,
            "wins": game.counts,
            "structure": {
                "condorcet_winner": games.condorcet_winner(game),
                "smith_set": games.smith_set(game),
                "copeland": games.copeland(game),
                "transitive": games.is_transitive(game),
                "strongly_transitive": games.is_strongly_transitive(game),
                "strictly_strongly_transitive": games.is_strongly_transitive(game, strict=True),
                "cycle": games.contains_cycle(game),
                "cyclic_share": float(games.cyclic_share(game)),
            },
        }

    def rendered(self, answer: dict[str, Any], width: int) -> Iterator[Any]:
        """The list, or source, matrix, votes and structure."""
        from prefdyn.cli._output import facts, table

        if self.name is None:
            yield table("game", "what it is", rows=(entry.values() for entry in answer["games"]))
            yield "Files of votes or win rates work wherever a name does."
            return
        game = answer["game"]
        yield facts(
            game=game["name"],
            responses=game["K"],
            votes=game["votes"] and f"{game['votes']:,g}",
            source=game["source"],
            licence=game["licence"],
            how=game["how"],
        )
        names = game["names"]
        yield _matrix(names, answer["P"], "win rate of row against column", width, "{:.3f}")
        if answer["wins"] is not None:
            yield _matrix(names, answer["wins"], "votes for row over column", width, "{:.10g}")
        yield facts(**_in_words(game["names"], answer["structure"]))


def _provenance(spec: str) -> dict[str, Any]:
    """Licence of a game's data and how they were made, where its file says so."""
    from prefdyn.games._text import parse_json, read_text
    from prefdyn.games.builtin import DATA

    built_in = DATA / f"{spec.partition(':')[0]}.json"
    path = built_in if built_in.is_file() else Path(spec)
    known = parse_json(read_text(path), path.name) if path.suffix.lower() == ".json" else None
    known = known if isinstance(known, dict) else {}
    return {"licence": known.get("licence"), "how": known.get("how")}


def _matrix(names: list[str], values: Any, title: str, width: int, form: str) -> Any:
    """A matrix as a table, if it is narrow enough to be read as one."""
    from prefdyn.cli._output import table

    if max(map(len, names)) + CELL * len(names) > width:
        return f"\nThe matrix of {title} is wider than {width} columns: it is in --json.\n"
    return table(
        "",
        *(str(k) for k in range(len(names))),
        rows=([f"{k} {names[k]}", *map(float, row)] for k, row in enumerate(values)),
        title=f"\n{title}",
        form=form.format,
    )


def _in_words(names: list[str], structure: dict[str, Any]) -> dict[str, str]:
    winner = structure["condorcet_winner"]
    if structure["strictly_strongly_transitive"]:
        order = "strongly transitive, strictly: rows dominate one another"
    elif structure["strongly_transitive"]:
        order = "strongly transitive, weakly: rows dominate one another, with ties"
    elif structure["transitive"]:
        order = "transitive, but not strongly"
    else:
        order = "not transitive"
    ranking = zip(names, structure["copeland"], strict=True)
    return {
        "Condorcet_winner": "none" if winner is None else names[winner],
        "Smith_set": ", ".join(names[i] for i in structure["smith_set"]),
        "order": order,
        "some_beat_one_another_in_a_ring": "yes" if structure["cycle"] else "no",
        "cyclic_share": f"{structure['cyclic_share']:.3g} (Hodge: what no scoring explains)",
        "Copeland_scores": ", ".join(
            f"{name} {score:g}" for name, score in sorted(ranking, key=lambda pair: -pair[1])
        ),
    }
