"""Preference records: prompt, chosen, rejected, from files or a hub data set, as TRL reads them."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn._inputs import count
from prefdyn.llm._encoding import Responses, Tokens
from prefdyn.llm._hub import first_line
from prefdyn.llm._records import records

_NAMES = ("prompt", "chosen", "rejected")


class BadRecord(InputError):
    """A record that cannot be used; ``reason`` is the word it is counted under."""

    def __init__(self, line: int, reason: str, sentence: str):
        super().__init__(f"Line {line}: {sentence}")
        self.line, self.reason = line, reason


@dataclass(frozen=True)
class PreferencePair:
    """One record of a preference data set; unpacks to prompt, chosen and rejected.

    Attributes
    ----------
    prompt, chosen, rejected : str, list of dict, or tuple of int
        Texts, or messages with ``role`` and ``content``; token ids after `encode_pairs`.
    line : int
        Where the record stands in its file, counted from 1 (rows, where a file has no lines).
    template : mapping
        What the record hands to the chat template (``tools``, ``chat_template_kwargs``).
    """

    prompt: Any
    chosen: Any
    rejected: Any
    line: int = 1
    template: Mapping[str, Any] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.prompt, self.chosen, self.rejected))


class PairReader(Iterator[PreferencePair]):
    """Pairs one after the other, bad ones left out if asked to; see `read_pairs`.

    Attributes
    ----------
    skipped : collections.Counter
        How many records were left out so far, by reason.
    """

    def __init__(
        self,
        items: Iterable[Any],
        make: Callable[[Any], PreferencePair],
        skip_bad: bool,
    ):
        self.skipped = items.skipped if isinstance(items, PairReader) else Counter[str]()
        self._items, self._make, self._skip_bad = iter(items), make, skip_bad

    def __next__(self) -> PreferencePair:
        for item in self._items:
            try:
                return self._make(item)
            except BadRecord as bad:
                if not self._skip_bad:
                    raise
                self.skipped[bad.reason] += 1
        raise StopIteration


def read_pairs(
    source: str | Path | Iterable[Mapping[str, Any]], *, skip_bad: bool = False
) -> PairReader:
    """Read preference pairs, one at a time.

    A record has ``chosen`` and ``rejected``, and a ``prompt`` or else a beginning that the two
    share; all are texts, or all are lists of messages.  ``prompt_ids``, ``chosen_ids`` and
    ``rejected_ids`` are taken as they are.

    Parameters
    ----------
    source
        A JSONL, JSON or Parquet file, the name of a data set on the hub (``name:split``), or the
        records themselves.
    skip_bad
        Whether to leave out records that cannot be used, and to count them in ``skipped``.

    Returns
    -------
    PairReader
        An iterator over `PreferencePair`.

    Raises
    ------
    InputError
        When iterated: for a record that is not JSON, lacks a field, has one of a wrong type, an
        empty completion, or equal ones, with its line; for a file that cannot be read.
    """
    items = records(source) if isinstance(source, str | Path) else enumerate(source, 1)
    return PairReader(items, _pair, skip_bad)


def encode_pairs(
    tokenizer: Any,
    pairs: Iterable[PreferencePair],
    max_length: int | None = None,
    *,
    skip_bad: bool = False,
) -> PairReader:
    """Token ids of pairs, as TRL's ``DPOTrainer`` makes them.

    The end-of-sequence token is appended to plain texts; messages go through the chat template,
    the prompt with its generation prompt.  A completion is what follows the tokens that the
    prompt, prompt + chosen and prompt + rejected share.

    Parameters
    ----------
    tokenizer
        A Hugging Face tokenizer.
    pairs
        E.g. of `read_pairs`; what that has skipped stays counted.
    max_length
        Most tokens of prompt and completion together; the end of longer completions is cut off.
    skip_bad
        Whether to leave out pairs that cannot be used, and to count them in ``skipped``.

    Returns
    -------
    PairReader
        An iterator over `PreferencePair` of token ids.

    Raises
    ------
    InputError
        When iterated: for messages without a chat template, texts without an end-of-sequence
        token, a prompt that fills `max_length` alone, and completions without a token or equal.
    """
    if max_length is not None:
        count(max_length, "max_length", least=2)
    return PairReader(pairs, partial(_encoded, tokenizer, max_length), skip_bad)


def paired_responses(pairs: Sequence[PreferencePair]) -> tuple[Responses, np.ndarray]:
    """Encoded pairs as `Responses`, chosen and rejected in turn, and their numbers (M, 2)."""
    if not pairs:
        raise InputError("There is no pair: give at least one.")
    both = [tokens for pair in pairs for tokens in (pair.chosen, pair.rejected)]
    prompts = [pair.prompt for pair in pairs for _ in range(2)]
    return Responses(tuple(prompts), tuple(both)), np.arange(2 * len(pairs)).reshape(-1, 2)


def _pair(item: tuple[int, Any]) -> PreferencePair:
    """The pair of a numbered record."""
    line, record = item
    if isinstance(record, bytes):
        try:
            record = json.loads(record)
        except (ValueError, RecursionError) as error:
            raise BadRecord(line, "not JSON", f"not JSON ({first_line(error)}).") from None
    if not isinstance(record, Mapping):
        kind = type(record).__name__
        raise BadRecord(line, "wrong type", f"a record is an object with fields, not a {kind}.")
    if record.get("chosen_ids") is not None:
        prompt, chosen, rejected = (_ids(line, record, f"{name}_ids") for name in _NAMES)
        return _checked(PreferencePair(prompt, chosen, rejected, line))
    for name in _NAMES[1:]:
        if record.get(name) is None:
            raise BadRecord(line, "missing field", f"there is no field {name!r}.")
    chosen, rejected = record["chosen"], record["rejected"]
    prompt = record.get("prompt")
    parts = [part for part in (prompt, chosen, rejected) if part is not None]
    if not all(isinstance(p, str) for p in parts) and not all(_are_messages(p) for p in parts):
        raise BadRecord(
            line,
            "wrong type",
            "prompt, chosen and rejected must all be texts, or all lists of messages with role "
            "and content.",
        )
    if prompt is None and chosen != rejected:
        prompt, chosen, rejected = _shared(chosen, rejected)
    return _checked(PreferencePair(prompt, chosen, rejected, line, _template(line, record)))


def _checked(pair: PreferencePair) -> PreferencePair:
    if pair.chosen == pair.rejected:
        raise BadRecord(pair.line, "chosen equals rejected", "chosen and rejected are the same.")
    for name in _NAMES[1:]:
        if _is_empty(getattr(pair, name)):
            raise BadRecord(pair.line, "empty completion", f"{name} is empty.")
    return pair


def _ids(line: int, record: Mapping[str, Any], name: str) -> Tokens:
    ids = record.get(name)
    if not isinstance(ids, list) or any(type(token) is not int for token in ids):
        raise BadRecord(line, "wrong type", f"{name} must be a list of token ids.")
    return tuple(ids)


def _are_messages(part: Any) -> bool:
    return isinstance(part, list) and all(
        isinstance(message, Mapping) and isinstance(message.get("role"), str) for message in part
    )


def _is_empty(completion: Any) -> bool:
    """Whether there is nothing in a text, a list of ids, or any of the messages."""
    if isinstance(completion, str | tuple):
        return not completion
    return not any(message.get("content") or message.get("tool_calls") for message in completion)


def _template(line: int, record: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords for the chat template, as TRL takes them from a record."""
    tools = record.get("tools")
    try:
        tools = json.loads(tools) if isinstance(tools, str) else tools
    except ValueError as error:
        raise BadRecord(line, "not JSON", f"tools is not JSON ({first_line(error)}).") from None
    named = {} if tools is None else {"tools": tools}
    more = record.get("chat_template_kwargs") or {}
    if not isinstance(more, Mapping):
        raise BadRecord(line, "wrong type", "chat_template_kwargs must be an object with names.")
    return named | dict(more)


