"""Rounds that play against the past: sampling from a running average of the policies."""

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn._inputs import choice, common_shape, count, share
from prefdyn.policies.softmax import centre, log_softmax, softmax
from prefdyn.rules._carried import carried, check_on_logits, pull, pull_jacobian
from prefdyn.rules._rule import Jacobian, LogitRule, like
from prefdyn.rules._wrapper import Wrapper
from prefdyn.rules.inexact import Inexact

Array = Any

KINDS = ("policies", "logits")


@dataclass(eq=False)
class Averaged(Wrapper):
    r"""Pull towards what is best against a running average of the policies (claim CURE-4).

    .. math:: \theta_{t+1} = a\,\theta_t + H(\bar\theta_t), \qquad
              F(\theta) = a\,\theta + H(\theta)

    with F the wrapped rule's round and a the share of the logits it carries over (``alpha`` for MRS
    rules, whose sampler then mixes the average in place of the current policy; else 1).  The
    average is exponential, ``(1 - rate)`` of the last one and ``rate`` of the current policy, or
    over the last `window` policies; of the probabilities (a mixture that one can sample from by
    drawing an old policy) or of the logits (their normalised geometric mean).  Fixed points stay.
    One evaluation of F per round.

    The averaged policies are *played*.  Merely reporting the average of an orbit cures nothing: the
    last iterate goes on cycling.

    The state holds ``theta_t`` and the last average, or `window` policies; it starts at rest.  A
    multiplier x = a + g of the wrapped rule becomes the roots of
    ``(z - a)(z - 1 + rate) = rate g z``, or of ``(z - a) z^(w-1) = (g/w)(z^(w-1) + ... + 1)``.

    Parameters
    ----------
    rule
        A rule whose state is the logits, or `Inexact` around one.
    rate
        In (0, 1]; 1 is the plain rule.  May be an array, which broadcasts.
    window
        Policies in the average, in place of a rate; 1 is the plain rule.
    of
        ``"policies"`` or ``"logits"``.

    Raises
    ------
    InputError
        If not exactly one of rate and window is given.
    """

    rule: LogitRule | Inexact
    rate: ArrayLike | None = None
    window: int | None = None
    of: str = "policies"

    def __post_init__(self):
        check_on_logits(self.rule, "Averaged")
        choice(self.of, KINDS, "average of")
        if (self.rate is None) == (self.window is None):
            raise InputError("an average needs either a rate or a window: give one of them.")
        if self.rate is None:
            self.window = count(self.window, "window")
            return
        self.rate = share(self.rate, "rate")
        if np.any(self.rate == 0):
            raise InputError("rate is 0: an average that never moves is no average; give more.")
        common_shape(rule=self.rule.batch_shape, rate=self.rate.shape)

    @property
    def parts(self) -> int:
        """How many policies the state holds."""
        return 2 if self.window is None else self.window

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Common shape of the wrapped rule's parameters and the rate."""
        return np.broadcast_shapes(self.rule.batch_shape, np.shape(self._weights())[1:])

    @property
    def neutral(self) -> np.ndarray:
        """The wrapped rule's directions, in every policy remembered."""
        return np.kron(np.eye(self.parts), self.rule.neutral)

    def init_log(self, log_policy: Array) -> Array:
        """At rest: all policies remembered are the start."""
        start = self.spread(self.rule.init_log(log_policy))
        return np.concatenate([start] * self.parts, axis=-1)

    def log_policy(self, state: Array) -> Array:
        """That of the present, not of the average."""
        return self.rule.log_policy(state[..., : self.K])

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """The share carried over, plus the pull at the average."""
        xp = array_namespace(state)
        remembered = self._split(state)
        average = self._average(remembered)
        carry = like(carried(self.rule)[..., None], state)
        following = centre(carry * remembered[0] + pull(self.rule, average, t, rng))
        kept = [average] if self.window is None else remembered[:-1]
        return xp.concat([following, *kept], axis=-1)

    def jacobian(self, state: Array) -> Jacobian:
        """First row ``a I + DH W_0, DH W_1, ...`` with W the derivatives of the average."""
        remembered = self._split(np.asarray(state))
        average = self._average(remembered)
        carry, slope, by = pull_jacobian(self.rule, average)
        through = self._average_jacobian(remembered, average)
        first = [carry * (k == 0) + slope @ part for k, part in enumerate(through)]
        identity = np.eye(self.K)
        rows = [first, through] if self.window is None else [first]
        for k in range(self.parts - len(rows)):  # the window moves on by one
            rows.append([identity * (k == j) for j in range(self.parts)])
        flat = iter(np.broadcast_arrays(*(block for row in rows for block in row)))
        whole = [np.concatenate([next(flat) for _ in row], axis=-1) for row in rows]
        return Jacobian(np.concatenate(whole, axis=-2), by)

    def _split(self, state: Array) -> list[Array]:
        return [state[..., k * self.K : (k + 1) * self.K] for k in range(self.parts)]

    def _weights(self) -> np.ndarray:
        """Share of every part in the average, (parts, ...)."""
        if self.window is not None:
            return np.full(self.window, 1 / self.window)
        rate = np.asarray(self.rate)
        return np.stack([rate, 1 - rate])

    def _average(self, remembered: list[Array]) -> Array:
        """Centred logits, or log-probabilities, of the average."""
        xp = array_namespace(remembered[0])
        weights = like(self._weights()[..., None], remembered[0])
        if self.of == "logits":
            parts = [weights[k] * centre(part) for k, part in enumerate(remembered)]
            return sum(parts[1:], parts[0])
        logs = [log_softmax(part) for part in remembered]
        peak = reduce(xp.maximum, logs)
        # A weight of exactly 0, at rate 1, must leave a finite logarithm.
        weights = xp.clip(weights, min=1e-300)
        shares = [weights[k] * xp.exp(log - peak) for k, log in enumerate(logs)]
        return peak + xp.log(sum(shares[1:], shares[0]))

    def _average_jacobian(self, remembered: list[np.ndarray], average: np.ndarray) -> list:
        """Derivatives of the average with respect to every part, (..., K, K) each."""
        weights, identity = self._weights()[..., None, None], np.eye(self.K)
        if self.of == "logits":
            return [weight * identity for weight in weights]
        shares = [np.exp(log_softmax(part) - average)[..., None] for part in remembered]
        seen = [identity - softmax(part)[..., None, :] for part in remembered]
        return [w * s * d for w, s, d in zip(weights, shares, seen, strict=True)]
