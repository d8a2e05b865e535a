"""Scores of a pair that are meant to foretell a falling chosen response.

All are larger where more displacement is expected.  Hidden states are those that *predict* the
tokens of a response, one row per token: from the state of the last prompt token to that of the last
token but one.  The state after the last token predicts nothing and does not belong; if the response
ends with an end-of-sequence token, the state that predicts this one does.  Of a language model
they are taken after the final norm, with chosen and rejected run separately.

Arrays may be numpy or torch (any precision, any device); sums run in double precision on the CPU.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from prefdyn._errors import InputError

Array = Any


def ches(
    hidden_chosen: Array,
    hidden_rejected: Array,
    chosen_mask: Array | None = None,
    rejected_mask: Array | None = None,
) -> np.ndarray:
    """Centred hidden embedding similarity ``<S+, S-> - |S+|^2``, S the sum of a response's states.

    It grows with the lengths of the responses; compare it with `length_difference` before you
    believe a ranking.

    Parameters
    ----------
    hidden_chosen, hidden_rejected
        States (..., n, d) that predict the tokens of the chosen and of the rejected response;
        leading axes broadcast, lengths n may differ.
    chosen_mask, rejected_mask
        Shape (..., n): 1 for a state that predicts a token of the response, 0 for padding or
        prompt, whose states may be anything; all count by default.

    Returns
    -------
    numpy.ndarray
        Shape (...).

    Raises
    ------
    InputError
        If shapes do not fit, a state that counts is not finite, or a response has no token.

    References
    ----------
    arXiv 2410.08847, section 5 (claim DISP-9).
    """
    chosen, rejected, _, _ = _sums(hidden_chosen, hidden_rejected, chosen_mask, rejected_mask)
    return _dot(chosen, rejected) - _dot(chosen, chosen)


def length_normalised_ches(
    hidden_chosen: Array,
    hidden_rejected: Array,
    chosen_mask: Array | None = None,
    rejected_mask: Array | None = None,
) -> np.ndarray:
    """CHES of mean states, ``<S+, S->/(n+ n-) - |S+|^2/n+^2``: the length counts no longer.

    Parameters, shape and errors as in `ches` (arXiv 2410.08847, section 6; claim DISP-9).
    """
    chosen, rejected, n_chosen, n_rejected = _sums(
        hidden_chosen, hidden_rejected, chosen_mask, rejected_mask
    )
    cross = _dot(chosen, rejected) / (n_chosen * n_rejected)
    return cross - _dot(chosen, chosen) / n_chosen**2


def last_hidden_similarity(
    hidden_chosen: Array,
    hidden_rejected: Array,
    chosen_mask: Array | None = None,
    rejected_mask: Array | None = None,
) -> np.ndarray:
    """Inner product of the last states that count, a rival of `ches` that predicts little.

    Parameters, shape and errors as in `ches`.
    """
    chosen, chosen_mask = _states(hidden_chosen, chosen_mask, "hidden_chosen")
    rejected, rejected_mask = _states(hidden_rejected, rejected_mask, "hidden_rejected")
    _same_width(chosen, rejected)
    return _dot(_last(chosen, chosen_mask), _last(rejected, rejected_mask))


def edit_distance_similarity(chosen: Iterable[Any], rejected: Iterable[Any]) -> float:
    """Minus the Levenshtein distance of two token sequences over the longer length, in [-1, 0].

    Parameters
    ----------
    chosen, rejected
        Tokens without padding: numbers, strings, anything that compares.

    Raises
    ------
    InputError
        If a response has no token.
    """
    first, second = _tokens(chosen, "chosen"), _tokens(rejected, "rejected")
    row = list(range(len(second) + 1))  # distances of the prefix of `first` read so far
    for i, token in enumerate(first, 1):
        corner, row[0] = row[0], i
        for j, other in enumerate(second, 1):
            replaced = corner + (token != other)
            corner = row[j]
            row[j] = min(replaced, row[j] + 1, row[j - 1] + 1)
    return -row[-1] / max(len(first), len(second))


def length_difference(chosen_length: Array, rejected_length: Array) -> np.ndarray:
    """``n- - n+`` in tokens: the baseline that any length-dependent score must beat.

    Raises
    ------
    InputError
        For a length below 1 or one that is not a whole number.
    """
    return _length(rejected_length, "rejected_length") - _length(chosen_length, "chosen_length")


def _sums(hidden_chosen, hidden_rejected, chosen_mask, rejected_mask):
    """Summed states (..., d) and lengths (...) of both responses."""
    chosen, chosen_mask = _states(hidden_chosen, chosen_mask, "hidden_chosen")
    rejected, rejected_mask = _states(hidden_rejected, rejected_mask, "hidden_rejected")
    _same_width(chosen, rejected)
    return chosen.sum(-2), rejected.sum(-2), chosen_mask.sum(-1), rejected_mask.sum(-1)


def _states(hidden: Array, mask: Array | None, name: str) -> tuple[np.ndarray, np.ndarray]:
    """States with zeros where the mask has them, and the mask, boolean (..., n)."""
    states = _array(hidden, name)
    if states.ndim < 2:
        raise InputError(
            f"{name} has shape {states.shape}: give one row per token, shape (..., tokens, width)."
        )
    mask_name = name.removeprefix("hidden_") + "_mask"
    counts = np.ones(states.shape[:-1]) if mask is None else _array(mask, mask_name)
    try:
        counts = np.broadcast_to(counts, states.shape[:-1])
    except ValueError:
        raise InputError(
            f"{mask_name} has shape {counts.shape}, but {name} has states for {states.shape[:-1]}: "
            "give one entry per state."
        ) from None
    if not np.isin(counts, (0, 1)).all():
        raise InputError(f"{mask_name} holds other numbers than 0 and 1: mark each state by one.")
    kept = counts == 1
    if not kept.any(axis=-1).all():
        raise InputError(f"{name} has a response without tokens: drop pairs with an empty one.")
    bad = kept & ~np.isfinite(states).all(axis=-1)
    if bad.any():
        where = [int(i) for i in np.argwhere(bad)[0]]
        raise InputError(
            f"{name}{where} is not finite: mask the state if it is padding, else repair the model."
        )
    return np.where(kept[..., None], states, 0.0), kept


def _last(states: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The last state that counts, (..., d)."""
    last = mask.shape[-1] - 1 - np.argmax(mask[..., ::-1], axis=-1)
    return np.take_along_axis(states, last[..., None, None], axis=-2)[..., 0, :]