def _shared(chosen: Any, rejected: Any) -> tuple[Any, Any, Any]:
    """The common beginning as prompt, and what is left of both.

    TRL's rule: a space before the first difference belongs to the completions; and where one
    is the beginning of the other, so does the last element of the shorter.
    """
    ends = min(len(chosen), len(rejected))
    differs = (n for n in range(ends) if chosen[n] != rejected[n])
    at = next(differs, None)
    if at is None:
        at = max(ends - 1, 0)
    elif at and chosen[at - 1] == " ":
        at -= 1
    return chosen[:at], chosen[at:], rejected[at:]


def _encoded(tokenizer: Any, max_length: int | None, pair: PreferencePair) -> PreferencePair:
    if isinstance(pair.chosen, tuple):
        prompt, chosen, rejected = pair
    else:
        before, first, second = _tokens(tokenizer, pair)
        shared = min(_common(before, first), _common(before, second))
        prompt, chosen, rejected = before[:shared], first[shared:], second[shared:]
    if not prompt:
        raise BadRecord(
            pair.line,
            "empty prompt",
            "the prompt has no token: give a prompt, or a tokenizer that begins with a special "
            "token.",
        )
    if max_length is not None:
        if len(prompt) >= max_length:
            raise BadRecord(
                pair.line,
                "prompt too long",
                f"the prompt has {len(prompt)} tokens, which leaves nothing of {max_length} for a "
                "completion: shorten it, or raise the length.",
            )
        chosen, rejected = (ids[: max_length - len(prompt)] for ids in (chosen, rejected))
    return _checked(replace(pair, prompt=prompt, chosen=chosen, rejected=rejected))


