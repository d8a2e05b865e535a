"""Proved conditions, evaluated: global ones stated by the rule, the local one from linearity."""

from typing import Any

import numpy as np

from prefdyn._errors import NoOptimum
from prefdyn._stability.multipliers import Stability, stability
from prefdyn.rules._certificates import Certificate
from prefdyn.rules._rule import Rule, a_rule


def certificates(rule: Rule, linear: Stability | None = None) -> tuple[Certificate, ...]:
    """All certificates that are known for a rule, whether they hold or not.

    Parameters
    ----------
    rule
        Any `Rule`.  A rule states its global conditions in a method ``certificates()``; MRS-IPO
        has a contraction (MRS-2) and a mirror-descent condition (MRS-9), MRS-DPO none, both a
        collapse bound where one response dominates (MRS-11).
    linear
        Its `stability`, if already computed.

    Returns
    -------
    tuple of Certificate
        The local boundary is left out where no fixed point exists (alpha = 1).
    """
    rule = a_rule(rule).skeleton
    stated: Any = getattr(rule, "certificates", tuple)
    known: tuple[Certificate, ...] = stated()
    try:
        linear = linear or stability(rule)
    except NoOptimum:
        return known
    return (*known, _local(linear, getattr(rule, "jacobian_claim", "")))


def _local(linear: Stability, claim: str) -> Certificate:
    value = np.asarray(linear.spectral_radius) ** 2
    return Certificate(
        "local_boundary",
        value,
        value < 1,
        "local",
        f"squared spectral radius at the fixed point < 1 (Jacobian by {linear.jacobian_by}; for "
        "MRS-IPO alpha^2 + (lam s / beta)^2): small perturbations die out",
        claim,
    )
