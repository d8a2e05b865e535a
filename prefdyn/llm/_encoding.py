"""Prompts and responses as token ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from prefdyn._errors import InputError

Tokens = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Responses:
    """Token ids of R responses, each behind its prompt; made by `encode`.

    Attributes
    ----------
    prompt_tokens, tokens : tuple of tuple of int
        Token ids of each response's prompt, and of the response itself, (R,) each.
    """

    prompt_tokens: tuple[Tokens, ...]
    tokens: tuple[Tokens, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, rows: Any) -> "Responses":
        """The responses of these numbers, in this order."""
        numbers = np.arange(len(self))[rows].reshape(-1)
        prompts, tokens = self.prompt_tokens, self.tokens
        return Responses(tuple(prompts[i] for i in numbers), tuple(tokens[i] for i in numbers))

    @cached_property
    def prompts(self) -> np.ndarray:
        """Number of each response's prompt, (R,), counted in order of appearance."""
        numbers = {prompt: n for n, prompt in enumerate(dict.fromkeys(self.prompt_tokens))}
        return np.array([numbers[prompt] for prompt in self.prompt_tokens])

    @cached_property
    def lengths(self) -> np.ndarray:
        """Lengths (R,) in tokens, without the prompt."""
        return np.array([len(tokens) for tokens in self.tokens])

    @cached_property
    def mask(self) -> np.ndarray:
        """(R, T), 1 where a response has a token."""
        return (np.arange(self.lengths.max()) < self.lengths[:, None]).astype(float)

    @cached_property
    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and column in ``mask`` of each of the N response tokens, in order."""
        rows, columns = np.nonzero(self.mask)
        return rows, columns


def encode(
    tokenizer: Any,
    prompt: str | Sequence[int] | Sequence[str] | Sequence[Sequence[int]],
    responses: Sequence[str] | Sequence[Sequence[int]],
    *,
    eos: bool = True,
) -> Responses:
    """Token ids of responses to a prompt.

    A response is what the tokens of ``prompt + response`` have beyond those of ``prompt``; where
    the two do not agree on the prompt, both are tokenised by themselves.

    Parameters
    ----------
    tokenizer
        A Hugging Face tokenizer.
    prompt
        The prompt, as text or token ids; or a list with one prompt per response.
    responses
        The responses, as texts or as token ids, which are taken as they are.
    eos
        Whether a response given as text ends with the end-of-sequence token.

    Raises
    ------
    InputError
        For no responses, an empty one, as many prompts as there are not responses, or an
        end-of-sequence token that the tokenizer lacks.
    """
    if isinstance(responses, str) or not len(responses):
        raise InputError("responses is empty or a single text: give a list of responses.")
    if isinstance(prompt, str) or (len(prompt) and isinstance(prompt[0], int | np.integer)):
        each: list[Any] = [prompt] * len(responses)
    else:
        each = list(prompt)
    if len(each) != len(responses):
        raise InputError(
            f"There are {len(each)} prompts and {len(responses)} responses: give one prompt, or "
            "one for each response."
        )
    if eos and tokenizer.eos_token_id is None and any(isinstance(r, str) for r in responses):
        raise InputError(
            "The tokenizer has no end-of-sequence token: set tokenizer.eos_token, or encode with "
            "eos=False."
        )
    pairs = [_encode_one(tokenizer, *both, eos) for both in zip(each, responses, strict=True)]
    for number, (_, tokens) in enumerate(pairs):
        if not tokens:
            raise InputError(f"Response {number} is empty: a response needs at least one token.")
    return Responses(tuple(before for before, _ in pairs), tuple(tokens for _, tokens in pairs))


def prompt_ids(tokenizer: Any, prompt: str | Sequence[int]) -> Tokens:
    """Token ids of a prompt, with what the tokenizer puts before a text; ids stay as they are.

    Raises
    ------
    InputError
        For a prompt without a token.
    """
    tokens = _ids(tokenizer, prompt) if isinstance(prompt, str) else tuple(map(int, prompt))
    if not tokens:
        raise InputError(
            "The prompt has no token: give a prompt, or a tokenizer that begins with a special "
            "token."
        )
    return tokens


def _encode_one(tokenizer: Any, prompt: Any, response: Any, eos: bool) -> tuple[Tokens, Tokens]:
    before = prompt_ids(tokenizer, prompt)
    if not isinstance(response, str):
        return before, tuple(map(int, response))
    if not response:
        return before, ()
    whole = _ids(tokenizer, prompt + response) if isinstance(prompt, str) else ()
    if whole[: len(before)] == before and len(whole) > len(before):
        tokens = whole[len(before) :]
    else:
        tokens = tuple(tokenizer(response, add_special_tokens=False)["input_ids"])
    ends = not eos or tokens[-1:] == (tokenizer.eos_token_id,)
    return before, tokens if ends else (*tokens, tokenizer.eos_token_id)


def _ids(tokenizer: Any, text: str) -> Tokens:
    """Token ids with what the tokenizer puts before a text, but not what it puts after."""
    tokens = tuple(tokenizer(text)["input_ids"])
    return tokens[:-1] if tokens and tokens[-1] == tokenizer.eos_token_id else tokens
