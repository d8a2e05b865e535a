"""All objectives of the registry, ready to be drawn: the parameters they are shown at."""

from typing import Any

import numpy as np

from prefdyn import objectives
from prefdyn.objectives import Objective, Pair

LENGTHS = (25, 10)
"""Tokens of the chosen and the rejected response."""
START = -2.0
"""Log-probability of each token under the reference, in nats."""

NEEDED: dict[str, dict[str, Any]] = {
    "alpha_dpo": {"ema_std": 1.0},
    "bco": {"delta": 0.0},
    "bpo": {"alpha": 0.6},
    "kto": {"z0": 2.0},
    "spo": {"v_star": 0.0},
}
"""Statistics held at a number, and parameters without a published value."""

FAMILIES = {
    "likelihood": "likelihood",
    "bradley_terry": "logistic",
    "squared": "squared",
    "hinge": "hinge",
    "length_normalised": "per token",
    "odds_ratio": "odds",
    "pointwise": "each response alone",
    "transport": "sorted",
    "f_divergence": "other divergences",
    "calibrated": "calibrated",
    "anchored": "anchored",
    "modifiers": "modified",
    "spo": "constrained",
    "slime": "token level",
}
"""Modules of `prefdyn.objectives`, in the order of the panels, and what is said of them."""


def family(id: str) -> str:
    """The module an objective is written in."""
    return objectives.classes()[id].__module__.rpartition(".")[2]


def ordered() -> list[str]:
    """Ids of all shipped objectives, family by family."""
    shipped = [
        id
        for id in objectives.names()
        if objectives.classes()[id].__module__.startswith("prefdyn.objectives.")
    ]
    places = {name: place for place, name in enumerate(FAMILIES)}
    return sorted(shipped, key=lambda id: (places[family(id)], id))


def shown(id: str, beta: float | None = None) -> Objective:
    """An objective with the published defaults, but for `NEEDED` and, if given, for beta."""
    parameters = dict(NEEDED.get(id, {}))
    objective = objectives.get(id, **parameters)
    return (
        objective.replace(beta=beta) if beta is not None and objective.takes("beta") else objective
    )


def pair_at(a: np.ndarray, b: np.ndarray) -> Pair:
    """Pairs at log-ratios a, b to the reference, each a batch of its own: shape (..., 1)."""
    fields: dict[str, Any] = {}
    for side, ratio, length in zip(("chosen", "rejected"), (a, b), LENGTHS, strict=True):
        reference = START * length
        log_prob = (reference + ratio)[..., None]
        fields |= {side: log_prob, f"ref_{side}": reference, f"{side}_length": length}
        share = np.ones(length) / length
        fields |= {
            f"{side}_tokens": log_prob[..., None] * share,
            f"ref_{side}_tokens": reference * share,
        }
    return Pair(**fields, chosen_win_rate=0.9, rejected_win_rate=0.1)


def pushes_at(id: str, a: np.ndarray, b: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """``(d_w, d_l)`` of an objective at log-ratios a, b, in their shape.

    beta is set except for objectives per token, whose published values mean another unit.
    """
    per_token = family(id) == "length_normalised" or id in ("alpha_dpo", "ipo_mean", "orpo")
    objective = shown(id, None if per_token and id != "ld_dpo" else beta)
    d_w, d_l = objective.pushes(pair_at(a, b))
    return d_w[..., 0], d_l[..., 0]
