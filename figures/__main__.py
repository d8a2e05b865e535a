"""``python -m figures``: draw the figures, check the claims, write the report."""

import shlex
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import Annotated

import tyro

from figures import ORDER, OUTPUT
from figures._make import key_of, make, stored
from figures._pool import Job, Outcome, run
from prefdyn import InputError
from prefdyn._files import exclusive
from prefdyn._progress import track


@dataclass(frozen=True)
class Options:
    """Draw figures into figures/output; whatever is already drawn from the same sources is kept."""

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Figures to draw; all by default."""
    report: bool = False
    """Also check all claims and write report/index.html."""
    full: bool = False
    """The full sizes of the papers' experiments, which take much longer."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Seed of all randomness."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if everything was drawn, 1 if something failed, 2 for a wrong argument."""
    options = tyro.cli(Options, args=arguments, prog="python -m figures")
    if unknown := [name for name in options.names if name not in ORDER]:
        print(
            f"There is no figure {unknown[0]!r}: choose from {', '.join(ORDER)}.", file=sys.stderr
        )
        return 2
    try:
        with exclusive(OUTPUT):
            return _draw(options)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2


def _draw(options: Options) -> int:
    """Do what is asked for, and say what came of it."""
    began = time.perf_counter()
    outcomes = _outcomes(_jobs(options))
    seconds = time.perf_counter() - began
    failures = [sentence for outcome in outcomes if (sentence := _failure(outcome))]
    print(f"{_summary(outcomes)}; {seconds:.0f} s")
    if options.report:
        from figures import _validation
        from figures._report import write

        validation = _validation.read()
        print("report:", write(outcomes, seconds, options.seed, options.full, validation))
    print(*failures, sep="\n", end="\n" if failures else "", file=sys.stderr)
    return int(bool(failures))


def _summary(outcomes: list[Outcome]) -> str:
    """How many claims have which verdict, and how many figures were drawn, in one line."""
    verdicts = Counter(
        (outcome.record or {}).get("verdict", "fails")
        for outcome in outcomes
        if outcome.job.kind == "claim"
    )
    drawn = sum(outcome.record is not None for outcome in outcomes if outcome.job.kind == "figure")
    claims = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.most_common())
    figures = f"{drawn} figures in {OUTPUT}"
    return f"claims: {claims}; {figures}" if claims else figures


def _failure(outcome: Outcome) -> str:
    """What went wrong with a job, if anything: it raised, or its claim fails."""
    what = f"{outcome.job.kind} {outcome.job.name}"
    if outcome.error:
        return f"{what} failed: {outcome.error}"
    fails = outcome.record is not None and outcome.record.get("verdict") == "fails"
    return f"{what} fails; see the report for its instance" if fails else ""


def _jobs(options: Options) -> list[tuple[Job, dict | None]]:
    """Every job with its stored record, if there is one; the long ones, figures, go first."""
    seed, full = options.seed, options.full
    jobs = [
        (Job("figure", name, make, (name, seed, full, key)), stored(name, key))
        for name in options.names or ORDER
        for key in [key_of(name, seed, full)]
    ]
    if options.report:
        from figures import _claims

        jobs += [
            (Job("claim", id, _claims.check, (id, seed)), _claims.stored(id, seed))
            for id in _claims.ids()
        ]
    return jobs


def _outcomes(jobs: list[tuple[Job, dict | None]]) -> list[Outcome]:
    """Recall what is stored, run the rest, and keep the order."""
    done = {(job.kind, job.name): Outcome(job, record) for job, record in jobs if record}
    missing = [job for job, record in jobs if not record]
    for outcome in track(run(missing), "drawing and checking", total=len(jobs), done=len(done)):
        done[outcome.job.kind, outcome.job.name] = outcome
    return [done[job.kind, job.name] for job, _ in jobs]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        again = shlex.join(["python", "-m", "figures", *sys.argv[1:]])
        print(f"Interrupted; finished figures are kept, go on with: {again}", file=sys.stderr)
        sys.exit(130)
