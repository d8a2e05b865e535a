"""Which figures and claims belong together, and to which paper."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A part of the report and of the gallery.

    Attributes
    ----------
    name
        Short name, as an anchor.
    title
        A heading of a few words.
    papers
        arXiv ids of what it is about, the main one first.
    question
        What it asks, for a reader who knows neither the papers nor the package.
    figures
        Names of the figures, in reading order.
    families
        The part before the number of the ids of its claims.
    """

    name: str
    title: str
    papers: tuple[str, ...]
    question: str
    figures: tuple[str, ...]
    families: tuple[str, ...]


SECTIONS = (
    Section(
        "rounds",
        "How sampling shapes alignment",
        ("2602.12180", "2310.12036", "2305.18290"),
        "Answers are sampled, compared and trained on, round after round. Which answer does one "
        "round put first, and do many rounds converge, oscillate or collapse?",
        (
            "policy_paths",
            "stability_region",
            "onset",
            "collapse",
            "cyclic_collection",
            "transitive_collection",
            "real_games",
            "one_shot_ranking",
            "sampler_tilt",
            "dpo_sampling",
        ),
        ("IPO", "MRS", "DPO"),
    ),
    Section(
        "beyond",
        "Beyond the onset",
        ("2602.12180",),
        "What lies past the edge of stability: abrupt transitions, several outcomes at once, "
        "locking, chaos; and what unfinished rounds, few votes and random games change.",
        (
            "bifurcations",
            "hysteresis",
            "mode_locking",
            "basins",
            "inexact_rounds",
            "finite_sample",
            "many_games",
        ),
        ("NS", "BIF", "RUN", "RND", "LAB"),
    ),
    Section(
        "solvers",
        "Game solvers and samplers",
        ("2503.08942", "2312.00886", "2405.00675", "2409.19605", "2502.04270"),
        "Mirror descent, EGPO, Nash-MD, SPPO, and online DPO with its samplers: which of them "
        "reach the equilibrium of a preference game, and how fast?",
        ("game_solvers", "where_rules_cycle", "samplers"),
        ("GAME",),
    ),
    Section(
        "cures",
        "Cures for oscillation, and samplers that learn",
        ("2602.12180", "2503.08942", "1311.1869"),
        "Which change of a recipe makes it settle at the fixed point it has, and how many votes "
        "does it take to rank the winner first?",
        ("cures", "adaptive_sampler"),
        ("CURE", "VOTE"),
    ),
    Section(
        "displacement",
        "Likelihood displacement",
        ("2410.08847",),
        "Why does training to prefer one answer make it less likely, and which pairs do that?",
        ("no_never_yes", "displacement_threshold", "ches"),
        ("DISP",),
    ),
    Section(
        "squeezing",
        "The squeezing effect",
        ("2407.10490",),
        "Where does the probability go that a rejected answer loses?",
        ("squeezing", "extension"),
        ("SQZ",),
    ),
    Section(
        "entanglement",
        "Gradient entanglement, and what each objective pushes",
        ("2410.13828",),
        "Chosen and rejected answers share their gradients: when does pushing one down pull the "
        "other down with it, and which of the published objectives push how hard?",
        ("entanglement", "pushes", "push_phase", "objectives_in_rounds"),
        ("ENT",),
    ),
    Section(
        "kernel",
        "Training as a kernel",
        ("2407.10490", "2410.13828"),
        "How far does one measurement of log-probabilities and gradients predict a training run?",
        ("kernel",),
        ("KER",),
    ),
    Section(
        "spo",
        "SPO and the shift of preferences",
        ("2507.07723",),
        "A preference loss can lift answers nobody asked for. How much, and what does a likelihood "
        "term repair?",
        ("preference_shift", "spo_bounds", "population"),
        ("SPO",),
    ),
    Section(
        "slime",
        "SLIME",
        ("2602.02383",),
        "A floor under rejected tokens and an anchor for chosen ones: where does training rest?",
        ("slime",),
        ("SLIME",),
    ),
    Section(
        "practice",
        "Pipelines and logs",
        ("2404.09656", "1705.04908"),
        "Which recipe do a trainer's settings amount to, and what can the log of a run tell?",
        (),
        ("PIPE", "DIAG"),
    ),
)
"""The sections in the order of the report."""
