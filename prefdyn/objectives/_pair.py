"""What an objective sees of one chosen/rejected pair."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from prefdyn._errors import InputError

Array = Any


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Log-probabilities (nats) of a chosen and a rejected response.

    Fields of one number per response broadcast against each other; the loss has their common
    shape.  Token-level fields have one more axis, the last.  Only shapes are checked here: values
    are checked where data enter (`check_values`), not at every step.

    Parameters
    ----------
    chosen, rejected
        Summed ``log pi(y_w)``, ``log pi(y_l)`` under the policy: numpy arrays, torch tensors or
        sympy expressions.
    ref_chosen, ref_rejected
        The same under the reference.
    chosen_length, rejected_length
        Response lengths in tokens; 1 for the tabular policy.
    chosen_tokens, rejected_tokens, ref_chosen_tokens, ref_rejected_tokens
        Log-probability of each token; over the response they sum to the fields above.
    chosen_mask, rejected_mask
        Which tokens belong to the response (1) and which are prompt or padding (0); all belong
        by default.
    chosen_log_sum_p2, rejected_log_sum_p2
        ``log sum_v pi(v)^2`` over the vocabulary at each token, for `WPO`.
    chosen_win_rate, rejected_win_rate
        Win rates against samples of the current policy, for `SPPO`.
    gold, gold_length
        Summed log-probability and length of a third, gold response, for `CPO`.

    Raises
    ------
    InputError
        If two fields do not broadcast, or one is no array.
    """

    chosen: Array
    rejected: Array
    ref_chosen: Array = 0.0
    ref_rejected: Array = 0.0
    chosen_length: Array = 1
    rejected_length: Array = 1
    chosen_tokens: Array | None = None
    rejected_tokens: Array | None = None
    ref_chosen_tokens: Array | None = None
    ref_rejected_tokens: Array | None = None
    chosen_mask: Array | None = None
    rejected_mask: Array | None = None
    chosen_log_sum_p2: Array | None = None
    rejected_log_sum_p2: Array | None = None
    chosen_win_rate: Array | None = None
    rejected_win_rate: Array | None = None
    gold: Array | None = None
    gold_length: Array = 1

    def __post_init__(self):
        shape: tuple[int, ...] = ()
        tokens: dict[str, int] = {}
        for name, value in self.given().items():
            if isinstance(value, list | tuple | str):
                raise InputError(
                    f"Pair.{name} is a {type(value).__name__}: give a number, an array or a tensor."
                )
            other = tuple(getattr(value, "shape", ()))
            if name in TOKEN_FIELDS:
                shape_of_tokens(name, other, tokens)
                other = other[:-1]
            for one, two in zip(reversed(shape), reversed(other), strict=False):
                if one != two and 1 not in (one, two):
                    raise InputError(
                        f"Pair.{name} has shape {other}, which does not broadcast with "
                        f"{shape} of the fields before it."
                    )
            longer, shorter = sorted((shape, other), key=len, reverse=True)
            padded = (1,) * (len(longer) - len(shorter)) + shorter
            shape = tuple(max(a, b) for a, b in zip(longer, padded, strict=True))

    def given(self) -> dict[str, Array]:
        """The fields that are there, by name."""
        return {name: value for name in FIELDS if (value := getattr(self, name)) is not None}

    @property
    def chosen_log_ratio(self) -> Array:
        """``a = log pi_w - log ref_w`` in nats."""
        return self.chosen - self.ref_chosen

    @property
    def rejected_log_ratio(self) -> Array:
        """``b = log pi_l - log ref_l`` in nats."""
        return self.rejected - self.ref_rejected

    @property
    def log_ratio_gap(self) -> Array:
        """``h = a - b``, the log-ratio gap, in nats."""
        return self.chosen_log_ratio - self.rejected_log_ratio

    @property
    def gap(self) -> Array:
        """``log pi_w - log pi_l`` in nats, without the reference."""
        return self.chosen - self.rejected

    @property
    def chosen_mean(self) -> Array:
        """``c_w = log pi_w / n_w``, nats per token."""
        return self.chosen / self.chosen_length

    @property
    def rejected_mean(self) -> Array:
        """``c_l = log pi_l / n_l``, nats per token."""
        return self.rejected / self.rejected_length

    @property
    def mean_gap(self) -> Array:
        """``m = c_w - c_l``, nats per token."""
        return self.chosen_mean - self.rejected_mean

    @property
    def mean_log_ratio_gap(self) -> Array:
        """``rho = a / n_w - b / n_l``, nats per token."""
        chosen = self.chosen_log_ratio / self.chosen_length
        return chosen - self.rejected_log_ratio / self.rejected_length


FIELDS = tuple(field.name for field in fields(Pair))
TOKEN_FIELDS = frozenset(
    name for name in FIELDS if name.endswith(("_tokens", "_mask", "_log_sum_p2"))
)


def shape_of_tokens(name: str, shape: tuple[int, ...], seen: dict[str, int]) -> None:
    """Hold the token axes of one response (chosen or rejected) to one length."""
    if not shape:
        raise InputError(f"Pair.{name} is a single number: give one entry per token, last axis.")
    side = "rejected" if "rejected" in name else "chosen"
    if seen.setdefault(side, shape[-1]) != shape[-1]:
        raise InputError(
            f"Pair.{name} has {shape[-1]} tokens, but the fields before it have {seen[side]}."
        )


def check_values(pair: Pair) -> Pair:
    """The same pair, if its values can be what they claim to be; for where data enter.

    Raises
    ------
    InputError
        For a log-probability that is NaN, infinite or positive, a length below 1 (an empty
        response has no mean and no push), a mask that is not 0 or 1 or leaves no token, or a win
        rate outside [0, 1]: naming field, index and cure.
    """
    for name, value in pair.given().items():
        array = value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
        array = np.asarray(array, dtype=float)
        kept = _mask_of(pair, name)
        kind = next(kind for kind in _KINDS if name.endswith(kind))
        holds, problem = _KINDS[kind]
        bad = ~holds(array)
        if kept is not None and not name.endswith("_mask"):
            bad = bad & kept
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            index = f"[{', '.join(map(str, where))}]" if where else ""
            entry = np.broadcast_to(array, bad.shape)[where]
            raise InputError(f"Pair.{name}{index} is {entry:g}: {problem}.")
        if name.endswith("_mask") and not array.any(axis=-1).all():
            where = [int(i) for i in np.argwhere(~array.any(axis=-1))[0]]
            raise InputError(
                f"Pair.{name}{where or ''} leaves no token: drop pairs with an empty response."
            )
    return pair


def _mask_of(pair: Pair, name: str) -> np.ndarray | None:
    if name not in TOKEN_FIELDS:
        return None
    mask = pair.rejected_mask if "rejected" in name else pair.chosen_mask
    if mask is None:
        return None
    return np.asarray(mask.detach().cpu() if hasattr(mask, "detach") else mask, dtype=bool)


def _whole(array: np.ndarray) -> np.ndarray:
    return np.isfinite(array) & (array >= 1)


def _log_probability(array: np.ndarray) -> np.ndarray:
    return np.isfinite(array) & (array <= 1e-6)  # single precision rounds a certain token up


_KINDS = {
    "_length": (_whole, "a length is at least 1 token, so drop pairs with an empty response"),
    "_mask": (lambda array: (array == 0) | (array == 1), "a mask holds only 0 and 1"),
    "_win_rate": (lambda array: (array >= 0) & (array <= 1), "a win rate lies in [0, 1]"),
    "": (
        _log_probability,
        "a log-probability is finite and at most 0, so check what it was computed from",
    ),
}
