"""From an objective's name to the rule that iterates it."""

from typing import Any

from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.rules import MRS, MRSDPO, MRSIPO, Rule


def recipe(
    game: PreferenceMatrix, objective: str, beta: Any, alpha: Any, lam: Any, **fixed
) -> Rule:
    """The fastest rule for an objective: `MRSIPO`, `MRSDPO`, or `MRS` through the loss core."""
    fast = {"ipo": MRSIPO, "dpo": MRSDPO}.get(objective)
    if fast is not None:
        return fast(game, beta, alpha, lam, **fixed)
    return MRS(game, objective, beta, alpha, lam, **fixed)
