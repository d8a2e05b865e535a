"""The results of one block of a sweep."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InsufficientData, NoOptimum
from prefdyn._simulate import ensemble
from prefdyn._sweep.axes import REPEAT, START, Line
from prefdyn._sweep.factory import Source
from prefdyn._sweep.questions import REDUCED, RESPONSE, Question

PER_RESPONSE = {"last_policy", "last_log_policy", "mean_policy"}
REFUSALS = (NoOptimum, InsufficientData)

Piece = tuple[slice, ...]


@dataclass(frozen=True)
class Result:
    """What is known of a result before anything is computed.

    Attributes
    ----------
    axes
        Which axes of the sweep it depends on, by their place.
    extra
        Name and length of each axis of its own.
    dtype, fill, attributes
        How it is stored: type, value where there is none, attributes.
    """

    axes: tuple[int, ...]
    extra: dict[str, int]
    dtype: str
    fill: float
    attributes: dict[str, Any]

    def size(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of its array for a block, or a map, of this shape."""
        return (*(shape[i] for i in self.axes), *self.extra.values())

    def bytes(self, shape: tuple[int, ...]) -> int:
        """Size of its array for a block, or a map, of this shape."""
        return math.prod(self.size(shape)) * np.dtype(self.dtype).itemsize

    def empty(self, shape: tuple[int, ...]) -> np.ndarray:
        """Its array for a block of this shape, without values."""
        return np.full(self.size(shape), self.fill, dtype=self.dtype)

    def place(self, where: tuple[slice, ...]) -> tuple[slice, ...]:
        """Where a block's values stand."""
        return tuple(where[i] for i in self.axes)

    def belongs(self, where: tuple[slice, ...]) -> bool:
        """Whether a block is to give it: only the first along axes that it does not depend on."""
        return all(s.start == 0 for i, s in enumerate(where) if i not in self.axes)


@dataclass(frozen=True)
class Work:
    """What is done at every point, wherever it is done.

    Attributes
    ----------
    source
        Makes rules and starts.
    reducers
        Names of what `ensemble` records.
    questions
        What is asked of the rule.
    rounds, burn_in
        As of `ensemble`.
    """

    source: Source
    reducers: tuple[str, ...]
    questions: tuple[Question, ...]
    rounds: int
    burn_in: float

    def results(self, lines: tuple[Line, ...], K: int) -> dict[str, Result]:
        """What there will be, by name."""
        found = {}
        for name in self.reducers:
            long_name, units = REDUCED[name]
            extra = {RESPONSE: K} if name in PER_RESPONSE else {}
            attributes = {"long_name": long_name, "units": units}
            found[name] = Result(tuple(range(len(lines))), extra, "f8", np.nan, attributes)
        for question in self.questions:
            attributes: dict[str, Any] = {"long_name": question.long_name or question.name}
            if question.words:
                attributes["flag_values"] = list(range(len(question.words)))
                attributes["flag_meanings"] = " ".join(question.words)
            else:
                attributes["units"] = question.units
            dtype, fill = ("i1", -1) if question.words else ("f8", np.nan)
            axes = tuple(i for i, line in enumerate(lines) if _matters(question, line))
            found[question.name] = Result(axes, dict(question.dims), dtype, fill, attributes)
        return found


class Refused(dict[str, tuple[int, str]]):
    """How many points were refused, by result, and the first sentence why."""

    def add(self, name: str, sentence: str, number: int = 1) -> None:
        """Count a refusal; of several sentences the first stays."""
        before, first = self.get(name, (0, sentence))
        self[name] = (before + number, first)


def compute(
    work: Work, lines: tuple[Line, ...], results: dict[str, Result], key: tuple[int, ...]
) -> tuple[dict[str, np.ndarray], Refused]:
    """The asked results of a block.

    Parameters
    ----------
    work
        What is done.
    lines
        The block's stretch of each axis.
    results
        Those of `Work.results` that this block is to give.
    key
        Seed of the sweep and index of the block: where the block's randomness comes from.
    """
    arrays = {name: known.empty(tuple(map(len, lines))) for name, known in results.items()}
    refused = Refused()
    if any(name in results for name in work.reducers):
        _simulate(work, lines, key, arrays, refused)
    for question in work.questions:
        if question.name in results:
            axes = results[question.name].axes
            own = tuple(lines[i] for i in axes)
            others = tuple(line for i, line in enumerate(lines) if i not in axes)
            _ask(work.source, question, own, others, key, arrays[question.name], refused)
    return arrays, refused


