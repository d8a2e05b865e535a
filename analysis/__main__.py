"""``python -m analysis [ID ...]``: check the claims and print the verdicts."""

import argparse
import json
import shlex
import signal
import sys
from itertools import count

from analysis import ClaimResult, run
from prefdyn import InputError, claims
from prefdyn._progress import working

STYLES = {"holds": "green", "fails": "bold red", "reported": "yellow", "not_run": "dim"}


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if no claim fails, 1 if one does, 2 for a wrong argument."""
    options = _parser().parse_args(arguments)
    if not options.scale > 0:
        print(f"--scale is {options.scale:g}: it must be above 0.", file=sys.stderr)
        return 2
    try:
        wanted = [claims.get(id).id for id in options.ids or [c.id for c in claims.all()]]
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    results = _run(wanted, options)
    if options.json:
        print(json.dumps(results, indent=1, allow_nan=False))
    else:
        _print(results)
    return int(any(result["verdict"] == "fails" for result in results))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m analysis", description=main.__doc__)
    parser.description = "Check prefdyn's claims on random instances and print the verdicts."
    parser.add_argument("ids", nargs="*", metavar="ID", help="claims, e.g. MRS-5; all by default")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--seed", type=int, default=0, help="seed of the instances (0)")
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the instances (1)")
    return parser


def _run(ids: list[str], options: argparse.Namespace) -> list[ClaimResult]:
    done = count(1)
    with working("checking claims", total=len(ids)) as bar:
        return run(
            ids,
            seed=options.seed,
            workers=options.workers,
            scale=options.scale,
            progress=lambda result: bar.update(next(done)),
        )


def _print(results: list[ClaimResult]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("claim", "statement", "origin", box=None, pad_edge=False)
    table.add_column("instances", justify="right")
    table.add_column("worst error", justify="right")
    table.add_column("tolerance", justify="right")
    table.add_column("verdict")
    for result in results:
        error, tolerance = result["worst_error"], result["tolerance"]
        table.add_row(
            result["id"],
            result["title"],
            ", ".join(dict.fromkeys(claims.get(result["id"]).origins)),
            f"{result['instances']:,}",
            "" if error is None else f"{error:.1e}",
            "" if tolerance is None else f"{tolerance:.0e}",
            f"[{STYLES[result['verdict']]}]{result['verdict']}",
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(table)
    for result in results:
        for check in result["checks"]:
            if check["note"] or check["verdict"] == "fails":
                what = check["note"] or f"violated in {check['violations']}: {check['worst']}"
                console.print(f"{result['id']}, {check['part']}: {what}", markup=False)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        again = shlex.join(["python", "-m", "analysis", *sys.argv[1:]])
        print(f"Interrupted; finished claims are kept, go on with: {again}", file=sys.stderr)
        sys.exit(130)
