"""What continuation returns: a branch of fixed points or cycles, and its bifurcations."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn.rules._rule import Rule


@dataclass(frozen=True)
class Bifurcation:
    """A point of a branch where a multiplier crosses the unit circle.

    Attributes
    ----------
    kind
        ``"fold"`` (two points or cycles meet and vanish), ``"flip"`` (period doubling),
        ``"neimark_sacker"`` (a turning cycle is born), or ``"branch_point"`` (a multiplier 1 where
        branches cross, as in a transcritical or pitchfork bifurcation).
    parameter, value
        The parameter that was varied, and where it happens.
    policies, states
        One period, (p, K) and (p, n).
    multipliers
        Of the whole period, (m,), largest modulus first.
    angle
        Of the critical multiplier, in [0, pi].
    criticality
        ``"supercritical"``, ``"subcritical"`` or ``"undecided"``; None for folds and branch points.
    coefficient, coefficient_error
        Of the normal form, see `NormalForm`; NaN where none can be computed.
    note
        Why there is no coefficient, or which strong resonance is near; empty otherwise.
    """

    kind: str
    parameter: str
    value: float
    policies: np.ndarray
    states: np.ndarray
    multipliers: np.ndarray
    angle: float
    criticality: str | None
    coefficient: float
    coefficient_error: float
    note: str

    @property
    def period(self) -> int:
        """Rounds of the cycle; 1 for a fixed point."""
        return len(self.states)


@dataclass(frozen=True)
class Branch:
    """A curve of fixed points or cycles over one parameter.

    Attributes
    ----------
    parameter
        What was varied.
    period
        Rounds of the cycle; 1 for fixed points.
    values
        Of the parameter, (n,), along the curve: not monotone where it turns round.
    policies, states
        One period per point, (n, p, K) and (n, p, n_state).
    multipliers
        Of a whole period, (n, m), largest modulus first.
    stable
        Whether all of them are inside the unit circle, (n,).
    bifurcations
        In the order of the curve.
    reason
        Why the curve ends where it does, in one sentence.
    rule
        The rule that was followed.
    """

    parameter: str
    period: int
    values: np.ndarray
    policies: np.ndarray
    states: np.ndarray
    multipliers: np.ndarray
    stable: np.ndarray
    bifurcations: tuple[Bifurcation, ...]
    reason: str
    rule: Rule

    @property
    def amplitude(self) -> np.ndarray:
        """Largest range of a probability over one period, (n,); 0 for fixed points."""
        return np.ptp(self.policies, axis=1).max(axis=-1)

    def at(self, kind: str) -> Bifurcation:
        """The first bifurcation of a kind.

        Raises
        ------
        InputError
            If the branch has none.
        """
        for bifurcation in self.bifurcations:
            if bifurcation.kind == kind:
                return bifurcation
        known = ", ".join(sorted({b.kind for b in self.bifurcations})) or "none at all"
        raise InputError(f"this branch has no {kind}: its bifurcations are {known}.")

    def switch(self, bifurcation: Bifurcation | None = None, **options: Any) -> "Branch":
        """The branch of the doubled cycle that is born at a flip.

        Parameters
        ----------
        bifurcation
            A flip of this branch; by default the first.
        options
            ``range``, ``step`` and ``points`` of `continuation`; the range is that of this branch
            where none is given.
        """
        from prefdyn._stability.continuation import continuation

        flip = self.at("flip") if bifurcation is None else bifurcation
        if flip.kind != "flip":
            raise InputError(
                f"a {flip.kind} at {flip.parameter} = {flip.value:.6g} has no doubled cycle: give "
                "a flip."
            )
        options.setdefault("range", (float(self.values.min()), float(self.values.max())))
        return continuation(self.rule, self.parameter, start=flip, **options)
