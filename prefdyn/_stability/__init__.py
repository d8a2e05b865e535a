"""Questions asked of a rule: fixed points, multipliers, thresholds, certificates, verdicts."""

from prefdyn._stability.boundary import Boundary, BoundaryEvent, boundary
from prefdyn._stability.branch import Bifurcation, Branch
from prefdyn._stability.certificates import certificates
from prefdyn._stability.continuation import continuation
from prefdyn._stability.critical import StabilityIntervals, critical
from prefdyn._stability.fixed_points import FixedPoint, fixed_point
from prefdyn._stability.last_iterate import LastIterate, last_iterate
from prefdyn._stability.many_points import FixedPoints, fixed_points
from prefdyn._stability.multipliers import Stability, stability
from prefdyn._stability.normal_form import NormalForm, normal_form
from prefdyn._stability.periodic import PeriodicOrbit, PeriodicOrbits, periodic_orbits
from prefdyn._stability.transient import TransientGrowth, transient_growth
from prefdyn._stability.verdict import FarStarts, Verdict, verdict
from prefdyn.rules._certificates import Certificate

__all__ = [
    "Bifurcation",
    "Boundary",
    "BoundaryEvent",
    "Branch",
    "Certificate",
    "FarStarts",
    "FixedPoint",
    "FixedPoints",
    "LastIterate",
    "NormalForm",
    "PeriodicOrbit",
    "PeriodicOrbits",
    "Stability",
    "StabilityIntervals",
    "TransientGrowth",
    "Verdict",
    "boundary",
    "certificates",
    "continuation",
    "critical",
    "fixed_point",
    "fixed_points",
    "last_iterate",
    "normal_form",
    "periodic_orbits",
    "stability",
    "transient_growth",
    "verdict",
]
