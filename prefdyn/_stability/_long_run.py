"""What every long-run tool does first: take a start, settle, keep the rounds that follow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from prefdyn._errors import InputError, InsufficientData
from prefdyn._inputs import count, finite, nonnegative
from prefdyn._simulate import default_start
from prefdyn._stability.fixed_points import ESCAPED
from prefdyn.rules._rule import Jacobian, Rule
from prefdyn.rules._wrapper import get_parameter, set_parameter

CALM = 1e-9
"""Standard deviation of every probability below which a run counts as settled."""
FLEEING, DEEPER = 1.0, 0.1
"""Nats by which, and share of its depth by which, the smallest log-probability of a run falls from
one half to the next on the way to the boundary.  Bounded runs reach deeper by chance, too."""
LATE = 10**6
"""A round by which schedules have done what they do."""
GONE = (
    "a run left every bound, or its probabilities go on falling: it has no long-run behaviour to "
    "measure; start elsewhere or change the parameters."
)


def begin(rule: Rule, start: Any) -> np.ndarray:
    """State of a start (probabilities; by default the rule's own, or a mildly ranked policy)."""
    state = rule.own_start if start is None else rule.init(start)
    state = rule.init(default_start(rule.K)) if state is None else state
    refuse_schedule(rule, state)
    return state


def refuse_schedule(rule: Rule, state: np.ndarray) -> None:
    """Refuse rules that are another map in every round: settling, they would begin anew."""
    with np.errstate(over="ignore", invalid="ignore"):
        early, late = (rule.step(state, t, None) for t in (0, LATE))
    if not np.array_equal(early, late, equal_nan=True):
        raise InputError(
            "this rule is another map in every round (a decreasing step, or Adam's first rounds), "
            "so it has no long run of one map: look at its policies from orbit instead."
        )


def advance(rule: Rule, state: np.ndarray, rounds: int) -> np.ndarray:
    """The state `rounds` later, by the rule's kernel if it has one; not finite where it escapes."""
    kernel = rule.compiled(rule.K) if rounds else None
    if kernel is not None:
        return kernel(rule, state, rounds, moments=False).theta
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(rounds):
            state = rule.step(state, t, None)
    return state


def settle(rule: Rule, state: np.ndarray, rounds: int) -> np.ndarray:
    """The state `rounds` later, refused if it left every bound."""
    return checked(advance(rule, state, rounds))


def moments(rule: Rule, state: np.ndarray, rounds: int) -> tuple[np.ndarray, ...]:
    """The state `rounds` later, with mean and standard deviation (..., K) of the policies passed.

    A state that leaves every bound is not refused: what follows is NaN.
    """
    kernel = rule.compiled(rule.K)
    if kernel is not None:
        state, mean, deviations = kernel(rule, state, rounds, moments=True)
        return state, mean, np.sqrt(deviations / rounds)
    total = squares = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(rounds):
            state = rule.step(state, t, None)
            policy = np.exp(rule.log_policy(state))
            total, squares = total + policy, squares + policy**2
        mean = np.asarray(total / rounds)
        return state, mean, np.sqrt(np.maximum(squares / rounds - mean**2, 0.0))


def record(rule: Rule, state: np.ndarray, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-policies (rounds, ..., K) of the next rounds, and the last state; unchecked."""
    log_policies = []
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(rounds):
            state = rule.step(state, t, None)
            log_policies.append(rule.log_policy(state))
    return np.stack(log_policies), state


def long_run(source: Any, start: Any, rounds: int, settling: int, least: int) -> np.ndarray:
    """Policies (rounds, ..., K) of a rule's settled run, or those given as an array.

    NaN for runs that stay within no bounds.

    Raises
    ------
    InsufficientData
        If fewer than `least` rounds are asked for or given.
    """
    if isinstance(source, Rule):
        rule = source.skeleton
        rounds, settling = count(rounds, "rounds"), count(settling, "settle", least=0)
        refuse_short(rounds, least)
        return np.exp(kept(rule, begin(rule, start), settling, rounds))
    policies = nonnegative(source, "the series of policies")
    if policies.ndim < 2 or policies.shape[-1] < 2:
        raise InputError(
            f"a series of shape {policies.shape} is neither a rule nor policies (rounds, ..., K): "
            "give the policies of an orbit."
        )
    refuse_short(len(policies), least)
    return policies


def kept(rule: Rule, state: np.ndarray, settling: int, rounds: int) -> np.ndarray:
    """Log-policies (rounds, ..., K) after settling; NaN for runs that stay within no bounds."""
    log_policies, last = record(rule, advance(rule, state, settling), rounds)
    log_policies[:, escaped(last) | flees(log_policies)] = np.nan
    return log_policies


def escaped(states: np.ndarray) -> np.ndarray:
    """Whether states (..., n) are beyond every bound (...,)."""
    return ~(np.abs(states).max(axis=-1) < ESCAPED)


def flees(log_policies: np.ndarray) -> np.ndarray:
    """Whether runs (rounds, ..., K) are on the way to the boundary (...,), or no longer finite.

    Either the second half reaches much deeper than the first, as next to a cycle of vertices; or
    every eighth reaches deeper than the one before, as in a collapse onto one vertex.
    """
    with np.errstate(invalid="ignore"):
        depth = np.stack([part.min(axis=(0, -1)) for part in np.array_split(log_policies, 8)])
        half, whole = depth[:4].min(axis=0), depth[4:].min(axis=0)
        deeper = half - whole > np.maximum(FLEEING, DEEPER * np.abs(half))
        deeper |= np.all(np.diff(depth, axis=0) < 0, axis=0) & (depth[0] - depth[-1] > FLEEING)
    return deeper | ~np.isfinite(depth).all(axis=0)


def ascending(values: Any, parameter: str, *, least: int = 1) -> np.ndarray:
    """Finite values (n,) of a parameter in ascending order, at least so many, or an error."""
    array = finite(values, f"values of {parameter!r}")
    if array.ndim != 1 or len(array) < least or not np.all(np.diff(array) > 0):
        raise InputError(
            f"values of {parameter!r} must be at least {least} numbers in ascending order."
        )
    return array


def refuse_short(rounds: int, least: int) -> None:
    """Refuse runs of fewer than `least` rounds."""
    if rounds < least:
        raise InsufficientData(f"{rounds} rounds are too few for this: keep at least {least}.")


def checked(state: np.ndarray) -> np.ndarray:
    """States of which none has left every bound."""
    if np.any(escaped(state)):
        raise InsufficientData(GONE)
    return state


@dataclass(eq=False)
class Stack(Rule):
    """Rules of one kind side by side: the first axis of a state is the rule's number."""

    rules: Sequence[Rule]

    @property
    def K(self) -> int:
        """Number of responses."""
        return self.rules[0].K

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """One element per rule."""
        return (len(self.rules),)

    @property
    def neutral(self) -> np.ndarray:
        """As the first rule's."""
        return self.rules[0].neutral

    @property
    def own_start(self) -> np.ndarray | None:
        """Those of the rules."""
        starts = [rule.own_start for rule in self.rules]
        return None if any(start is None for start in starts) else np.stack(starts)  # pyright: ignore

    def init_log(self, log_policy: Any) -> np.ndarray:
        """States, one per rule."""
        log_policy = np.broadcast_to(log_policy, (len(self.rules), self.K))
        starts = zip(self.rules, log_policy, strict=True)
        return np.stack([rule.init_log(start) for rule, start in starts])

    def step(self, state: np.ndarray, t: int, rng: Any) -> np.ndarray:
        """Every rule's own step."""
        return np.stack([rule.step(x, t, rng) for rule, x in zip(self.rules, state, strict=True)])

    def log_policy(self, state: np.ndarray) -> np.ndarray:
        """Log-probabilities (rules, K)."""
        return np.stack([rule.log_policy(x) for rule, x in zip(self.rules, state, strict=True)])

    def jacobian(self, state: np.ndarray) -> Jacobian:
        """Every rule's own."""
        each = [rule.jacobian(x) for rule, x in zip(self.rules, state, strict=True)]
        return Jacobian(np.stack([one.matrix for one in each]), each[0].by)


def along(rule: Rule, parameters: Sequence[str], values: Sequence[np.ndarray]) -> Rule:
    """The rule at n points of some parameters: one batched rule if it broadcasts, else a `Stack`.

    Parameters
    ----------
    rule
        A rule without batch.
    parameters
        Names, as in `set_parameter`.
    values
        One array (n,) per name.
    """
    if rule.batch_shape:
        raise InputError(
            f"a rule of batch shape {rule.batch_shape} cannot be varied as well: pass one rule."
        )

    def at(chosen: Sequence[Any]) -> Rule:
        varied = rule
        for name, value in zip(parameters, chosen, strict=True):
            get_parameter(varied, name)  # names the ones there are, if it is not among them
            varied = set_parameter(varied, name, value)
        return varied

    each = [at([float(value) for value in point]) for point in zip(*values, strict=True)]
    try:
        batched = at(values)
        if _same(batched, each):
            return batched
    except (TypeError, ValueError, IndexError):  # it takes no arrays
        pass
    return Stack(each)


def side_by_side(rule: Rule, starts: np.ndarray) -> tuple[Rule, np.ndarray]:
    """A rule without batch that takes the states (m, n) of many starts (m, K), and these."""
    if rule.batch_shape:
        raise InputError(f"a batch of {rule.batch_shape} rules has many portraits: pass one rule.")
    each = Stack([rule] * len(starts))
    refuse_schedule(rule, rule.init(starts[0]))
    try:
        states = rule.init(starts)
        ends = states[[0, -1]]
        alone = np.stack([rule.step(end, 0, None) for end in ends])
        if np.allclose(rule.step(ends, 0, None), alone, rtol=1e-9, atol=1e-12):
            return rule, states
    except (TypeError, ValueError, IndexError):  # it takes one state at a time
        pass
    return each, each.init(starts)


def some_of(family: Rule, number: int) -> Rule:
    """The rule of `side_by_side`, for so many states only."""
    return Stack(family.rules[:number]) if isinstance(family, Stack) else family


def _same(batched: Rule, each: Sequence[Rule]) -> bool:
    """Whether one batched step is what the rules do one by one, at both ends."""
    if batched.batch_shape != (len(each),):
        return False
    after = batched.step(begin(batched, None), 0, None)
    return all(
        np.allclose(after[k], each[k].step(begin(each[k], None), 0, None), rtol=1e-9, atol=1e-12)
        for k in (0, -1)
    )


class Plane(NamedTuple):
    """A run in its principal plane.

    Attributes
    ----------
    points
        Shape (rounds, 2), both axes scaled to standard deviation 1.
    flat
        Whether the run moves on a line only; its second coordinate is then 0.
    """

    points: np.ndarray
    flat: bool


def principal_plane(policies: np.ndarray, thin: float = 1e-2) -> Plane:
    """The plane in which policies (rounds, K) spread most.

    Raises
    ------
    InsufficientData
        If the run has settled.
    """
    centred = moving(policies)
    plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    spread = plane.std(axis=0)
    if len(spread) < 2 or spread[1] < thin * spread[0]:
        line = plane[:, 0] / spread[0]
        return Plane(np.stack([line, np.zeros_like(line)], axis=-1), True)
    return Plane(plane / spread, False)


def moving(policies: np.ndarray) -> np.ndarray:
    """Policies (rounds, K) less their mean, refused where nothing moves, or without bounds."""
    if not np.isfinite(policies).all():
        raise InsufficientData(GONE)
    centred = policies - policies.mean(axis=0)
    if centred.std(axis=0).max() < CALM:
        raise InsufficientData(
            "the run has settled, so nothing moves that could be measured: look at the multipliers "
            "of the fixed point instead."
        )
    return centred


def each_run(policies: np.ndarray, estimate: Any, width: int) -> np.ndarray:
    """`estimate` (a tuple of `width` numbers) of every run (rounds, ..., K); NaN where refused."""
    shape = policies.shape[1:-1]
    results = np.full((*shape, width), np.nan)
    for index in np.ndindex(shape):
        try:
            results[index] = estimate(policies[(slice(None), *index)])
        except InsufficientData:
            continue
    return np.moveaxis(results, -1, 0)
