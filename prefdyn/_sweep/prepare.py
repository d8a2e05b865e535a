"""What a sweep is, before any block is computed: axes, blocks, results, and who it is."""

import hashlib
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np

from prefdyn import _measures
from prefdyn._content import feed
from prefdyn._errors import InputError
from prefdyn._inputs import count
from prefdyn._simulate import TAIL_ROUNDS
from prefdyn._sweep import axes as reading
from prefdyn._sweep import questions
from prefdyn._sweep.axes import REPEAT, START, Line
from prefdyn._sweep.blocks import Grid, cut
from prefdyn._sweep.compute import Result, Work
from prefdyn._sweep.factory import as_factory, tried
from prefdyn._sweep.questions import RESPONSE
from prefdyn._sweep.run import Block
from prefdyn._sweep.store import MARKS, Store
from prefdyn.games import PreferenceMatrix
from prefdyn.rules._rule import Rule

WORK = 2e8
"""Updated log-probabilities in a block: about half a second of a compiled rule's rounds."""
STEPWISE = 20
"""How many updates of a compiled rule cost as much as one of a rule that runs step by step."""
ASKED, ASKED_ALONE = 2e4, 1e6
"""How many updates a question counts for, asked of many points at once or of one."""
MEMORY = 2**27
"""Most bytes that the results and the kept rounds of a block may take."""
LIBRARIES = ("prefdyn", "numpy", "scipy", "numba", "torch")
"""Packages whose versions can change a bit of a result."""


@dataclass(frozen=True)
class Prepared:
    """A sweep that is ready to run.

    Attributes
    ----------
    lines
        The axes.
    work
        What is done at every point.
    grid
        The blocks.
    results
        What is recorded, by name.
    responses
        Coordinate of the responses; None if no result has them as an axis.
    seed
        Of all randomness.
    identity
        What must be equal for a store to be this sweep's.
    """

    lines: tuple[Line, ...]
    work: Work
    grid: Grid
    results: dict[str, Result]
    responses: Any
    seed: int
    identity: dict[str, Any]

    def block(self, store: Store, index: int) -> Block:
        """One of the blocks, with its stretch of each axis."""
        where = self.grid.where(index)
        lines = tuple(line.part(s) for line, s in zip(self.lines, where, strict=True))
        return Block(store, self.work, lines, index, self.seed)

    @property
    def bytes(self) -> int:
        """Size of the map."""
        return sum(known.bytes(self.grid.shape) for known in self.results.values())


def prepare(
    rule_factory: Any,
    axes: Mapping[str, Any],
    reducers: Any,
    *,
    rounds: int,
    burn_in: float,
    seed: int,
    work: float,
) -> Prepared:
    """Check everything that can be checked beforehand; the parameters are those of `sweep`."""
    lines = reading.read(axes)
    runs, asked = questions.read(reducers)
    rounds, seed = count(rounds, "rounds"), count(seed, "seed", least=0)
    _measures.after_burn_in(np.zeros((rounds, 1)), burn_in)  # refuses runs that are too short
    if not work > 0:
        raise InputError(f"work is {work:g}: it must be above 0.")
    make, rule, fingerprints = as_factory(rule_factory, lines)
    _check_repeats(rule, lines, asked)
    done = Work(tried(make, lines), runs, asked, rounds, burn_in)
    results = done.results(lines, rule.K)
    _check_names(lines, results)
    grid = _grid(lines, done, results, rule, work)
    identity = {
        "axes": [line.name for line in lines],  # in this order: blocks are counted along them
        **{f"axis {line.name}": f"{len(line)} values, {_digest(line)}" for line in lines},
        "fingerprint": hashlib.sha256("".join(fingerprints).encode()).hexdigest()[:16],
        "reducers": list(runs),
        "questions": {question.name: question.digest() for question in asked},
        "rounds": rounds,
        "burn_in": burn_in,
        "seed": seed,
        "block": list(grid.block),
        "together": dict(done.source.forms),
        "versions": versions(),
    }
    per_response = any(RESPONSE in known.extra for known in results.values())
    responses = _responses(rule, lines) if per_response else None
    return Prepared(lines, done, grid, results, responses, seed, identity)


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    return {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}


def _check_repeats(rule: Rule, lines: tuple[Line, ...], asked: Any) -> None:
    repeated = any(line.name == REPEAT for line in lines)
    if repeated and not rule.stochastic and not any("seed" in q.wants for q in asked):
        raise InputError(
            f"{type(rule).__name__} draws no random numbers, so its repeats are all alike: "
            "leave out the axis 'repeat'."
        )


def _check_names(lines: tuple[Line, ...], results: dict[str, Result]) -> None:
    taken = {RESPONSE, MARKS, "start_policy", *results}
    for line in lines:
        if line.name in taken:
            raise InputError(
                f"{line.name!r} is an axis and a result: give the result another name."
                if line.name in results
                else f"no axis can have the name {line.name!r}, which is reserved."
            )


def _grid(lines, work: Work, results: dict[str, Result], rule: Rule, most: float) -> Grid:
    """Blocks of so much work, along the axes that are run together where that is possible."""
    updates = work.rounds * rule.K if work.reducers else 0.0
    keeps_tail = bool({"period", "recurrence"} & set(work.reducers))
    if keeps_tail or rule.stochastic or rule.compiled(rule.K) is None:
        updates *= STEPWISE
    for question in work.questions:  # shared by all points that differ in other axes only
        matter = results[question.name].axes
        sharing = math.prod(len(line) for i, line in enumerate(lines) if i not in matter)
        updates += (ASKED if question.batched else ASKED_ALONE) / sharing
    size = sum(known.bytes((1,) * len(lines)) for known in results.values())
    if keeps_tail:
        size += 8 * rule.K * min(work.rounds, TAIL_ROUNDS)
    points = max(1, int(min(most / updates, MEMORY / size)))
    # Starts and repeats first, so that questions about the rule alone are in as many blocks as can
    # be; then what is run together, the last axis first.
    order = sorted(
        range(len(lines)),
        key=lambda i: (
            lines[i].name not in (START, REPEAT),
            lines[i].name not in work.source.forms,
            -i,
        ),
    )
    return cut(tuple(map(len, lines)), points, order)


def _digest(line: Line) -> str:
    """Hash of an axis' values and names."""
    found = hashlib.sha256(repr(line.labels.tolist()).encode())
    values = line.values
    feed(found, values.P if isinstance(values, PreferenceMatrix) else values)
    return found.hexdigest()[:16]


def _responses(rule: Rule, lines: tuple[Line, ...]) -> Any:
    """Names of the responses, where all points share a game that has them; else their numbers."""
    games = [line.values for line in lines if isinstance(line.values, PreferenceMatrix)]
    game = games[0] if games else getattr(rule, "game", None)
    names = getattr(game, "names", None)
    return list(names) if names else list(range(rule.K))
