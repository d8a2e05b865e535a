"""Likelihood displacement: what training on a pair does to its chosen response, and who gains.

`diagnose_pair` answers for any policy and objective; the scores rank pairs by hidden states, tokens
and lengths alone, as one must where gradients of a language model are too dear.
"""

from prefdyn.displacement.diagnosis import Entanglement, Gainer, PairDiagnosis, diagnose_pair
from prefdyn.displacement.scores import (
    ches,
    edit_distance_similarity,
    last_hidden_similarity,
    length_difference,
    length_normalised_ches,
)
from prefdyn.displacement.toy import ToyPairs, toy_pairs

__all__ = [
    "Entanglement",
    "Gainer",
    "PairDiagnosis",
    "ToyPairs",
    "ches",
    "diagnose_pair",
    "edit_distance_similarity",
    "last_hidden_similarity",
    "length_difference",
    "length_normalised_ches",
    "toy_pairs",
]
