"""The rule at a point of the grid, or at many points at once where the rule can do that."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from prefdyn._errors import InputError, NoOptimum
from prefdyn._simulate import default_start
from prefdyn._sweep.axes import START, Line
from prefdyn.policies.softmax import log_softmax
from prefdyn.rules._rule import Rule
from prefdyn.rules._wrapper import get_parameter, set_parameter

Form = Literal["batch", "column"]
"""How many values enter a rule at once: as an array of its batch, or with one more axis behind."""
SAME = 1e-7
"""Largest relative difference of logits at which two ways to run a rule are the same map."""
TRIAL_ROUNDS = 3


@dataclass(frozen=True)
class Template:
    """A factory that changes parameters of one rule, by path."""

    rule: Rule

    def __call__(self, **point: Any) -> Rule:
        """The rule with these parameters."""
        rule = self.rule
        for path, value in point.items():
            rule = set_parameter(rule, path, value)
        return rule


@dataclass(frozen=True)
class Source:
    """Makes the rule and the starts of a piece of the grid.

    Attributes
    ----------
    make
        Factory ``make(**point)``.
    forms
        Form of each axis whose values can enter at once, by name; the others are looped over.
    """

    make: Callable[..., Rule]
    forms: Mapping[str, Form]

    def batch(self, lines: tuple[Line, ...]) -> tuple[int, ...]:
        """Shape of the batch of a piece: its axes that are not looped over."""
        return tuple(len(line) for line in lines if line.name in self.forms)

    def rule(self, lines: tuple[Line, ...]) -> Rule:
        """The rule of a piece of the grid; axes that are looped over have one value there."""
        together = [line.name for line in lines if line.name in self.forms]
        point = {}
        for line in lines:
            if not line.is_parameter:
                continue
            form = self.forms.get(line.name)
            if form is None:
                point[line.name] = line.only()
            else:
                shape = [1] * len(together)
                shape[together.index(line.name)] = len(line)
                point[line.name] = line.spread(tuple(shape), column=form == "column")
        return self.make(**point)

    def log_starts(self, rule: Rule, lines: tuple[Line, ...]) -> np.ndarray | None:
        """Log-probabilities (*batch, K) that a piece starts from; None for the rule's own start."""
        batch = self.batch(lines)
        line = next((line for line in lines if line.name == START), None)
        if line is None:
            if rule.own_start is not None:
                return None
            log_start = log_softmax(np.log(default_start(rule.K)))
        elif START in self.forms:
            shape = [len(x) if x is line else 1 for x in lines if x.name in self.forms]
            log_start = rule.log_start(line.spread(tuple(shape)))
        else:
            log_start = rule.log_start(line.only())
        return np.broadcast_to(log_start, (*batch, log_start.shape[-1])).copy()

    def state(self, rule: Rule, lines: tuple[Line, ...]) -> np.ndarray:
        """The state that a piece starts from."""
        log_starts = self.log_starts(rule, lines)
        return np.asarray(rule.own_start if log_starts is None else rule.init_log(log_starts))


def as_factory(
    given: Any, lines: tuple[Line, ...]
) -> tuple[Callable[..., Rule], Rule, tuple[str, ...]]:
    """A factory, a rule that it makes, and the fingerprints of its rules at the ends of the axes.

    Every value of every axis is tried, the other axes at their first value.

    Raises
    ------
    InputError
        If a rule has no such parameter, a value is refused, or no single rule is made.
    """
    make: Callable[..., Rule] = Template(given) if isinstance(given, Rule) else given
    if not isinstance(given, Rule) and not callable(given):
        raise InputError(
            f"rule_factory is a {type(given).__name__}: give a rule, or a function that makes one."
        )
    if isinstance(given, Rule):
        for line in lines:
            if line.is_parameter:
                get_parameter(given, line.name)
    varied = [line for line in lines if line.is_parameter]
    first = {line.name: line.part(slice(1)).only() for line in varied}
    rules: list[Rule] = []
    fingerprints: list[str] = []
    places = [(line, k) for line in varied for k in range(len(line))]
    for varying, k in places or [(None, 0)]:
        rule = _made(make, first, varying, k)
        if varying is None or k in (0, len(varying) - 1):
            fingerprints.append("refused" if rule is None else rule.fingerprint())
        if rule is not None:
            rules = rules or [rule]
            if rule.K != rules[0].K:
                raise InputError(
                    f"rule_factory makes rules of {rules[0].K} and of {rule.K} responses: "
                    "sweep over games of one size."
                )
    if not rules:
        raise NoOptimum("no rule can be made at the first value of every axis: see its parameters.")
    for line in lines:
        if line.name == START:
            rules[0].log_start(line.values)
    return make, rules[0], tuple(fingerprints)


