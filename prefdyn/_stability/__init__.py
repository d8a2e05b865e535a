"""Questions asked of a rule: fixed points, multipliers, thresholds, certificates, verdicts."""

from prefdyn._stability.certificates import certificates
from prefdyn._stability.critical import StabilityIntervals, critical
from prefdyn._stability.fixed_points import FixedPoint, fixed_point
from prefdyn._stability.last_iterate import LastIterate, last_iterate
from prefdyn._stability.multipliers import Stability, stability
from prefdyn._stability.verdict import FarStarts, Verdict, verdict
from prefdyn.rules._certificates import Certificate

__all__ = [
    "Certificate",
    "FarStarts",
    "FixedPoint",
    "LastIterate",
    "Stability",
    "StabilityIntervals",
    "Verdict",
    "certificates",
    "critical",
    "fixed_point",
    "last_iterate",
    "stability",
    "verdict",
]
