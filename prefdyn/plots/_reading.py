"""What of a policy is on an axis: a response's probability, the entropy, or any function."""

from collections.abc import Callable
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn.policies.softmax import entropy

Reading = int | str | Callable[[np.ndarray], Any]


def reading(of: Reading, K: int) -> tuple[Callable[[np.ndarray], np.ndarray], str]:
    """A function from policies (..., K) to numbers (...,), and the words for its axis.

    Parameters
    ----------
    of
        A response's number, ``"entropy"``, or a function of policies (..., K), whose name is the
        label.

    Raises
    ------
    InputError
        For a response that does not exist, or another word.
    """
    if callable(of):
        return _checked(of), getattr(of, "__name__", type(of).__name__).replace("_", " ")
    if of == "entropy":
        return _entropy, "entropy (nats)"
    if not isinstance(of, int | np.integer) or not 0 <= of < K:
        raise InputError(
            f"{of!r} is nothing to read off a policy over {K} responses: give a response from 0 to "
            f'{K - 1}, "entropy", or a function of policies.'
        )
    return lambda policies: np.asarray(policies)[..., of], f"probability of response {of}"


def _entropy(policies: np.ndarray) -> np.ndarray:
    tiny = np.finfo(float).tiny  # a probability that underflowed adds nothing either way
    return np.asarray(entropy(np.log(np.maximum(policies, tiny))))


def _checked(function: Callable[[np.ndarray], Any]) -> Callable[[np.ndarray], np.ndarray]:
    def values(policies: np.ndarray) -> np.ndarray:
        found = np.asarray(function(policies), dtype=float)
        if found.shape != np.shape(policies)[:-1]:
            raise InputError(
                f"the function to draw turns policies of shape {np.shape(policies)} into "
                f"{found.shape}: it must give one number per policy, over the last axis."
            )
        return found

    return values
