"""What a sweep records at each point: reducers of runs, and questions to the rule."""

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from prefdyn._content import feed
from prefdyn._errors import InputError
from prefdyn._inputs import nearest
from prefdyn._simulate import REDUCERS
from prefdyn.rules._rule import Rule

KINDS = ("stable", "neimark_sacker", "flip", "fold", "marginal")
RESPONSE = "response"
REDUCED = {
    "last_policy": ("policy after the last round", "1"),
    "last_log_policy": ("log-probabilities after the last round", "nats"),
    "mean_policy": ("mean policy after the burn-in", "1"),
    "entropy": ("entropy of the last policy", "nats"),
    "cycle_strength": ("variance of the policy over the rounds after the burn-in", "1"),
    "period": ("rounds per turn", "rounds"),
    "recurrence": ("rounds until the policy returns", "rounds"),
}


@dataclass(frozen=True)
class Question:
    """Something to ask of the rule at each point of a sweep.

    Parameters
    ----------
    ask
        Function of the rule.  If it also takes ``start`` (probabilities (K,), or None for the
        rule's own) or ``seed`` (a whole number), it is given these, and is asked again along these
        axes.  What raises `NoOptimum` or `InsufficientData` is recorded as NaN (-1 for words), and
        counted.
    dims
        Name and length of each axis of the answer, beyond those of the sweep.
    words
        If the answer is one of a few words, these: it is stored as their index, with the
        attributes ``flag_values`` and ``flag_meanings``.
    batched
        Whether it answers for a rule with a batch, with the batch's axes in front.
    ignores
        Axes of the sweep that the answer does not depend on: it is asked at their first value.
    long_name, units
        Attributes of the result.
    name
        Name of the result; by default that of the function.
    """

    ask: Callable[..., Any]
    dims: Mapping[str, int] = field(default_factory=dict)
    words: Sequence[str] = ()
    batched: bool = False
    ignores: Sequence[str] = ()
    long_name: str = ""
    units: str = "1"
    name: str = ""

    @property
    def wants(self) -> frozenset[str]:
        """Which of "start" and "seed" the function takes."""
        return frozenset({"start", "seed"} & set(inspect.signature(self.ask).parameters))

    def answered(self, rule: Rule, given: dict[str, Any], batch: tuple[int, ...]) -> np.ndarray:
        """The answer as numbers, of the shape that was declared."""
        answer = np.asarray(self.ask(rule, **given))
        if self.words:
            unknown = sorted({str(word) for word in answer.flat} - set(self.words))
            if unknown:
                raise InputError(
                    f"question {self.name!r} answered {unknown[0]!r}, which is not among its "
                    f"words: {', '.join(self.words)}."
                )
            order = {word: index for index, word in enumerate(self.words)}
            flat = [order[str(word)] for word in answer.flat]
            answer = np.array(flat, dtype=np.int8).reshape(answer.shape)
        else:
            answer = answer.astype(float)
        expected = (*batch, *self.dims.values())
        if answer.shape != expected:
            raise InputError(
                f"question {self.name!r} answered with shape {answer.shape} where {expected} was "
                "declared: say so in dims, or change the function."
            )
        return answer

    def digest(self) -> str:
        """Hash of its declaration and of its function, see `prefdyn._content.feed`."""
        digest = hashlib.sha256(
            repr([*self.dims.items(), *self.words, self.batched, *self.ignores]).encode()
        )
        feed(digest, self.ask)
        return digest.hexdigest()[:16]


def read(reducers: Any) -> tuple[tuple[str, ...], tuple[Question, ...]]:
    """Names of reducers of runs, and questions, from what the user listed.

    Raises
    ------
    InputError
        For an unknown name, or two results of one name.
    """
    named = reducers.items() if isinstance(reducers, Mapping) else [("", r) for r in reducers]
    runs: list[str] = []
    questions: list[Question] = []
    for name, given in named:
        if isinstance(given, str) and given in REDUCERS:
            runs.append(given)
        else:
            questions.append(_question(name, given))
    names = [*runs, *(question.name for question in questions)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{twice[0]!r} is recorded twice: give every question a name of its own.")
    if not names:
        raise InputError("reducers is empty: name at least one thing to record.")
    return tuple(runs), tuple(questions)


def _question(name: str, given: Any) -> Question:
    if isinstance(given, str):
        head, _, parameter = given.partition(":")
        if head == "critical" and parameter:
            return Question(
                partial(_critical, parameter=parameter),
                ignores=(parameter,),
                name=name or f"critical_{parameter.replace('.', '_')}",
                long_name=f"critical value of {parameter}",
            )
        if given not in NAMED:
            known = (*REDUCERS, *NAMED, "critical:PARAMETER")
            raise InputError(
                f"reducer {given!r} is not known: choose one of {', '.join(known)}"
                f"{nearest(given, known)}, or give a function."
            )
        question = NAMED[given]
    elif isinstance(given, Question):
        question = given
    elif callable(given):
        question = Question(given)
    else:
        raise InputError(f"reducer {given!r} is neither a name nor a function of a rule.")
    name = name or question.name or getattr(question.ask, "__name__", "")
    if not name.isidentifier():
        raise InputError(f"a question is named {name!r}: give it a name, Question(..., name='x').")
    return replace(question, name=name)


def _spectral_radius(rule: Rule) -> Any:
    from prefdyn._stability import stability

    return stability(rule).spectral_radius


def _kind(rule: Rule) -> Any:
    from prefdyn._stability import stability

    return stability(rule).kind


def _critical(rule: Rule, *, parameter: str) -> Any:
    from prefdyn._stability import critical

    value = critical(rule, parameter).value
    return np.nan if value is None else value


def _lyapunov(rule: Rule, start: Any) -> Any:
    from prefdyn._stability.lyapunov import lyapunov

    return lyapunov(rule, start, count=1).maximal


NAMED = {
    "spectral_radius": Question(
        _spectral_radius,
        batched=True,
        long_name="largest modulus of a multiplier at the fixed point",
        name="spectral_radius",
    ),
    "kind": Question(
        _kind,
        words=KINDS,
        batched=True,
        long_name="stable, or how stability is lost",
        name="kind",
    ),
    "lyapunov": Question(
        _lyapunov,
        batched=True,
        long_name="largest Lyapunov exponent",
        units="nats per round",
        name="lyapunov",
    ),
}
