"""The contract of an update rule: this round's policy in, the next round's out."""

import copy
import dataclasses
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from array_api_compat import array_namespace

from prefdyn._content import feed
from prefdyn._errors import InputError
from prefdyn._inputs import distribution, log_distribution
from prefdyn.policies import Policy
from prefdyn.policies.softmax import centre, log_softmax

Array = Any


class Jacobian(NamedTuple):
    """Derivative of one step, (..., n, n), and the word for how it was obtained."""

    matrix: np.ndarray
    by: str


class Advanced(NamedTuple):
    """What a kernel made of orbits: states (..., n), and moments (..., K) of the policies passed.

    Attributes
    ----------
    theta
        The states after the last round.
    mean, deviations
        Mean and summed squared deviations of the policies after each round; None where they were
        not asked for.
    """

    theta: np.ndarray
    mean: Any = None
    deviations: Any = None


class Rule(ABC):
    """A map from state to state; `orbit` iterates it, `stability` differentiates it.

    A state is one array (..., n): leading axes are a batch, and every parameter of the rule
    broadcasts against them.  Most rules have logits as state and should derive from `LogitRule`
    instead.  To add a rule with another state (momentum, dual variables), implement `init_log`,
    `step`, `log_policy` and `neutral`.
    """

    backends: ClassVar[tuple[str, ...]] = ("numpy",)
    """Arrays that `step` accepts; with "torch" among them the Jacobian is by autodiff."""
    stochastic: ClassVar[bool] = False
    """Whether `step` draws from `rng`."""

    @property
    @abstractmethod
    def K(self) -> int:
        """Number of responses."""

    def init(self, policy: Array) -> Array:
        """State (..., n) that starts from probabilities (..., K), all positive."""
        return self.init_log(self.log_start(policy))

    def log_start(self, policy: Array) -> Array:
        """Log-probabilities (..., K) of a start, checked."""
        return np.log(distribution(policy, self.K, "start", interior=True))

    @abstractmethod
    def init_log(self, log_policy: Array) -> Array:
        """State (..., n) that starts from log-probabilities (..., K)."""

    @abstractmethod
    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """State of round t + 1 from the state of round t; pure."""

    @abstractmethod
    def log_policy(self, state: Array) -> Array:
        """Log-probabilities (..., K) of a state."""

    @property
    @abstractmethod
    def neutral(self) -> np.ndarray:
        """Directions (n, m) of the state that carry no dynamics."""

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Common shape of the rule's own parameters; () for a single recipe."""
        return ()

    @property
    def own_start(self) -> Array | None:
        """State of a run for which no start is named; None where any policy is as good."""
        return None

    @property
    def skeleton(self) -> "Rule":
        """The deterministic rule that stability analysis looks at; the rule itself unless noisy."""
        return self

    @property
    def twin(self) -> "Rule | None":
        """A rule that rests where this one does, or nearby, and is easier to solve; None if none.

        Newton's method starts from its fixed point.  For rules whose steps die out near the
        boundary too, where a search from afar may end.
        """
        return None

    def compiled(self, K: int, device: str = "cpu") -> Callable[..., Advanced] | None:
        """Kernel ``advance(rule, state, rounds, moments)`` that runs many orbits on a device.

        `ensemble` uses it in place of `step`; None, as here, where there is none.  Moments may be
        left out of the result where `moments` is False.

        Parameters
        ----------
        K
            Number of responses.
        device
            "cpu", "cuda", or one of several GPUs as "cuda:1".
        """
        return None

    def jacobian(self, state: Array) -> Jacobian:
        """Derivative of `step` at a state, (..., n, n), rows = outputs.

        By reverse-mode autodiff where the rule runs on torch, else by central finite differences.
        """
        state = np.asarray(state, dtype=float)
        if "torch" in self.backends:
            return Jacobian(_autodiff(lambda x: self.step(x, 0, None), state), "autodiff")
        return Jacobian(
            _finite_differences(lambda x: self.step(x, 0, None), state), "finite differences"
        )

    def easier(self, strength: float) -> "Rule | None":
        """The same rule with its nonlinearity scaled by `strength` in (0, 1], for continuation.

        None where the rule knows of no such family.
        """
        return None

    def spread(self, state: Array) -> Array:
        """A state of starts (..., n), one copy per element of the rule's batch."""
        try:
            shape = np.broadcast_shapes(self.batch_shape, state.shape[:-1])
        except ValueError:
            raise InputError(
                f"starts of batch shape {state.shape[:-1]} do not broadcast with the rule's batch "
                f"{self.batch_shape}: give one start, or one per batch element."
            ) from None
        return np.broadcast_to(state, (*shape, state.shape[-1])).copy()

    def replace(self, **changes) -> Self:
        """A copy of the rule with some parameters changed and all checks run again."""
        if dataclasses.is_dataclass(self):
            return dataclasses.replace(self, **changes)
        clone = copy.copy(self)
        for name, value in changes.items():
            if not hasattr(clone, name):
                raise InputError(f"{type(self).__name__} has no parameter {name!r}.")
            setattr(clone, name, value)
        return clone

    def fingerprint(self) -> str:
        """Hash of the rule's class and content; equal for rules that are the same map."""
        digest = hashlib.sha256()
        _feed(digest, self)
        return digest.hexdigest()[:16]


