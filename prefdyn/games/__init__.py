"""Who beats whom: preference matrices, their families, structure, and data."""

from prefdyn.games.families import (
    bradley_terry,
    condorcet_over_cycle,
    cycle,
    random,
    rock_paper_scissors,
    strongly_transitive,
)
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.games.structure import (
    condorcet_winner,
    contains_cycle,
    copeland,
    cyclic_share,
    is_strongly_transitive,
    is_transitive,
    smith_set,
)

__all__ = [
    "PreferenceMatrix",
    "bradley_terry",
    "condorcet_over_cycle",
    "condorcet_winner",
    "contains_cycle",
    "copeland",
    "cycle",
    "cyclic_share",
    "is_strongly_transitive",
    "is_transitive",
    "random",
    "rock_paper_scissors",
    "smith_set",
    "strongly_transitive",
]
