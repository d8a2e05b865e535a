"""``prefdyn diagnose``: what a training log shows, and what to change."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from prefdyn.cli._recipe import Flag, named_by_suffix

if TYPE_CHECKING:
    from prefdyn import Diagnosis, RunLog
    from prefdyn.runlog import Series

PICTURES = (".png", ".svg", ".pdf")


@dataclass(frozen=True, kw_only=True)
class Diagnose:
    """Say what the log of a preference run shows: displacement, squeezing, oscillation, and advice.

    Reads trainer_state.json and output folders of transformers and TRL, JSON lines, CSV (also of
    wandb), trackio, and the logs of prefdyn train and prefdyn iterate.

    For example:
      prefdyn diagnose trainer_state.json
      prefdyn diagnose trainer_state.json --beta 0.1 --plot run.png
    """

    log: Annotated[Positional[Path], arg(metavar="LOG")]
    """Log of a run, or the folder it is in."""
    beta: Annotated[float | None, arg(metavar="BETA", help_behavior_hint="")] = None
    """Pull to the reference, where the log does not say."""
    run: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    """Which run, where a file holds several."""
    plot: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """Draw the log with what was found (png, svg or pdf)."""
    json: Flag = False
    """Print JSON for machines."""

    def answer(self) -> dict[str, Any]:
        """Read, diagnose, and draw."""
        import prefdyn

        named_by_suffix(self.plot, PICTURES, "picture")
        log = prefdyn.read_log(self.log, beta=self.beta, run=self.run)
        diagnosis = prefdyn.diagnose(log)
        return {
            "log": _described(log),
            "findings": [asdict(finding) for finding in diagnosis.findings],
            "sentences": diagnosis.sentences,
            "series": [_summary(one) for one in log.series.values()],
            "modes": _modes(diagnosis),
            "refused": dict(diagnosis.refused),
            "files": list(self._draw(diagnosis)),
        }

    def rendered(self, answer: dict[str, Any], width: int) -> Iterator[Any]:
        """What was found, worst first; then the numbers, and how they were read."""
        from prefdyn.cli._output import facts, table

        log = answer["log"]
        yield from (f"{sentence}\n" for sentence in answer["sentences"])
        settings = ", ".join(f"{name} = {value}" for name, value in log["settings"].items())
        yield ""
        yield facts(
            log=log["source"],
            format=log["format"],
            steps=f"{log['steps'][0]} to {log['steps'][1]}",
            rounds=log["rounds"],
            settings=settings or None,
            unknown=", ".join(log["unknown"]) or None,
        )
        shown = ("first", "lowest", "highest", "last")
        rows = [
            [f"{one['name'].replace('_', ' ')} ({one['split']})", *(one[name] for name in shown)]
            for one in answer["series"]
        ]
        yield table("series", *shown, rows=rows)
        for note in log["notes"]:
            yield f"Note: {note}"
        for file in answer["files"]:
            yield f"Written: {file}"

    def _draw(self, diagnosis: "Diagnosis") -> Iterator[str]:
        from prefdyn._files import write_atomically

        if self.plot is not None:
            write_atomically(self.plot, lambda path: _picture(path, diagnosis))
            yield str(self.plot)


def _described(log: "RunLog") -> dict[str, Any]:
    bounds = [one.steps[[0, -1]] for one in log.series.values()]
    return {
        "source": log.source,
        "format": log.format,
        "steps": [min(int(first) for first, _ in bounds), max(int(last) for _, last in bounds)],
        "rounds": None if log.rounds is None else len(log.rounds) - 1,
        "settings": dict(log.settings),
        "unknown": log.unknown,
        "notes": log.notes,
    }


def _summary(series: "Series") -> dict[str, Any]:
    """Where a series begins, how far it goes, and where it ends."""
    return {
        "name": series.name,
        "split": series.split,
        "column": series.column,
        "readings": len(series.values),
        "first": float(series.values[0]),
        "lowest": float(series.values.min()),
        "highest": float(series.values.max()),
        "last": float(series.values[-1]),
    }


def _modes(diagnosis: "Diagnosis") -> dict[str, Any] | None:
    modes = diagnosis.modes
    return None if modes is None else {f.name: getattr(modes, f.name) for f in fields(modes)}


def _picture(path: Path, diagnosis: "Diagnosis") -> None:
    import matplotlib

    matplotlib.use("agg")  # a file needs no display
    from matplotlib import pyplot

    from prefdyn import plots
    from prefdyn.plots import house

    with house.style(), matplotlib.rc_context({"text.parse_math": False}):
        plots.run_log(diagnosis)
        figure = pyplot.gcf()
        try:
            figure.savefig(path, dpi=200)
        finally:
            pyplot.close(figure)
