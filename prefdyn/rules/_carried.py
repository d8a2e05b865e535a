"""What a round carries over from the current policy, and what of it a cure may change."""

from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn.policies.softmax import centre
from prefdyn.rules._mixed_reference_sampling import MixedReferenceSampling
from prefdyn.rules._rule import LogitRule, Rule, like
from prefdyn.rules.inexact import Inexact

Array = Any


def carried(rule: Rule) -> np.ndarray:
    r"""The share a of the logits in :math:`F(\theta) = a\,\theta + H(\theta)`.

    ``alpha`` where the reference is mixed, of an inexact round the effective one of claim RND-1,
    and 1 for any other rule, of which H then is the whole displacement.  Whatever a is, what is
    done to H alone, at rest the same in every round, leaves the fixed points where they are.
    """
    if isinstance(rule, Inexact):
        kappa = np.asarray(rule.kappa)
        return 1 - kappa + kappa * carried(rule.rule)
    if isinstance(rule, MixedReferenceSampling):
        return np.asarray(rule.alpha)
    return np.asarray(1.0)


def on_logits(rule: Any) -> bool:
    """Whether the state of a rule is the logits and nothing else."""
    return isinstance(rule, LogitRule) or (isinstance(rule, Inexact) and on_logits(rule.rule))


def check_on_logits(rule: Any, wrapper: str) -> None:
    """Refuse to wrap a rule whose state is more than the logits."""
    if not on_logits(rule):
        raise InputError(
            f"{wrapper} needs a rule on logits, or Inexact around one, not {type(rule).__name__}: "
            "put wrappers that draw votes or remember rounds outside."
        )


def pull(rule: Rule, theta: Array, t: int, rng: np.random.Generator | None) -> Array:
    """``H(theta)``, what a round adds to the share that it carries over, centred."""
    share = like(carried(rule)[..., None], theta)
    return centre(rule.step(theta, t, rng) - share * theta)


def pull_jacobian(rule: Rule, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """The carried share times I, the derivative of `pull`, and how that was obtained."""
    inner = rule.jacobian(theta)
    share = carried(rule)[..., None, None] * np.eye(theta.shape[-1])
    return share, inner.matrix - share, inner.by
