"""Questions asked of a rule: fixed points, multipliers, thresholds, certificates, verdicts."""

from prefdyn._stability._attractors import Attractor
from prefdyn._stability.basins import Basins, basins
from prefdyn._stability.boundary import Boundary, BoundaryEvent, boundary
from prefdyn._stability.branch import Bifurcation, Branch
from prefdyn._stability.certificates import certificates
from prefdyn._stability.continuation import continuation
from prefdyn._stability.critical import StabilityIntervals, critical
from prefdyn._stability.fixed_points import FixedPoint, fixed_point
from prefdyn._stability.last_iterate import LastIterate, last_iterate
from prefdyn._stability.lyapunov import Lyapunov, lyapunov
from prefdyn._stability.many_points import FixedPoints, fixed_points
from prefdyn._stability.mode_locking import ModeLocking, Plateau, mode_locking
from prefdyn._stability.multipliers import Stability, stability
from prefdyn._stability.normal_form import NormalForm, normal_form
from prefdyn._stability.orbit_diagram import OrbitDiagram, orbit_diagram
from prefdyn._stability.periodic import PeriodicOrbit, PeriodicOrbits, periodic_orbits
from prefdyn._stability.power import Peak, PowerSpectrum, power_spectrum
from prefdyn._stability.rotation import Estimate, rotation_number
from prefdyn._stability.transient import TransientGrowth, transient_growth
from prefdyn._stability.verdict import FarStarts, Verdict, verdict
from prefdyn._stability.zero_one import ZeroOne, zero_one
from prefdyn.rules._certificates import Certificate

__all__ = [
    "Attractor",
    "Basins",
    "Bifurcation",
    "Boundary",
    "BoundaryEvent",
    "Branch",
    "Certificate",
    "Estimate",
    "FarStarts",
    "FixedPoint",
    "FixedPoints",
    "LastIterate",
    "Lyapunov",
    "ModeLocking",
    "NormalForm",
    "OrbitDiagram",
    "Peak",
    "PeriodicOrbit",
    "PeriodicOrbits",
    "Plateau",
    "PowerSpectrum",
    "Stability",
    "StabilityIntervals",
    "TransientGrowth",
    "Verdict",
    "ZeroOne",
    "basins",
    "boundary",
    "certificates",
    "continuation",
    "critical",
    "fixed_point",
    "fixed_points",
    "last_iterate",
    "lyapunov",
    "mode_locking",
    "normal_form",
    "orbit_diagram",
    "periodic_orbits",
    "power_spectrum",
    "rotation_number",
    "stability",
    "transient_growth",
    "verdict",
    "zero_one",
]
