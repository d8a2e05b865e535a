"""`orbit` and `ensemble`: the only place that loops, saves, stops and says why."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from prefdyn import _measures
from prefdyn._errors import InputError
from prefdyn._inputs import choice, count
from prefdyn._progress import track, working
from prefdyn.policies.softmax import entropy, log_softmax
from prefdyn.rules._rule import Rule, a_rule

CPU_RUN = 200_000_000
"""Updated logits between two looks at the clock on a processor, about half a second's."""
GPU_RUN = 2_000_000_000
"""Updated log-probabilities between two looks at the clock on a GPU, about half a second's."""
TAIL_ROUNDS = 2_000
"""Rounds an ensemble keeps for `period` and `recurrence`; a thousand turns of the fastest cycle."""
DEVICES = ("cpu", "cuda")
REDUCERS = (
    "last_policy",
    "last_log_policy",
    "mean_policy",
    "entropy",
    "cycle_strength",
    "period",
    "recurrence",
)


@dataclass(frozen=True)
class Orbit:
    """A simulated run.

    Attributes
    ----------
    policies, log_policies
        Saved policies (saved rounds, ..., K), the start included.
    rounds
        Round number of each saved policy, (saved rounds,).
    reason
        Why the run stopped, as a sentence.
    seed
        Seed of its randomness; None where the rule draws none.
    settled
        Whether it stopped because a round moved nothing any more.
    state
        The rule's state at the end.
    """

    policies: np.ndarray
    log_policies: np.ndarray
    rounds: np.ndarray
    reason: str
    seed: int | None
    settled: bool = False
    state: np.ndarray | None = None


class Ensemble(Mapping[str, np.ndarray]):
    """Reduced results of many runs, by reducer name; with `reason` and `seed` as in `Orbit`."""

    def __init__(self, results: dict[str, np.ndarray], reason: str, seed: int | None):
        self._results, self.reason, self.seed = results, reason, seed

    def __getitem__(self, name: str) -> np.ndarray:
        return self._results[name]

    def __iter__(self):
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)


def default_start(K: int) -> np.ndarray:
    """A mildly ranked policy: uniform is a fixed point of symmetric games and would never move."""
    return np.exp(log_softmax(np.linspace(0.3, -0.3, K)))


def orbit(
    rule: Rule,
    start: Any = None,
    rounds: int = 1000,
    *,
    log_start: Any = None,
    save: int = 1,
    tolerance: float = 1e-13,
    seed: int = 0,
    progress: bool | None = None,
) -> Orbit:
    """Iterate a rule and keep the policies.

    Parameters
    ----------
    rule
        Any `Rule`; a batched one gives a batch of runs.
    start
        Probabilities (..., K), all positive; by default a mildly ranked policy.
    rounds
        Most rounds to run.
    log_start
        The start as log-probabilities, instead of `start`.
    save
        Keep every `save`-th round; the start and the last round are always kept.
    tolerance
        A deterministic run stops once a round moves no log-probability by more than
        ``tolerance * max(1, |log pi|)``; 0 runs all rounds.
    seed
        Seed of the rule's randomness, recorded where it is used.
    progress
        Show a progress bar; by default on a terminal, after two seconds.

    Raises
    ------
    InputError
        For a start outside the simplex, or a bad number of rounds.
    """
    state, rng = _begin(rule, start, log_start, seed)
    rounds, save = count(rounds, "rounds", least=0), count(save, "save")
    saved, numbers = [rule.log_policy(state)], [0]
    now = saved[0]
    reason, settled = f"ran all {rounds} rounds; the last round still moved the policy", False
    for t in track(range(rounds), "rounds", progress=progress):
        last, state = state, rule.step(state, t, rng)
        before, now = now, rule.log_policy(state)
        if not np.all(np.isfinite(now)):
            reason = f"stopped in round {t + 1}: a log-probability is not finite; check the rule"
            break
        if (t + 1) % save == 0 or t + 1 == rounds:
            saved.append(now)
            numbers.append(t + 1)
        settled = tolerance > 0 and not rule.stochastic and _settled(before, now, tolerance)
        if state.shape != now.shape:  # what else the rule remembers must have come to rest too
            settled = settled and _settled(last, state, tolerance)
        if settled:
            reason = (
                f"settled after {t + 1} rounds: the last one moved no log-probability by more than "
                f"{tolerance:g} (relative to its size)"
            )
            if numbers[-1] != t + 1:
                saved.append(now)
                numbers.append(t + 1)
            break
    log_policies = np.stack(saved)
    return Orbit(
        np.exp(log_policies),
        log_policies,
        np.array(numbers),
        reason,
        seed if rule.stochastic else None,
        settled,
        state,
    )