class LogitRule(Rule):
    """A rule whose state is the logits ``theta``: implement ``update(theta)`` and ``K``.

    Examples
    --------
    >>> class Hedge(LogitRule):
    ...     def __init__(self, P, rate):
    ...         self.P, self.rate = P, rate
    ...     @property
    ...     def K(self):
    ...         return len(self.P)
    ...     def update(self, theta):
    ...         return theta + self.rate * softmax(theta) @ self.P.T
    """

    @abstractmethod
    def update(self, theta: Array) -> Array:
        """Next logits (..., K) from logits (..., K), up to a constant per policy."""

    def init_log(self, log_policy: Array) -> Array:
        """Centred logits, broadcast against the rule's parameters."""
        log_policy = log_distribution(log_policy, self.K, "log_start")
        return self.spread(centre(log_policy))

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """`update`, centred: logits are defined up to a constant, which must not drift."""
        return centre(self.update(state))

    def log_policy(self, state: Array) -> Array:
        """``log_softmax`` of the logits."""
        return log_softmax(state)

    @property
    def neutral(self) -> np.ndarray:
        """The all-ones direction, which softmax ignores."""
        return np.ones((self.K, 1))


def like(value: np.ndarray, theta: Array) -> Array:
    """A constant of the rule as the kind of array the state is."""
    if isinstance(theta, np.ndarray):
        return value
    xp = array_namespace(theta)
    return xp.asarray(value, dtype=theta.dtype, copy=True)  # a copy: constants are read-only


def _autodiff(function, state: np.ndarray) -> np.ndarray:
    """Jacobian (..., n, n) of a batched map; batch elements do not depend on each other."""
    import torch

    x = torch.tensor(state, requires_grad=True)
    y = function(x)
    rows = [
        torch.autograd.grad(y[..., k].sum(), x, retain_graph=True)[0] for k in range(y.shape[-1])
    ]
    return torch.stack(rows, dim=-2).numpy()


def _finite_differences(function, state: np.ndarray) -> np.ndarray:
    """Central differences; the step 1e-6 balances truncation against rounding in float64."""
    columns = []
    for k in range(state.shape[-1]):
        scale = 1e-6 * np.maximum(1.0, np.abs(state[..., k]))
        shift = np.zeros_like(state)
        shift[..., k] = scale
        columns.append((function(state + shift) - function(state - shift)) / (2 * scale[..., None]))
    return np.stack(columns, axis=-1)


def _feed(digest, value) -> None:
    """Add a value to a hash: arrays by content, objects by class and attributes."""
    if isinstance(value, np.ndarray):
        digest.update(repr(value.shape).encode() + np.ascontiguousarray(value).tobytes())
    elif dataclasses.is_dataclass(value) or isinstance(value, (Rule, Policy)):
        digest.update(f"{type(value).__module__}.{type(value).__qualname__}".encode())
        if dataclasses.is_dataclass(value):
            items = [
                (field.name, getattr(value, field.name)) for field in dataclasses.fields(value)
            ]
        else:
            items = sorted(vars(value).items())
        if isinstance(value, Policy):
            items.append(("params", value.params))  # `at` moves them away from the fields
        for name, item in items:
            digest.update(name.encode())
            _feed(digest, item)
    elif isinstance(value, (list, tuple, Mapping)):
        # Not by repr, which abbreviates long arrays inside.
        items = sorted(value.items()) if isinstance(value, Mapping) else enumerate(value)
        digest.update(type(value).__name__.encode())
        for name, item in items:
            digest.update(repr(name).encode())
            _feed(digest, item)
    elif hasattr(value, "fingerprint"):
        digest.update(value.fingerprint().encode())
    elif callable(value):
        feed(digest, value)  # not by repr, which holds its address in memory
    else:
        digest.update(repr(value).encode())


def a_rule(value: Any) -> Rule:
    """The value, which must be a rule.

    Raises
    ------
    InputError
        If it is something else.
    """
    if not isinstance(value, Rule):
        raise InputError(
            f"rule is of type {type(value).__name__}: give a rule, such as MRSIPO(game, beta=0.1, "
            "alpha=0.5, lam=1.0)."
        )
    return value
