"""``prefdyn sweep``: a map over the parameters of a rule, from a configuration."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from prefdyn._errors import InputError

Optional = arg(help_behavior_hint="")


@dataclass(frozen=True)
class Sweep:
    """Run a rule at every point of a grid, block by block; an interrupted sweep can go on.

    The configuration names a rule, axes and what to record:

      reducers = ["entropy", "cycle_strength", "spectral_radius"]
      [rule]
      id = "mrs_ipo"
      game = "rps:0.4"
      alpha = 0.5
      [axes]
      beta = { from = 0.05, to = 2.0, number = 200, spacing = "log" }
      lam = [0.25, 0.5, 1.0]

    For example:
      prefdyn sweep config.toml --plan
      prefdyn sweep config.toml --out maps.zarr --resume
    """

    config: Annotated[Positional[Path], arg(metavar="CONFIG")]
    """TOML file."""
    out: Annotated[Path | None, arg(metavar="DIR"), Optional] = None
    """Folder of the zarr store; needed unless --plan is given."""
    resume: Annotated[bool, Optional] = False
    """Go on with the store, if it is there."""
    workers: Annotated[int, arg(metavar="N")] = 1
    """Processes, one thread each."""
    cluster: Annotated[str | None, arg(metavar="ADDRESS"), Optional] = None
    """Scheduler of a dask cluster whose workers see the store, such as tcp://host:8786."""
    plan: Annotated[bool, Optional] = False
    """Only run a few blocks, and say how many there are and how long they will take."""
    json: Annotated[bool, Optional] = False
    """Print JSON for machines."""

    def answer(self) -> dict[str, Any]:
        """The plan, or the map."""
        from prefdyn._inputs import count
        from prefdyn._sweep import plan_sweep
        from prefdyn.cli._sweep_config import read_config

        if self.out is None and not self.plan:
            raise InputError("there is no --out: give the folder to keep the map in, or --plan.")
        arguments = read_config(self.config)
        if self.plan:
            count(self.workers, "workers")
            found = plan_sweep(**arguments)
            return {
                **vars(found),
                "workers": self.workers,
                "expected": found.expected(self.workers),
            }
        return self._swept(arguments)

    def interrupted(self) -> tuple[str, list[str] | None]:
        """What is kept, and what the command needs to go on."""
        from prefdyn._sweep import blocks_done

        if self.plan:
            return "nothing was written", None
        done = 0 if self.out is None else blocks_done(self.out)
        return f"{done} {'block is' if done == 1 else 'blocks are'} done", ["--resume"]

    def rendered(self, answer: dict[str, Any], width: int) -> Iterator[Any]:
        """What it takes, or what has been recorded and where."""
        from prefdyn.cli._output import facts, table

        if self.plan:
            yield facts(
                points=f"{answer['points']:,}",
                blocks=f"{answer['blocks']:,} of {_product(answer['block'])}",
                run_together=", ".join(answer["together"]) or None,
                one_by_one=", ".join(answer["one_by_one"]) or None,
                size=f"{answer['bytes'] / 1e6:.4g} MB, uncompressed",
                processor_time_of_a_block=_spread(answer["seconds"]),
                expected=f"{_time(answer['expected'])} with {_workers(answer['workers'])}",
            )
            return
        yield table(
            "recorded",
            "over",
            "smallest",
            "largest",
            "missing",
            rows=(
                (
                    found["name"],
                    " × ".join(found["dims"]),
                    found["smallest"],
                    found["largest"],
                    f"{found['missing']:.1%}",
                )
                for found in answer["variables"]
            ),
        )
        if answer["refused"]:
            yield f"Refused: {answer['refused']}"
        blocks = "1 block" if answer["blocks"] == 1 else f"{answer['blocks']:,} blocks"
        yield f"{blocks}, {answer['points']:,} points.  Written: {answer['out']}"

    def _swept(self, arguments: dict[str, Any]) -> dict[str, Any]:
        from prefdyn._sweep import blocks_done, sweep

        command = ["prefdyn", "sweep", str(self.config), "--out", str(self.out)]
        more = {"out": self.out, "resume": self.resume, "command": shlex.join(command)}
        if self.cluster is None:
            found = sweep(**arguments, **more, workers=self.workers)
        else:
            with _client(self.cluster) as client:
                found = sweep(**arguments, **more, client=client)
        assert self.out is not None
        axes = {str(name): found.sizes[name] for name in arguments["axes"]}
        points = 1
        for length in axes.values():
            points *= length
        return {
            "out": str(self.out),
            "axes": axes,
            "points": points,
            "blocks": blocks_done(self.out),
            "variables": [_described(found[name]) for name in sorted(map(str, found.data_vars))],
            "refused": found.attrs["refused"] or None,
            "seed": int(found.attrs["seed"]),
            "fingerprint": found.attrs["fingerprint"],
        }


def _client(address: str) -> Any:
    from distributed import Client

    try:
        return Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise InputError(f"there is no scheduler at {address} ({error}).") from None


def _described(variable: Any) -> dict[str, Any]:
    """A variable in a few numbers; of words, the numbers that stand for them."""
    missing = variable.isnull() if variable.dtype.kind == "f" else variable < 0
    known = variable.where(~missing)
    return {
        "name": str(variable.name),
        "dims": [str(name) for name in variable.dims],
        "missing": float(missing.mean()),
        "smallest": float(known.min()),
        "largest": float(known.max()),
    }


def _product(block: dict[str, int]) -> str:
    return " × ".join(f"{length} {name}" for name, length in block.items())


def _spread(seconds: Any) -> str:
    low, high = min(seconds), max(seconds)
    return f"{low:.3g} to {high:.3g} s ({len(seconds)} measured)" if len(seconds) > 1 else _s(low)


def _s(seconds: float) -> str:
    return f"{seconds:.3g} s"


def _time(seconds: float) -> str:
    for size, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {name}"
    return _s(seconds)


def _workers(number: int) -> str:
    return "1 worker" if number == 1 else f"{number} workers"