def _tokens(tokenizer: Any, pair: PreferencePair) -> tuple[Tokens, Tokens, Tokens]:
    """Tokens of the prompt, and of the prompt with either completion behind it."""
    prompt, chosen, rejected = pair
    if isinstance(chosen, str):
        end = tokenizer.eos_token
        if end is None:
            raise InputError(
                "The tokenizer has no end-of-sequence token, which plain texts need: set "
                "tokenizer.eos_token."
            )
        texts = (prompt, *(prompt + text.removesuffix(end) + end for text in (chosen, rejected)))
        try:
            one, two, three = (tuple(tokenizer(text)["input_ids"]) for text in texts)
        except (TypeError, UnicodeError):  # half of a surrogate pair, which JSON can hold
            raise BadRecord(
                pair.line,
                "not text",
                "there are characters that no text has (lone surrogates): write the record again.",
            ) from None
        return one, two, three
    if tokenizer.chat_template is None:
        raise BadRecord(
            pair.line,
            "no chat template",
            "the record has messages, but the tokenizer has no chat template: set "
            "tokenizer.chat_template, or give texts.",
        )
    chats = ((prompt, True), (prompt + chosen, False), (prompt + rejected, False))
    one, two, three = (_chat(tokenizer, pair, chat, more) for chat, more in chats)
    return one, two, three


def _chat(tokenizer: Any, pair: PreferencePair, messages: Any, more: bool) -> Tokens:
    from jinja2.exceptions import TemplateError

    try:
        found = tokenizer.apply_chat_template(
            messages,
            tokenize=True,
            return_dict=True,
            **{"add_generation_prompt": more} | dict(pair.template),
        )
    except (TemplateError, ValueError, TypeError, KeyError) as error:
        raise BadRecord(
            pair.line,
            "chat template",
            f"the chat template cannot write these messages ({first_line(error)}).",
        ) from None
    return tuple(found["input_ids"])


def _common(one: Tokens, two: Tokens) -> int:
    """How many tokens two sequences share at their beginning."""
    both = enumerate(zip(one, two, strict=False))
    return next((n for n, (a, b) in both if a != b), min(len(one), len(two)))
