"""Hypothesis strategies for those who test a rule, an objective or a diagnostic of their own.

Needs ``hypothesis``; imported by nothing else in the package.
"""

from typing import Literal

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from prefdyn.games import families
from prefdyn.games.matrix import Array, PreferenceMatrix

GameKind = Literal["any", "cycle", "bradley_terry", "strongly_transitive"]


@st.composite
def games(
    draw: DrawFn,
    min_K: int = 2,
    max_K: int = 6,
    kind: GameKind = "any",
    strength: float = 0.5,
) -> PreferenceMatrix:
    """Games of `min_K` to `max_K` responses.

    Parameters
    ----------
    min_K, max_K : int
        Range of the number of responses; a cycle has at least 3.
    kind : {"any", "cycle", "bradley_terry", "strongly_transitive"}
        ``"any"`` has free entries, ties and (at strength 1/2) certain wins included.
    strength : float
        Largest |P_ij - 1/2| of ``"any"`` and ``"cycle"``; below 1/2 win rates stay inside (0, 1).
    """
    K = draw(st.integers(max(min_K, 3) if kind == "cycle" else min_K, max_K))
    if kind == "cycle":
        return families.cycle(K, draw(st.floats(min(0.01, strength), strength)))
    if kind == "bradley_terry":
        return families.bradley_terry(draw(st.lists(st.floats(-4, 4), min_size=K, max_size=K)))
    if kind == "strongly_transitive":
        return families.strongly_transitive(K, draw(seeds()), strict=draw(st.booleans()))
    pairs = K * (K - 1) // 2
    entries = draw(st.lists(st.floats(-strength, strength), min_size=pairs, max_size=pairs))
    A = np.zeros((K, K))
    A[np.triu_indices(K, 1)] = entries
    return PreferenceMatrix(0.5 + A - A.T)


def policies(K: int, spread: float = 5.0) -> SearchStrategy[Array]:
    """Full-support policies over K responses, logits within [-spread, spread].

    Shrinks towards the uniform policy.
    """
    logits = st.lists(st.floats(-spread, spread), min_size=K, max_size=K)
    return logits.map(lambda values: _softmax(np.array(values)))


def seeds() -> SearchStrategy[int]:
    """Seeds for `numpy.random.default_rng`."""
    return st.integers(0, 2**32 - 1)


def _softmax(logits: Array) -> Array:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()
