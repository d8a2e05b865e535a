"""The figures: one script each, `plot_NAME.py`, drawn by ``python -m figures``.

To add one, write a module with

``TITLE``
    A heading of a few words.
``CAPTION``
    What is predicted, what is simulated, and the convention of beta.
``CLAIMS``
    Ids of the claims it shows.
``compute(seed, full=False)``
    The data, as a dict of numpy arrays.  Predictions and simulations are separate code paths.
``draw(data)``
    The matplotlib `Figure`, made from the saved data and nothing else.
``findings(data)`` (optional)
    Sentences measured from the data, shown below the caption.

and put its name where it belongs in `ORDER`.
"""

from pathlib import Path

ORDER = (
    "policy_paths",
    "stability_region",
    "onset",
    "bifurcations",
    "hysteresis",
    "mode_locking",
    "basins",
    "collapse",
    "cyclic_collection",
    "transitive_collection",
    "game_solvers",
    "where_rules_cycle",
    "one_shot_ranking",
    "adaptive_sampler",
    "sampler_tilt",
    "dpo_sampling",
    "samplers",
    "finite_sample",
    "inexact_rounds",
    "cures",
    "real_games",
    "many_games",
    "pushes",
    "push_phase",
    "objectives_in_rounds",
    "entanglement",
    "slime",
    "no_never_yes",
    "displacement_threshold",
    "ches",
    "squeezing",
    "extension",
    "kernel",
    "preference_shift",
    "spo_bounds",
    "population",
)
"""Names of the figures in the order of the report."""

FOLDER = Path(__file__).resolve().parent
OUTPUT = FOLDER / "output"
"""Where figures, their data and their records go."""