def ensemble(
    rule: Rule,
    starts: Any = None,
    rounds: int = 3000,
    *,
    log_starts: Any = None,
    reducers: Sequence[str] = ("last_policy", "entropy", "cycle_strength"),
    burn_in: float = 1 / 3,
    device: Any = "cpu",
    seed: int = 0,
    progress: bool | None = None,
) -> Ensemble:
    """Iterate a rule from many starts and parameters, keeping reduced results only.

    A rule that offers ``compiled(K, device)`` is advanced by that kernel.  On a processor other
    rules, rules that draw random numbers, and reducers that need the orbit's tail are run step by
    step; on a GPU they are refused.

    Parameters
    ----------
    rule
        Any `Rule`; its parameters broadcast against the starts.
    starts
        Probabilities (..., K); by default one mildly ranked policy.
    rounds
        Rounds to run.
    log_starts
        The starts as log-probabilities, instead of `starts`.
    reducers
        Any of "last_policy", "last_log_policy", "mean_policy" (..., K) and "entropy" (nats, of the
        last policy), "cycle_strength", "period", "recurrence" (...,).  All but the last policy and
        its entropy look at the rounds after the burn-in; period and recurrence at no more than the
        last 2,000 of them, and are NaN where they are refused.
    burn_in
        Share of the rounds to discard, in [0, 1).
    device
        "cpu"; or an NVIDIA GPU, "cuda" or one of several as "cuda:1", for up to 64 responses under
        `MRSIPO`, `MRSDPO`, or `GradientStep` on a `Tabular` policy.
    seed, progress
        As in `orbit`.

    Raises
    ------
    InputError
        For an unknown reducer, a start outside the simplex, or a device that is not there or has
        no kernel for this.
    InsufficientData
        If fewer than 10 rounds remain after the burn-in.
    """
    for name in reducers:
        choice(name, REDUCERS, "reducer")
    device = str(device)  # a torch.device, too
    choice("cuda" if device.startswith("cuda:") else device, DEVICES, "device")
    state, rng = _begin(rule, starts, log_starts, seed)
    rounds = count(rounds, "rounds")
    _measures.after_burn_in(np.zeros((rounds, 1)), burn_in)  # refuses runs that are too short
    discarded = int(burn_in * rounds)
    needs_tail = bool({"period", "recurrence"} & set(reducers))
    needs_moments = bool({"mean_policy", "cycle_strength"} & set(reducers))
    if device == "cpu":
        advance = None if needs_tail or rule.stochastic else rule.compiled(rule.K)
    else:
        advance = _gpu_kernel(rule, device, needs_tail)
    if advance is not None:
        block = CPU_RUN if device == "cpu" else GPU_RUN
        silent = discarded if needs_moments else rounds
        state, moments = _run_compiled(advance, rule, state, rounds, silent, block, progress)
        tail = []
    else:
        kept = TAIL_ROUNDS if needs_tail else 0
        state, moments, tail = _run_stepwise(rule, state, rng, rounds, discarded, kept, progress)
    last = rule.log_policy(state)
    results: dict[str, Callable[[], Any]] = {
        "last_policy": lambda: np.exp(last),
        "last_log_policy": lambda: last,
        "mean_policy": lambda: moments.mean,
        "entropy": lambda: entropy(last),
        "cycle_strength": lambda: moments.deviations.mean(axis=-1) / moments.number,
        "period": lambda: np.asarray(_measures.period(np.stack(tail)[:, None], 0.0))[0],
        "recurrence": lambda: np.asarray(_measures.recurrence(np.stack(tail)[:, None], 0.0))[0],
    }
    return Ensemble(
        {name: results[name]() for name in reducers},
        f"ran {rounds} rounds, of which the first {discarded} were discarded",
        seed if rule.stochastic else None,
    )


@dataclass
class _Moments:
    """Mean and summed squared deviations of the policies of `number` rounds; blocks merge."""

    number: int = 0
    mean: Any = 0.0
    deviations: Any = 0.0

    def merge(self, number: int, mean: np.ndarray, deviations: Any) -> None:
        total = self.number + number
        delta = mean - self.mean
        self.mean = self.mean + delta * number / total
        self.deviations = self.deviations + deviations + delta**2 * self.number * number / total
        self.number = total


def _gpu_kernel(rule: Rule, device: str, needs_tail: bool):
    if rule.stochastic:
        raise InputError(
            f"{type(rule).__name__} draws random numbers, which no GPU kernel does: use "
            'device="cpu".'
        )
    if needs_tail:
        raise InputError(
            "period and recurrence need the last rounds, which a GPU kernel does not keep: leave "
            'them out of reducers, or use device="cpu".'
        )
    advance = rule.compiled(rule.K, device)
    if advance is None:
        from prefdyn.rules._on_gpu import RULES

        raise InputError(
            f"{type(rule).__name__} has no GPU kernel ({RULES} have one, subclasses have not): use "
            'device="cpu".'
        )
    return advance


def _run_compiled(advance, rule: Rule, state, rounds: int, discarded: int, work: int, progress):
    """Advance by the rule's kernel, in blocks: between them a bar can move and a user interrupt."""
    moments = _Moments()
    block = max(1, work // max(state.size, 1))
    starts = [*range(0, discarded, block), *range(discarded, rounds, block), rounds]
    with working("rounds", total=rounds, progress=progress) as bar:
        for begin, end in pairwise(starts):
            bar.update(begin)
            counts = begin >= discarded
            state, mean, deviations = advance(rule, state, end - begin, moments=counts)
            if counts:
                moments.merge(end - begin, mean, deviations)
    return state, moments


def _run_stepwise(rule: Rule, state, rng, rounds: int, discarded: int, kept: int, progress):
    """Advance round by round, keeping the last policies."""
    moments = _Moments()
    tail: list[np.ndarray] = []
    for t in track(range(rounds), "rounds", progress=progress):
        state = rule.step(state, t, rng)
        if t >= discarded:
            policy = np.exp(rule.log_policy(state))
            moments.merge(1, policy, 0.0)
            if t >= rounds - kept:
                tail.append(policy)
    return state, moments, tail


def _begin(rule: Rule, start: Any, log_start: Any, seed: int):
    rule, seed = a_rule(rule), count(seed, "seed", least=0)
    if start is not None and log_start is not None:
        raise InputError("a start and a log-start are both given: give one of them.")
    if log_start is not None:
        state = rule.init_log(np.asarray(log_start, dtype=float))
    else:
        state = rule.own_start if start is None else rule.init(start)
        state = rule.init(default_start(rule.K)) if state is None else state
    return state, np.random.default_rng(seed)


def _settled(before: np.ndarray, now: np.ndarray, tolerance: float) -> bool:
    return bool(np.all(np.abs(now - before) <= tolerance * np.maximum(1.0, np.abs(now))))
