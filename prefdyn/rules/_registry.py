"""Rules by name, for command lines, configurations and sweeps."""

from collections.abc import Callable
from typing import Any

from prefdyn._errors import InputError
from prefdyn._inputs import nearest
from prefdyn.rules._rule import Rule
from prefdyn.rules.accelerated_po import AcceleratedPO
from prefdyn.rules.adaptive_beta import AdaptiveBeta, BestFraction
from prefdyn.rules.averaged import Averaged
from prefdyn.rules.best_response import BestResponse
from prefdyn.rules.egpo import EGPO
from prefdyn.rules.extragradient import Extragradient
from prefdyn.rules.finite_sample import FiniteSample
from prefdyn.rules.gradient_flow import GradientFlow
from prefdyn.rules.gradient_step import GradientStep
from prefdyn.rules.inexact import Inexact
from prefdyn.rules.ipo_md import IPOMD
from prefdyn.rules.learned_sampler import LearnedSampler
from prefdyn.rules.momentum import Momentum
from prefdyn.rules.mrs import MRS
from prefdyn.rules.mrs_dpo import MRSDPO
from prefdyn.rules.mrs_ipo import MRSIPO
from prefdyn.rules.nash_md import NashMD
from prefdyn.rules.nash_md_pg import NashMDPG
from prefdyn.rules.online_ipo import OnlineIPO
from prefdyn.rules.optimistic import Optimistic
from prefdyn.rules.sampled_dpo import SampledDPO
from prefdyn.rules.self_play import (
    inpo,
    iterative_rpo,
    online_mirror_descent,
    self_play_ipo,
    sppo,
)
from prefdyn.rules.tr_dpo import TRDPO

_RULES: dict[str, Callable[..., Rule]] = {
    "accelerated_po": AcceleratedPO,
    "adaptive_beta": AdaptiveBeta,
    "averaged": Averaged,
    "best_fraction": BestFraction,
    "best_response": BestResponse,
    "egpo": EGPO,
    "extragradient": Extragradient,
    "finite_sample": FiniteSample,
    "gradient_flow": GradientFlow,
    "gradient_step": GradientStep,
    "inexact": Inexact,
    "inpo": inpo,
    "ipo_md": IPOMD,
    "iterative_rpo": iterative_rpo,
    "learned_sampler": LearnedSampler,
    "momentum": Momentum,
    "mrs": MRS,
    "mrs_dpo": MRSDPO,
    "mrs_ipo": MRSIPO,
    "nash_md": NashMD,
    "nash_md_pg": NashMDPG,
    "online_ipo": OnlineIPO,
    "online_mirror_descent": online_mirror_descent,
    "optimistic": Optimistic,
    "sampled_dpo": SampledDPO,
    "self_play_ipo": self_play_ipo,
    "self_play_sppo": sppo,
    "tr_dpo": TRDPO,
}


def names() -> list[str]:
    """Ids of all rules; published methods under their own names."""
    return sorted(_RULES)


def get(id: str) -> Callable[..., Any]:
    """What makes the rule with this id: ``rules.get("mrs_dpo")(game, beta=1, alpha=0, lam=1)``.

    A class, or a function for a published method that is another rule with certain parameters.

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
