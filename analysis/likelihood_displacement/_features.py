"""Random policies with free features, and how fast their log-probabilities move."""

from typing import Any, NamedTuple

import numpy as np

from prefdyn.policies import UnconstrainedFeatures, log_softmax
from prefdyn.rules import GradientStep

STEP = 1e-5
"""Central differences along a step: the error of third order stays below 1e-8 in these draws."""

CHOSEN, REJECTED = 0, 1
"""Tokens are exchangeable in these draws, so the pair may as well be the first two."""


class SingleTokens(NamedTuple):
    """A batch of one-token instances: (B, V, d), (B, d), one reference (V,) for all."""

    W: np.ndarray
    h: np.ndarray
    reference: np.ndarray
    beta: float

    @property
    def pi(self) -> np.ndarray:
        """Policies (B, V)."""
        return np.exp(log_softmax(np.einsum("bvd,bd->bv", self.W, self.h)))


def single_tokens(
    rng: np.random.Generator, batch: int, *, V: int = 40, d: int = 12, scale: float = 0.5
) -> SingleTokens:
    """W standard normal, h that times `scale`; in every other draw W_- is near W_+."""
    W, h = rng.normal(size=(batch, V, d)), scale * rng.normal(size=(batch, d))
    W[::2, REJECTED] = W[::2, CHOSEN] + 0.4 * rng.normal(size=W[::2, CHOSEN].shape)
    reference = log_softmax(rng.normal(size=V))
    return SingleTokens(W, h, reference, float(rng.uniform(0.05, 1)))


def features_of(instance: SingleTokens, **kappa: Any) -> UnconstrainedFeatures:
    """The batch as one policy."""
    policy = UnconstrainedFeatures(instance.W[0], instance.h[0], **kappa)
    batch = len(instance.W)
    return policy.at(np.hstack([instance.W.reshape(batch, -1), instance.h]))


def slope(instance: SingleTokens) -> np.ndarray:
    """``c = -l'(margin) = beta sigmoid(-beta (margin - margin_ref))`` of DPO, (B,)."""
    logits = np.einsum("bvd,bd->bv", instance.W[:, :2], instance.h)
    margin = logits[:, CHOSEN] - logits[:, REJECTED]
    margin = margin - instance.reference[CHOSEN] + instance.reference[REJECTED]
    return instance.beta / (1 + np.exp(instance.beta * margin))


def rates(rule: GradientStep) -> np.ndarray:
    """``d ln pi/d step`` of every response, by central differences along the rule's own step."""
    params = rule.policy.params
    move = rule.policy.direction(params, rule.pushes(params))
    up, down = (rule.policy.log_probs(params + STEP * s * move) for s in (1, -1))
    return (up - down) / (2 * STEP)
