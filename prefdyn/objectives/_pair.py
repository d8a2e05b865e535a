"""What an objective sees of one chosen/rejected pair."""

from dataclasses import dataclass, fields
from typing import Any

from prefdyn._errors import InputError

Array = Any


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Summed log-probabilities (nats) of a chosen and a rejected response.

    All fields broadcast against each other; the loss has their common shape.  Only shapes are
    checked here: values are checked where data enter, not at every step.

    Parameters
    ----------
    chosen, rejected
        ``log pi(y_w)``, ``log pi(y_l)`` under the policy: numpy arrays, torch tensors or sympy
        expressions.
    ref_chosen, ref_rejected
        The same under the reference.
    chosen_length, rejected_length
        Response lengths in tokens; 1 for the tabular policy.

    Raises
    ------
    InputError
        If two fields do not broadcast.
    """

    chosen: Array
    rejected: Array
    ref_chosen: Array = 0.0
    ref_rejected: Array = 0.0
    chosen_length: Array = 1
    rejected_length: Array = 1

    def __post_init__(self):
        shape: tuple[int, ...] = ()
        for field in fields(self):
            other = tuple(getattr(getattr(self, field.name), "shape", ()))
            for one, two in zip(reversed(shape), reversed(other), strict=False):
                if one != two and 1 not in (one, two):
                    raise InputError(
                        f"Pair.{field.name} has shape {other}, which does not broadcast with "
                        f"{shape} of the fields before it."
                    )
            longer, shorter = sorted((shape, other), key=len, reverse=True)
            padded = (1,) * (len(longer) - len(shorter)) + shorter
            shape = tuple(max(a, b) for a, b in zip(longer, padded, strict=True))

    @property
    def log_ratio_gap(self) -> Array:
        """``h = (log pi_w - log ref_w) - (log pi_l - log ref_l)`` in nats."""
        return (self.chosen - self.ref_chosen) - (self.rejected - self.ref_rejected)
