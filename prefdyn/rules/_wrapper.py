"""Rules around rules, and how a parameter is found in them."""

import dataclasses
from typing import Any, Self

import numpy as np

from prefdyn._errors import InputError
from prefdyn.rules._rule import Rule

Array = Any


class Wrapper(Rule):
    """A rule that changes how another rule, its field ``rule``, is run."""

    rule: Rule

    @property
    def K(self) -> int:
        """Number of responses."""
        return self.rule.K

    @property
    def backends(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        """Those of the wrapped rule."""
        return self.rule.backends

    @property
    def stochastic(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        """As the wrapped rule."""
        return self.rule.stochastic

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """As the wrapped rule."""
        return self.rule.batch_shape

    @property
    def skeleton(self) -> Rule:
        """The wrapper around the wrapped rule's deterministic skeleton."""
        inner = self.rule.skeleton
        return self if inner is self.rule else self.replace(rule=inner)

    @property
    def neutral(self) -> np.ndarray:
        """As the wrapped rule."""
        return self.rule.neutral

    @property
    def own_start(self) -> Array | None:
        """As the wrapped rule."""
        return self.rule.own_start

    @property
    def twin(self) -> Rule | None:
        """As the wrapped rule."""
        return self.rule.twin

    def log_start(self, policy: Array) -> Array:
        """As the wrapped rule."""
        return self.rule.log_start(policy)

    def init_log(self, log_policy: Array) -> Array:
        """As the wrapped rule."""
        return self.rule.init_log(log_policy)

    def log_policy(self, state: Array) -> Array:
        """As the wrapped rule."""
        return self.rule.log_policy(state)

    def easier(self, strength: float) -> Self | None:
        """The wrapper around the easier rule, if there is one."""
        inner = self.rule.easier(strength)
        return None if inner is None else self.replace(rule=inner)


def get_parameter(rule: Any, path: str) -> Any:
    """Value of a parameter by path (``"beta"``, ``"objective.beta"``), looking through wrappers."""
    owner, name = _owner(rule, path)
    return getattr(owner, name)


def set_parameter(rule: Any, path: str, value: Any) -> Any:
    """A copy of the rule with one parameter changed; see `get_parameter`.

    Raises
    ------
    InputError
        If there is no such parameter.
    """
    head, _, tail = path.partition(".")
    if hasattr(rule, head):
        new = set_parameter(getattr(rule, head), tail, value) if tail else value
        return rule.replace(**{head: new}) if isinstance(rule, Rule) else _replaced(rule, head, new)
    if isinstance(rule, Wrapper):
        return rule.replace(rule=set_parameter(rule.rule, path, value))
    raise _unknown(rule, path)


def _replaced(thing: Any, name: str, value: Any) -> Any:
    return dataclasses.replace(thing, **{name: value})


def _owner(rule: Any, path: str) -> tuple[Any, str]:
    head, _, tail = path.partition(".")
    if hasattr(rule, head):
        return _owner(getattr(rule, head), tail) if tail else (rule, head)
    if isinstance(rule, Wrapper):
        return _owner(rule.rule, path)
    raise _unknown(rule, path)


def _unknown(rule: Any, path: str) -> InputError:
    known = (
        [field.name for field in dataclasses.fields(rule)]
        if dataclasses.is_dataclass(rule)
        else sorted(getattr(rule, "__dict__", ()))
    )
    return InputError(f"{type(rule).__name__} has no parameter {path!r}: it has {known}.")
