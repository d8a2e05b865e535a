"""prefdyn: the dynamics of preference optimisation.

A *game* says who beats whom, an *objective* what a training step minimises, a *rule* turns this
round's policy into the next round's.  `orbit` and `ensemble` run that map; `fixed_point`,
`stability`, `critical` and `advise` ask it questions.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public names and the modules they live in; a module is imported when its name is first used, so
# that `import prefdyn` loads numpy at most.
_HOMES = {
    "prefdyn._errors": ("InputError", "InsufficientData", "NoOptimum"),
    "prefdyn.games": ("PreferenceMatrix",),
    "prefdyn.objectives": ("DPO", "IPO", "Objective", "Pair"),
    "prefdyn.rules": (
        "MRS",
        "MRSDPO",
        "MRSIPO",
        "FiniteSample",
        "Inexact",
        "LogitRule",
        "Momentum",
        "Rule",
    ),
    "prefdyn._simulate": ("Ensemble", "Orbit", "ensemble", "orbit"),
    "prefdyn._measures": ("cycle_strength", "period", "recurrence"),
    "prefdyn._stability": (
        "Advice",
        "Certificate",
        "FixedPoint",
        "Stability",
        "StabilityIntervals",
        "Survey",
        "advise",
        "certificates",
        "critical",
        "fixed_point",
        "stability",
        "survey",
    ),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}
_SUBMODULES = ("claims", "games", "objectives", "plots", "policies", "rules", "testing")

__all__ = ["__version__", *sorted(_MODULE_OF), *_SUBMODULES]  # pyright: ignore

if TYPE_CHECKING:
    from prefdyn import claims, games, objectives, plots, policies, rules, testing
    from prefdyn._errors import InputError, InsufficientData, NoOptimum
    from prefdyn._measures import cycle_strength, period, recurrence
    from prefdyn._simulate import Ensemble, Orbit, ensemble, orbit
    from prefdyn._stability import (
        Advice,
        Certificate,
        FixedPoint,
        Stability,
        StabilityIntervals,
        Survey,
        advise,
        certificates,
        critical,
        fixed_point,
        stability,
        survey,
    )
    from prefdyn.games import PreferenceMatrix
    from prefdyn.objectives import DPO, IPO, Objective, Pair
    from prefdyn.rules import (
        MRS,
        MRSDPO,
        MRSIPO,
        FiniteSample,
        Inexact,
        LogitRule,
        Momentum,
        Rule,
    )


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(_MODULE_OF[name]), name)
    if name in _SUBMODULES:
        return import_module(f"prefdyn.{name}")
    raise AttributeError(f"module 'prefdyn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