def _made(make: Callable[..., Rule], first: dict[str, Any], line: Line | None, k: int):
    """The rule at one value of one axis, the others at their first; None where it is refused."""
    here = {} if line is None else {line.name: line.part(slice(k, k + 1)).only()}
    place = "" if line is None else f"at {line.name} = {line.labels[k]}: "
    try:
        rule = make(**(first | here))
    except NoOptimum:  # is recorded where it happens
        return None
    except InputError as error:
        raise InputError(f"{place}{error}") from None
    except TypeError as error:
        raise InputError(
            f"rule_factory does not take the axes {', '.join(first) or 'given'} ({error})."
        ) from error
    if not isinstance(rule, Rule):
        raise InputError(f"rule_factory made a {type(rule).__name__}, not a Rule.")
    if rule.batch_shape:
        raise InputError(
            f"{place}the rule has a batch of shape {rule.batch_shape}: sweep over a single rule, "
            "and name as an axis what the batch varies."
        )
    return rule


def tried(make: Callable[..., Rule], lines: tuple[Line, ...]) -> Source:
    """The source in which every axis enters at once whose values the rule can take at once.

    Decided by trying, axis by axis: the first and the last value of every axis, run together for
    three rounds, must give what they give one by one.
    """
    ends = tuple(_ends(line) for line in lines)
    alone = _Alone(make, ends)
    forms: dict[str, Form] = {}
    for line in sorted(ends, key=lambda line: line.is_parameter):
        for form in _forms(line):
            candidate = Source(make, {**forms, line.name: form})
            if _agrees(candidate, ends, alone):
                forms[line.name] = form
                break
    return Source(make, forms)


def _forms(line: Line) -> tuple[Form, ...]:
    """The forms to try: only numbers can stand in a column, and only arrays in a batch."""
    if isinstance(line.values, tuple):
        return ()
    numbers = isinstance(line.values, np.ndarray)
    return ("batch", "column") if numbers and line.is_parameter else ("batch",)


def _ends(line: Line) -> Line:
    return line if len(line) < 2 else line.part(slice(0, None, len(line) - 1))


class _Alone:
    """Runs of single points, each made once."""

    def __init__(self, make: Callable[..., Rule], lines: tuple[Line, ...]):
        self.source, self.lines = Source(make, {}), lines
        self.known: dict[tuple[int, ...], np.ndarray] = {}

    def __call__(self, place: tuple[int, ...]) -> np.ndarray:
        if place not in self.known:
            point = tuple(
                line.part(slice(i, i + 1)) for line, i in zip(self.lines, place, strict=True)
            )
            self.known[place] = _run(self.source, point)
        return self.known[place]


def _agrees(source: Source, lines: tuple[Line, ...], alone: _Alone) -> bool:
    """Whether the axes with a form give, run together, what their points give one by one."""
    piece = tuple(line if line.name in source.forms else line.part(slice(1)) for line in lines)
    batch = source.batch(piece)
    ranges = [range(len(line)) for line in piece]
    try:
        # A rule may fail at arrays in any way; each of them means that it is to be looped over.
        together = _run(source, piece)
        one_by_one = np.stack([alone(place) for place in itertools.product(*ranges)])
    except Exception:
        return False
    if together.shape != (*batch, *one_by_one.shape[1:]):
        return False
    difference = np.abs(together.reshape(one_by_one.shape) - one_by_one)
    return bool(np.all(difference <= SAME * np.maximum(1.0, np.abs(one_by_one))))


def _run(source: Source, lines: tuple[Line, ...]) -> np.ndarray:
    """The states of a piece after a few rounds of its deterministic skeleton.

    A rule whose skeleton draws random numbers differs from itself here, and is looped over.
    """
    rule = source.rule(lines)
    state = source.state(rule, lines)
    rng = np.random.default_rng(0)
    if rule.stochastic:
        rule.step(state, 0, rng)
    for t in range(TRIAL_ROUNDS):
        state = rule.skeleton.step(state, t, rng)
    return state
