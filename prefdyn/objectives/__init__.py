"""The shared loss core: every objective written once, for numpy, torch and sympy.

``get("dpo", beta=0.1)`` gives an objective by its id, `names` lists the ids.  Notation of the
docstrings: ``log pi_w``, ``log pi_l`` are the summed log-probabilities of the chosen and the
rejected response, a and b their log-ratios to the reference, ``h = a - b``; ``n_w``, ``n_l`` are
lengths in tokens, ``c`` is a log-probability per token, ``m = c_w - c_l`` and
``rho = a/n_w - b/n_l``.  The pushes ``d_w = -dL/dlog pi_w`` and ``d_l = dL/dlog pi_l`` are positive
where the chosen response is pushed up and the rejected one down; do not take that for granted,
many objectives push back beyond a rest point.  Values of different objectives are not comparable,
only directions are.
"""

from typing import TYPE_CHECKING, Any

from prefdyn.objectives._objective import (
    Derivatives,
    Objective,
    classes,
    get,
    names,
    wrapper_names,
)
from prefdyn.objectives._pair import Pair, check_values
from prefdyn.objectives._primitives import count_guards
from prefdyn.objectives.anchored import DPONLL, DPOP, BalancedPO, DPOShift, ProximalizedPO
from prefdyn.objectives.bradley_terry import (
    CPO,
    DPO,
    ConservativeDPO,
    DiscoPOP,
    EXOPair,
    RobustDPO,
)
from prefdyn.objectives.calibrated import SPPO, CalDPO, SPPOHard
from prefdyn.objectives.combine import WPO, WeightedSum
from prefdyn.objectives.f_divergence import (
    FDPO,
    ChiPO,
    FDPOAlpha,
    FDPOForwardKL,
    FDPOJensenShannon,
)
from prefdyn.objectives.hinge import RRHF, RSOHinge, SLiCHF
from prefdyn.objectives.length_normalised import LDDPO, AlphaPO, LengthNormDPO, SimPO
from prefdyn.objectives.likelihood import SFT
from prefdyn.objectives.modifiers import RDPO, XPO, AlphaDPO
from prefdyn.objectives.odds_ratio import ORPO
from prefdyn.objectives.pointwise import BCO, KTO, APODown, APOZero, NCAPair
from prefdyn.objectives.slime import SLIME
from prefdyn.objectives.spo import SPO
from prefdyn.objectives.squared import IPO, IPOMean
from prefdyn.objectives.transport import AOT, AOTUnpaired

if TYPE_CHECKING:
    from prefdyn.objectives._symbolic import Symbolic

__all__ = [
    "AOT",
    "BCO",
    "CPO",
    "DPO",
    "DPONLL",
    "DPOP",
    "FDPO",
    "IPO",
    "KTO",
    "LDDPO",
    "ORPO",
    "RDPO",
    "RRHF",
    "SFT",
    "SLIME",
    "SPO",
    "SPPO",
    "WPO",
    "XPO",
    "AOTUnpaired",
    "APODown",
    "APOZero",
    "AlphaDPO",
    "AlphaPO",
    "BalancedPO",
    "CalDPO",
    "ChiPO",
    "ConservativeDPO",
    "DPOShift",
    "Derivatives",
    "DiscoPOP",
    "EXOPair",
    "FDPOAlpha",
    "FDPOForwardKL",
    "FDPOJensenShannon",
    "IPOMean",
    "LengthNormDPO",
    "NCAPair",
    "Objective",
    "Pair",
    "ProximalizedPO",
    "RSOHinge",
    "RobustDPO",
    "SLiCHF",
    "SPPOHard",
    "SimPO",
    "Symbolic",
    "WeightedSum",
    "check_values",
    "classes",
    "count_guards",
    "get",
    "names",
    "wrapper_names",
]


def __getattr__(name: str) -> Any:
    if name == "Symbolic":  # its module needs sympy
        from prefdyn.objectives._symbolic import Symbolic

        return Symbolic
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
