"""Preference pairs that a model can run: as token ids, within its vocabulary and its context."""

from collections.abc import Iterable, Mapping
from typing import Any

from prefdyn._errors import InputError
from prefdyn.llm._forward import check_fits, context_of
from prefdyn.llm.data import BadRecord, PairReader, PreferencePair, encode_pairs, paired_responses


def usable_pairs(
    model: Any,
    tokenizer: Any,
    pairs: Iterable[Any],
    max_length: int | None = None,
    *,
    skip_bad: bool = False,
) -> PairReader:
    """Pairs as token ids that a model can run.

    Parameters
    ----------
    model, tokenizer
        A causal language model and its tokenizer.
    pairs
        Of `read_pairs`, or ``(prompt, chosen, rejected)``; encoded ones stay as they are.
    max_length
        Most tokens of prompt and completion together, by default what the model's context holds;
        the end of longer completions is cut off.
    skip_bad
        Whether to leave out pairs that cannot be used, and to count them in ``skipped``.

    Raises
    ------
    InputError
        When iterated: as of `encode_pairs`, for a record that was not read by `read_pairs`, and for
        tokens outside the model's vocabulary.
    """
    length = context_of(model) if max_length is None else max_length

    def fitting(pair: PreferencePair) -> PreferencePair:
        try:
            check_fits(model, paired_responses([pair])[0])
        except InputError as error:
            raise BadRecord(pair.line, "does not fit the model", str(error)) from None
        return pair

    if not isinstance(pairs, PairReader):
        pairs = (_as_pair(pair, number) for number, pair in enumerate(pairs, 1))
    encoded = encode_pairs(tokenizer, pairs, length, skip_bad=skip_bad)
    return PairReader(encoded, fitting, skip_bad)


def _as_pair(pair: Any, number: int) -> PreferencePair:
    if isinstance(pair, PreferencePair):
        return pair
    if isinstance(pair, Mapping):  # it would unpack to its keys
        raise InputError(f"Pair {number} is a record: hand records to read_pairs first.")
    return PreferencePair(*pair, line=number)
