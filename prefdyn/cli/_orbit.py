"""``prefdyn orbit``: run a recipe and say what the run did."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from prefdyn._errors import InsufficientData
from prefdyn.cli._recipe import (
    Recipe,
    Text,
    described_game,
    labels,
    named_by_suffix,
    one_game,
    probabilities,
)

if TYPE_CHECKING:
    from prefdyn import Orbit as Run
    from prefdyn.rules import Rule

PICTURES = (".png", ".svg", ".pdf")
PATH = 50
"""Policies that a portrait joins by a line; more would hide each other."""


@dataclass(frozen=True, kw_only=True)
class Orbit(Recipe):
    """Run a recipe round by round: where it ends, whether it cycles, and how fast.

    For example:
      prefdyn orbit rps:0.4 --alpha 0.5 --lam 1 --beta 0.15 --plot rps.png
      prefdyn orbit minneapolis --objective dpo --alpha 0 --lam 1 --beta 0.1 --csv run.csv
    """

    beta: Annotated[float, arg(metavar="BETA")]
    """Pull to the reference, above 0; larger stays closer."""
    rounds: Annotated[int, arg(metavar="N")] = 1000
    """Most rounds to run."""
    start: Text = None
    """Policy to start from: probabilities, mildly ranked by default."""
    votes: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    """Estimate the game afresh in every round from N votes per pair."""
    kappa: Annotated[float | None, arg(metavar="SHARE", help_behavior_hint="")] = None
    """Execute only this share of every round, above 0 and up to 1."""
    plot: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """Draw the run (png, svg or pdf): on the simplex for three responses, else over the rounds."""
    csv: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """Write the policy of every round."""

    def answer(self) -> dict[str, Any]:
        """Run, measure, and write the files asked for."""
        import prefdyn
        from prefdyn._inputs import count

        named_by_suffix(self.plot, PICTURES, "picture")
        named_by_suffix(self.csv, (".csv",), "CSV")
        game = one_game(self.game)
        rule = self._rule(game)
        start = probabilities(self.start, "start")
        seed = count(self.seed, "seed", least=0)
        run = prefdyn.orbit(rule, start, self.rounds, seed=seed)
        files = list(self._write(rule, run, labels(game)))
        return {
            "game": described_game(self.game, game),
            "recipe": self.described(votes=self.votes, kappa=self.kappa),
            "rounds": int(run.rounds[-1]),
            "reason": run.reason,
            "seed": run.seed,
            "final_policy": run.policies[-1],
            "entropy": _entropy(run),
            **_measured(run),
            "files": files,
        }

    def rendered(self, answer: dict[str, Any], width: int) -> Iterator[Any]:
        """Why it stopped, what was measured, and where it ended."""
        from prefdyn.cli._output import facts, number, policy_table

        refused = answer["refused"]
        measured = {
            name: refused.get(name) or number(answer[name])
            for name in ("cycle_strength", "period", "recurrence")
        }
        if "period" not in refused:
            measured["period"] += " rounds per turn"
        yield answer["reason"][0].upper() + answer["reason"][1:] + "."
        yield facts(
            game=f"{answer['game']['name']} ({answer['game']['K']} responses)",
            source=answer["game"]["source"],
            rounds=answer["rounds"],
            entropy=f"{answer['entropy']:.4g} nats",
            **measured,
            seed=answer["seed"],
        )
        yield policy_table(
            answer["game"]["names"],
            answer["final_policy"],
            f"probability in round {answer['rounds']}",
        )
        for file in answer["files"]:
            yield f"Written: {file}"

    def _rule(self, game: Any) -> "Rule":
        from prefdyn._advice import recipe
        from prefdyn.rules import FiniteSample, Inexact

        rule = recipe(game, self.objective, self.beta, self.alpha, self.lam, **self.fixed())
        if self.kappa is not None:
            rule = Inexact(rule, self.kappa)
        return rule if self.votes is None else FiniteSample(rule, self.votes)

    def _write(self, rule: "Rule", run: "Run", names: list[str]) -> Iterator[str]:
        from prefdyn._files import write_atomically

        if self.csv is not None:
            write_atomically(self.csv, lambda path: _write_csv(path, run, names))
            yield str(self.csv)
        if self.plot is not None:
            write_atomically(self.plot, lambda path: _draw(path, rule, run, names, self))
            yield str(self.plot)


def _entropy(run: "Run") -> float:
    from prefdyn.policies.softmax import entropy

    return float(entropy(run.log_policies[-1]))


def _measured(run: "Run") -> dict[str, Any]:
    """Cycle strength, period and recurrence, or why the run does not support them."""
    import prefdyn
    from prefdyn._simulate import TAIL_ROUNDS

    if run.settled:
        # It stays where it is, however few rounds that took.
        settled = {"cycle_strength": 0.0, "period": None, "recurrence": 1}
        return settled | {"refused": {"period": "none: the run has settled"}}
    tail = run.policies[len(run.policies) // 3 :][-TAIL_ROUNDS:]
    refused: dict[str, str] = {}

    def tried(name: str, estimate: Callable[[], Any]) -> Any:
        try:
            return estimate()
        except InsufficientData as error:
            refused[name] = f"refused: {error}"
            return None

    measured = {
        "cycle_strength": tried(
            "cycle_strength", lambda: float(prefdyn.cycle_strength(run.policies))
        ),
        "period": tried("period", lambda: float(prefdyn.period(tail, burn_in=0))),
        "recurrence": tried("recurrence", lambda: prefdyn.recurrence(tail, burn_in=0)),
    }
    if measured["recurrence"] is None:
        refused.setdefault("recurrence", "none: the run does not return to where it was")
    return measured | {"refused": refused}


def _write_csv(path: Path, run: "Run", names: list[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["round", *names])
        for number, policy in zip(run.rounds.tolist(), run.policies.tolist(), strict=True):
            rows.writerow([number, *policy])


def _draw(path: Path, rule: "Rule", run: "Run", names: list[str], recipe: Orbit) -> None:
    import matplotlib

    matplotlib.use("agg")  # a file needs no display
    from matplotlib import pyplot

    # Names are names, not formulas; and the same run gives the same file.
    with matplotlib.rc_context({"text.parse_math": False, "svg.hashsalt": "prefdyn"}):
        figure = _picture(rule, run, names, recipe.alpha == 1).figure
        shares = f"alpha = {recipe.alpha:g}, lam = {recipe.lam:g}, beta = {recipe.beta:g}"
        figure.suptitle(
            f"{Path(recipe.game).name}, {recipe.objective}: {shares}", fontsize="medium"
        )
        dated = {".svg": "Date", ".pdf": "CreationDate"}.get(path.suffix.lower())
        try:
            figure.savefig(path, dpi=200, metadata={dated: None} if dated else None)
        finally:
            pyplot.close(figure)


def _picture(rule: "Rule", run: "Run", names: list[str], last_iterate: bool) -> Any:
    """The first rounds as a path over the simplex and the others as dots; else lines."""
    from matplotlib import pyplot

    from prefdyn import plots

    if len(names) != 3:
        wide = pyplot.figure(figsize=(8, 4.5), layout="constrained")
        return plots.orbit(run, wide.add_subplot(), names=names)
    if last_iterate:  # without a fixed reference there may be no fixed point to mark
        ax = plots.flow(plots.streamlines(rule), plots.simplex_axes(3, names))
    else:
        ax = plots.portrait(rule, names=names, attractor=False)
    plots.cycle(run.policies[PATH:], ax)
    return plots.path(run.policies[:PATH], ax)
