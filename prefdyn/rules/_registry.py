"""Rules by name, for command lines, configurations and sweeps."""

from typing import Any

from prefdyn._errors import InputError
from prefdyn._inputs import nearest
from prefdyn.rules._rule import Rule
from prefdyn.rules.accelerated_po import AcceleratedPO
from prefdyn.rules.finite_sample import FiniteSample
from prefdyn.rules.gradient_flow import GradientFlow
from prefdyn.rules.gradient_step import GradientStep
from prefdyn.rules.inexact import Inexact
from prefdyn.rules.momentum import Momentum
from prefdyn.rules.mrs import MRS
from prefdyn.rules.mrs_dpo import MRSDPO
from prefdyn.rules.mrs_ipo import MRSIPO
from prefdyn.rules.tr_dpo import TRDPO

_RULES: dict[str, type[Rule]] = {
    "accelerated_po": AcceleratedPO,
    "finite_sample": FiniteSample,
    "gradient_flow": GradientFlow,
    "gradient_step": GradientStep,
    "inexact": Inexact,
    "momentum": Momentum,
    "mrs": MRS,
    "mrs_dpo": MRSDPO,
    "mrs_ipo": MRSIPO,
    "tr_dpo": TRDPO,
}


def names() -> list[str]:
    """Ids of all rules; `AcceleratedPO` and `TRDPO` under those of the published methods."""
    return sorted(_RULES)


def get(id: str) -> type[Any]:
    """The class of the rule with this id: ``rules.get("mrs_dpo")(game, beta=1, alpha=0, lam=1)``.

    Raises
    ------
    InputError
        For an unknown id; the known ones are listed.
    """
    if not isinstance(id, str) or id not in _RULES:
        raise InputError(
            f"rule {id!r} is not known: choose one of {', '.join(names())}{nearest(id, _RULES)}."
        )
    return _RULES[id]
