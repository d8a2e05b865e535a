"""Who beats whom: preference matrices, their families, structure, and data."""

from prefdyn.games.adaptive import AdaptiveSampler, Learning, Question, learn_sampler
from prefdyn.games.evidence import Evidence, confidence_bounds, log_evidence
from prefdyn.games.families import (
    bradley_terry,
    condorcet_over_cycle,
    cycle,
    random,
    rock_paper_scissors,
    strongly_transitive,
)
from prefdyn.games.helpsteer import games_from_scores, load_helpsteer, synthetic_scores
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.games.matrix_file import load_matrix
from prefdyn.games.metrics import (
    best_response,
    duality_gap,
    kl_to,
    nash_conv,
    nash_equilibrium,
    time_average,
    win_rate,
)
from prefdyn.games.named import load, names
from prefdyn.games.sampling import (
    MaxMarginSampler,
    best_margin,
    max_margin_sampler,
    ranking_margin,
    robust_sampler,
)
from prefdyn.games.structure import (
    condorcet_winner,
    contains_cycle,
    copeland,
    cyclic_share,
    is_strongly_transitive,
    is_transitive,
    smith_set,
)
from prefdyn.games.votes import PromptGames, load_votes

__all__ = [
    "AdaptiveSampler",
    "Evidence",
    "Learning",
    "MaxMarginSampler",
    "PreferenceMatrix",
    "PromptGames",
    "Question",
    "best_margin",
    "best_response",
    "bradley_terry",
    "condorcet_over_cycle",
    "condorcet_winner",
    "confidence_bounds",
    "contains_cycle",
    "copeland",
    "cycle",
    "cyclic_share",
    "duality_gap",
    "games_from_scores",
    "is_strongly_transitive",
    "is_transitive",
    "kl_to",
    "learn_sampler",
    "load",
    "load_helpsteer",
    "load_matrix",
    "load_votes",
    "log_evidence",
    "max_margin_sampler",
    "names",
    "nash_conv",
    "nash_equilibrium",
    "random",
    "ranking_margin",
    "robust_sampler",
    "rock_paper_scissors",
    "smith_set",
    "strongly_transitive",
    "synthetic_scores",
    "time_average",
    "win_rate",
]