def _same_width(chosen: np.ndarray, rejected: np.ndarray) -> None:
    if chosen.shape[-1] != rejected.shape[-1]:
        raise InputError(
            f"hidden states have widths {chosen.shape[-1]} (chosen) and {rejected.shape[-1]} "
            "(rejected): take both from the same layer of one model."
        )
    try:
        np.broadcast_shapes(chosen.shape[:-2], rejected.shape[:-2])
    except ValueError:
        raise InputError(
            f"leading axes {chosen.shape[:-2]} (chosen) and {rejected.shape[:-2]} (rejected) do "
            "not broadcast: give as many chosen responses as rejected ones."
        ) from None


def _dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first * second).sum(axis=-1)


def _tokens(response: Any, name: str) -> list[Any]:
    tokens = response.tolist() if hasattr(response, "tolist") else list(response)
    if not tokens:
        raise InputError(f"{name} has no token: drop pairs with an empty response.")
    return tokens


def _length(value: Array, name: str) -> np.ndarray:
    lengths = _array(value, name)
    bad = ~((lengths >= 1) & (lengths == np.floor(lengths)))
    if bad.any():
        raise InputError(
            f"{name} is {lengths[bad].flat[0]:g}: a length is a whole number of at least 1 token."
        )
    return lengths


def _array(value: Array, name: str) -> np.ndarray:
    """Numbers in double precision; torch tensors of any precision and device too."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().double()
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not an array of numbers ({error}).") from None
