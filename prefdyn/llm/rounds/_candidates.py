"""The responses a game is played among, for one prompt or for several."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn.llm._encoding import Responses, encode
from prefdyn.llm._forward import check_fits


@dataclass(frozen=True, eq=False)
class Candidates:
    """K responses to each prompt.

    Attributes
    ----------
    responses
        ``prompts * K`` responses, those of the first prompt first.
    prompts
        Number of prompts.
    several
        Whether the caller gave a list of prompts, so that results have an axis for them.
    prompt_texts, texts
        Prompts, and K responses to each, in words: as they were given, or decoded.
    """

    responses: Responses
    prompts: int
    several: bool
    prompt_texts: list[str]
    texts: list[list[str]]

    @property
    def K(self) -> int:
        """Candidates per prompt."""
        return len(self.responses) // self.prompts

    @property
    def shape(self) -> tuple[int, ...]:
        """([prompts,] K)."""
        return (self.prompts, self.K) if self.several else (self.K,)

    def outward(self, table: np.ndarray, axis: int = 0) -> np.ndarray:
        """An array with an axis for prompts, without it where there is a single prompt."""
        return table if self.several else table.squeeze(axis)


def gather(model: Any, tokenizer: Any, prompt: Any, responses: Any) -> Candidates:
    """Encode and check the candidates of one prompt or of several.

    Raises
    ------
    InputError
        For a list of prompts without as many lists of equally many responses, fewer than two
        candidates, or one that is the beginning of another, whose probability holds the other's.
    """
    several = is_several(prompt)
    if several and len(prompt) != len(responses):
        raise InputError(
            f"There are {len(prompt)} prompts and {len(responses)} lists of responses: give one "
            "list for each prompt."
        )
    pairs = list(zip(prompt, responses, strict=True)) if several else [(prompt, responses)]
    groups = [encode(tokenizer, one, many) for one, many in pairs]
    sizes = sorted({len(group) for group in groups})
    if len(sizes) > 1:
        raise InputError(
            f"The prompts have between {sizes[0]} and {sizes[-1]} responses: give each as many."
        )
    if sizes[0] < 2:
        raise InputError("There is a single response: a game needs at least two.")
    for number, group in enumerate(groups):
        _check_distinct(group, f" of prompt {number}" if several else "")
    joined = Responses(
        tuple(tokens for group in groups for tokens in group.prompt_tokens),
        tuple(tokens for group in groups for tokens in group.tokens),
    )
    check_fits(model, joined)
    prompt_texts = [_text(tokenizer, one) for one, _ in pairs]
    texts = [[_text(tokenizer, one) for one in many] for _, many in pairs]
    return Candidates(joined, len(groups), several, prompt_texts, texts)


def is_several(prompt: Any) -> bool:
    """Whether this is a list of prompts, rather than a text or token ids."""
    if isinstance(prompt, str):
        return False
    if not len(prompt):
        raise InputError("There is no prompt: give a text, token ids, or a list of prompts.")
    return not isinstance(prompt[0], int | np.integer)


def _text(tokenizer: Any, given: Any) -> str:
    return given if isinstance(given, str) else tokenizer.decode(given, skip_special_tokens=True)


def _check_distinct(group: Responses, where: str) -> None:
    for i, one in enumerate(group.tokens):
        for j, other in enumerate(group.tokens):
            if i != j and other[: len(one)] == one:
                how = "are the same tokens" if one == other else "start with the same response"
                raise InputError(
                    f"Responses {min(i, j)} and {max(i, j)}{where} {how}: leave one of them out."
                )