def _simulate(work: Work, lines, key, arrays, refused: Refused) -> None:
    """Fill in what is reduced from runs."""

    def measured(piece: Piece) -> Any:
        here = _cut(lines, piece)
        rule = work.source.rule(here)
        return ensemble(
            rule,
            log_starts=work.source.log_starts(rule, here),
            rounds=work.rounds,
            reducers=work.reducers,
            burn_in=work.burn_in,
            seed=_seed(key, piece),
            progress=False,
        )

    for piece, found in _attempts(measured, _pieces(lines, set(work.source.forms))):
        for name in work.reducers:
            if isinstance(found, Exception):
                refused.add(name, str(found))
            else:
                target = arrays[name][piece]
                target[...] = np.asarray(found[name]).reshape(target.shape)


def _ask(source: Source, question: Question, lines, others, key, array, refused: Refused) -> None:
    """Fill in the answers to one question; those axes that it does not depend on are `others`."""
    if not question.batched:
        source = Source(source.make, {})
    fixed = tuple(line.part(slice(1)) for line in others if line.is_parameter)

    def answer(piece: Piece) -> np.ndarray:
        here = (*_cut(lines, piece), *fixed)
        rule = source.rule(here)
        given: dict[str, Any] = {}
        if "start" in question.wants:
            log_starts = source.log_starts(rule, here)
            given["start"] = None if log_starts is None else np.exp(log_starts)
        if "seed" in question.wants:
            given["seed"] = _seed(key, piece)
        return question.answered(rule, given, source.batch(here))

    for piece, found in _attempts(answer, _pieces(lines, set(source.forms))):
        if isinstance(found, Exception):
            refused.add(question.name, str(found))
        else:
            target = array[piece]
            target[...] = found.reshape(target.shape)


def _attempts(
    attempt: Callable[[Piece], Any], pieces: Iterator[Piece]
) -> Iterator[tuple[Piece, Any]]:
    """The outcome for each piece; one that is refused is halved until its refusals stand alone."""
    for whole in pieces:
        waiting = [whole]
        while waiting:
            piece = waiting.pop()
            try:
                found = attempt(piece)
            except REFUSALS as error:
                halves = _halves(piece)
                if halves:
                    waiting.extend(halves)
                    continue
                found = error
            yield piece, found


def _pieces(lines: tuple[Line, ...], together: set[str]) -> Iterator[Piece]:
    """All of a block, or one piece for each combination of the values that are looped over."""
    choices = [
        [slice(0, len(line))]
        if line.name in together
        else [slice(i, i + 1) for i in range(len(line))]
        for line in lines
    ]
    return itertools.product(*choices)


def _halves(piece: Piece) -> list[Piece]:
    """Two halves along the longest axis, the later one first; none of a single point."""
    lengths = [s.stop - s.start for s in piece]
    if max(lengths, default=1) == 1:
        return []
    axis = int(np.argmax(lengths))
    first, last = piece[axis].start, piece[axis].stop
    middle = (first + last) // 2
    cuts = (slice(middle, last), slice(first, middle))
    return [(*piece[:axis], cut, *piece[axis + 1 :]) for cut in cuts]


def _cut(lines: tuple[Line, ...], piece: Piece) -> tuple[Line, ...]:
    return tuple(line.part(where) for line, where in zip(lines, piece, strict=True))


def _seed(key: tuple[int, ...], piece: Piece) -> int:
    """A seed that depends on the sweep's seed, the block and the piece, and on nothing else."""
    seed, *block = key
    sequence = np.random.SeedSequence(seed, spawn_key=(*block, *(s.start for s in piece)))
    return int.from_bytes(sequence.generate_state(4).tobytes(), "little")


def _matters(question: Question, line: Line) -> bool:
    wanted = {START: "start", REPEAT: "seed"}.get(line.name)
    return line.name not in question.ignores and (wanted is None or wanted in question.wants)
