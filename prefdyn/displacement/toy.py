"""Random pairs of token sequences with hidden states, on which scores of displacement compete."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn._inputs import count, share
from prefdyn.displacement.scores import (
    ches,
    edit_distance_similarity,
    last_hidden_similarity,
    length_difference,
    length_normalised_ches,
)
from prefdyn.policies import UnconstrainedFeatures, log_softmax

COMMON_NORM = 2.0
"""Norm of the direction that all hidden states share, as those of language models do."""
FAVOURED = 3
"""Tokens whose rows lean along that direction, so that the model prefers them everywhere."""
LEAN = 2.4
ROW_SCALE, PROMPT_NOISE, STATE_NOISE = 1.5, 0.6, 0.5


@dataclass(frozen=True, eq=False)
class ToyPairs:
    """Pairs on a shared unembedding, one prompt each; index 0 is chosen, 1 is rejected.

    Attributes
    ----------
    W : numpy.ndarray
        Unembeddings (V, d).
    hidden : numpy.ndarray
        States (n, 2, T, d) that predict each token; both first tokens come from one state.
    tokens : numpy.ndarray
        (n, 2, T); what stands beyond a response's length is padding.
    lengths : numpy.ndarray
        (n, 2) in tokens.
    """

    W: np.ndarray
    hidden: np.ndarray
    tokens: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: Any) -> "ToyPairs":
        """Some of the pairs, by a slice, mask or array of indices."""
        return ToyPairs(self.W, self.hidden[index], self.tokens[index], self.lengths[index])

    @property
    def mask(self) -> np.ndarray:
        """(n, 2, T), 1 where there is a token."""
        return (np.arange(self.tokens.shape[-1]) < self.lengths[..., None]).astype(float)

    def policy(self, kappa_W: float = 1.0, kappa_h: float = 1.0) -> UnconstrainedFeatures:
        """The pairs as a policy: prompt i has responses 2 i (chosen) and 2 i + 1 (rejected)."""
        responses, states = [], []
        for tokens, hidden, (first, second) in zip(
            self.tokens, self.hidden, self.lengths, strict=True
        ):
            responses += [tuple(tokens[0, :first]), tuple(tokens[1, :second])]
            states += [hidden[0, :first], hidden[1, 1:second]]
        prompts = np.repeat(np.arange(len(self)), 2)
        h = np.concatenate(states)
        return UnconstrainedFeatures(
            self.W, h, responses, prompts, kappa_W=kappa_W, kappa_h=kappa_h
        )

    def scores(self) -> dict[str, np.ndarray]:
        """Every score of `prefdyn.displacement` for every pair, (n,) each."""
        states = (self.hidden[:, 0], self.hidden[:, 1], self.mask[:, 0], self.mask[:, 1])
        sequences = [
            [tokens[:length] for tokens, length in zip(*pair, strict=True)]
            for pair in zip(self.tokens, self.lengths, strict=True)
        ]
        return {
            "ches": ches(*states),
            "ln_ches": length_normalised_ches(*states),
            "edit_distance": np.array([edit_distance_similarity(*pair) for pair in sequences]),
            "last_hidden": last_hidden_similarity(*states),
            "length_difference": length_difference(self.lengths[:, 0], self.lengths[:, 1]),
        }


def toy_pairs(
    n: int,
    rng: np.random.Generator | int,
    *,
    on_policy: float = 0.0,
    equal_lengths: bool = False,
    vocabulary: int = 50,
    width: int = 32,
    lengths: tuple[int, int] = (3, 24),
) -> ToyPairs:
    """Pairs whose hidden states share a direction, as a language model's do (claim DISP-10).

    With N standard normal over sqrt(width), states are ``m + r + N/2``: m of norm 2 is common to
    all, r of norm 1 to a response, with cos(r+, r-) uniform in [0, 1]; the state after a prompt
    is ``m + 0.6 N``.  Rows of W are ``1.5 N``, three of them shifted by 2.4 along m.

    Parameters
    ----------
    n
        Number of pairs.
    rng
        Generator or seed.
    on_policy
        Share of the tokens that are drawn from the model; the others are uniform.
    equal_lengths
        Whether both responses of a pair have the same length; lengths are uniform either way.
    vocabulary, width
        Numbers of tokens and of dimensions of a state.
    lengths
        Shortest and longest response.

    Raises
    ------
    InputError
        For a count below 1, a share outside [0, 1], or lengths in the wrong order.
    """
    n, width, shortest = count(n, "n"), count(width, "width", least=2), count(lengths[0], "lengths")
    vocabulary = count(vocabulary, "vocabulary", least=FAVOURED)
    if lengths[1] < shortest:
        raise InputError(f"lengths is {lengths}: give (shortest, longest).")
    on_policy = float(share(on_policy, "on_policy"))
    rng = np.random.default_rng(rng)

    def noise(*shape: int) -> np.ndarray:
        return rng.normal(size=(*shape, width)) / np.sqrt(width)

    common = _unit(noise())
    W = ROW_SCALE * noise(vocabulary)
    W[:FAVOURED] += LEAN * common
    states = _directions(noise(n, 2), rng.uniform(size=(n, 1)))[:, :, None]
    hidden = COMMON_NORM * common + states + STATE_NOISE * noise(n, 2, lengths[1])
    hidden[:, :, 0] = COMMON_NORM * common + PROMPT_NOISE * noise(n, 1)
    n_tokens = rng.integers(shortest, lengths[1], size=(n, 2), endpoint=True)
    if equal_lengths:
        n_tokens[:, 1] = n_tokens[:, 0]
    policy = np.exp(log_softmax(hidden @ W.T))
    tokens = _draw(policy, on_policy, rng)
    while (same := tokens[:, 0, 0] == tokens[:, 1, 0]).any():  # the claim is about first tokens
        tokens[same, :, 0] = _draw(policy[same, :, 0], on_policy, rng)
    return ToyPairs(W, hidden, tokens, n_tokens)


def _directions(pair: np.ndarray, cosine: np.ndarray) -> np.ndarray:
    """Unit vectors (n, 2, d) in the planes of the given ones, with these cosines (n, 1)."""
    first = _unit(pair[:, 0])
    second = pair[:, 1] - (pair[:, 1] * first).sum(-1, keepdims=True) * first
    second = cosine * first + np.sqrt(1 - cosine**2) * _unit(second)
    return np.stack([first, second], axis=1)


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _draw(policy: np.ndarray, on_policy: float, rng: np.random.Generator) -> np.ndarray:
    """Tokens (...) from distributions (..., V) with probability `on_policy`, else uniform."""
    shape, vocabulary = policy.shape[:-1], policy.shape[-1]
    drawn = (policy.cumsum(-1) < rng.uniform(size=(*shape, 1))).sum(-1)
    drawn = np.minimum(drawn, vocabulary - 1)  # the sum of a row may round to below 1
    uniform = rng.integers(vocabulary, size=shape)
    return np.where(rng.uniform(size=shape) < on_policy, drawn, uniform)
