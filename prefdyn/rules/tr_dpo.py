"""Rounds whose reference follows the policy: trust-region DPO."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn._inputs import count, share
from prefdyn.policies.softmax import log_softmax
from prefdyn.rules._mixed_reference_sampling import MixedReferenceSampling
from prefdyn.rules._pair_training import PairTraining
from prefdyn.rules._rule import Rule
from prefdyn.rules._wrapper import Wrapper
from prefdyn.rules.inexact import Inexact

Array = Any


@dataclass(eq=False)
class TRDPO(Wrapper):
    r"""Every few steps the reference moves towards the policy (arXiv 2404.09656).

    .. math:: \theta \leftarrow G_{\mathrm{ref}}(\theta)\ \text{(every times)}, \qquad
              \mathrm{ref} \leftarrow a\,\theta + (1 - a)\,\mathrm{ref}
              \quad\text{on parameters}

    A round is `every` steps of the wrapped rule against one reference and then one update of the
    reference, which starts as the policy does.  Around `GradientStep` this is the published
    algorithm (soft update a = 0.6, every 512 steps; a = 1 is its hard update).  Around an MRS rule
    the parameters are logits and a step is an exact optimum; a new step can then differ from the
    last only because the sampler has moved, so ``every=1`` is the natural round, and a = 1 is the
    rule with ``alpha=1``.  A weak cycle (`MRSIPO` with ``lam=1``), around which the hard update
    spirals out, then settles for a < 2/3.  Steps that go only part of the way are `Inexact` ones.

    The state is ``(state of the rule, parameters of the reference)``.

    Parameters
    ----------
    rule
        A `GradientStep` or `GradientFlow`, or an MRS rule with ``alpha=0``, also inside `Inexact`.
        Its own reference is not used.
    alpha
        a in (0, 1], the share of the *policy*; may be an array, which broadcasts.
    every
        Steps of the rule from one update of the reference to the next.

    Raises
    ------
    InputError
        For another rule, an MRS rule that mixes its reference itself, or a batch of training runs.
    """

    rule: Rule
    alpha: ArrayLike = 0.6
    every: int = 512

    def __post_init__(self):
        self.alpha = share(self.alpha, "alpha")
        if np.any(self.alpha == 0):
            raise InputError("alpha is 0: the reference never moves; use the wrapped rule alone.")
        self.every = count(self.every, "every")
        inner = self.rule.rule if isinstance(self.rule, Inexact) else self.rule
        if isinstance(inner, MixedReferenceSampling):
            if np.any(inner.alpha != 0):
                raise InputError(
                    "TRDPO moves the reference itself: give it an MRS rule with alpha=0."
                )
        elif not isinstance(self.rule, PairTraining):
            raise InputError(
                f"TRDPO replaces the reference of its rule, which {type(self.rule).__name__} does "
                "not have: give a GradientStep or an MRS rule."
            )
        elif self.rule.batch_shape:
            raise InputError(
                "TRDPO trains one run at a time: give a rule without arrays as parameters, and a "
                "batch of starts instead."
            )

    @property
    def backends(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        """Numpy alone: the reference of a rule is no variable of its step."""
        return ("numpy",)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Common shape of the wrapped rule's parameters and alpha."""
        return np.broadcast_shapes(self.rule.batch_shape, np.shape(self.alpha))

    @property
    def neutral(self) -> np.ndarray:
        """The rule's, and those of the reference's parameters."""
        policy = self.rule.neutral
        reference = policy[: self._size]
        return np.block(
            [
                [policy, np.zeros((len(policy), reference.shape[1]))],
                [np.zeros((self._size, policy.shape[1])), reference],
            ]
        )

    @property
    def own_start(self) -> Array | None:
        """The wrapped rule's, with its parameters as reference."""
        start = self.rule.own_start
        return None if start is None else self._with_itself(start)

    def init_log(self, log_policy: Array) -> Array:
        """The policy is its own reference."""
        return self._with_itself(self.rule.init_log(log_policy))

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """The wrapped rule's steps, then the reference's."""
        inner, reference = state[..., : -self._size], state[..., -self._size :]
        if isinstance(self.rule, PairTraining) and state.ndim > 1:
            members = zip(
                inner.reshape(-1, inner.shape[-1]), reference.reshape(-1, self._size), strict=True
            )
            steps = [self._steps(one, ref, t, rng) for one, ref in members]
            following = np.reshape(steps, inner.shape)
        else:
            following = self._steps(inner, reference, t, rng)
        alpha = np.asarray(self.alpha)[..., None]
        mixed = alpha * following[..., : self._size] + (1 - alpha) * reference
        return np.concatenate([following, mixed], axis=-1)

    def log_policy(self, state: Array) -> Array:
        """Of the policy, not of its reference."""
        return self.rule.log_policy(state[..., : -self._size])

    @property
    def _size(self) -> int:
        """Number of parameters of the reference."""
        return self.rule.size if isinstance(self.rule, PairTraining) else self.K

    def _with_itself(self, inner: Array) -> Array:
        inner = self.spread(inner)
        return np.concatenate([inner, inner[..., : self._size]], axis=-1)

    def _steps(self, inner: Array, reference: Array, t: int, rng) -> Array:
        rule = cast(Any, self.rule)
        if isinstance(rule, PairTraining):
            rule = cast(Any, rule).replace(reference=rule.policy.token_log_probs(reference))
        else:
            own = {"reference": None, "log_reference": log_softmax(reference)}
            inside = isinstance(rule, Inexact)
            rule = rule.replace(rule=rule.rule.replace(**own)) if inside else rule.replace(**own)
        for i in range(self.every):
            inner = rule.step(inner, t * self.every + i, rng)
        return inner
