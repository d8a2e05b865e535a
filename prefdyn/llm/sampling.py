"""Responses that a model writes itself."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from prefdyn._errors import InputError
from prefdyn._inputs import count, positive
from prefdyn.llm._encoding import Responses, Tokens, prompt_ids
from prefdyn.llm._forward import check_fits, device_of
from prefdyn.llm.head._head import Head, body, unwrapped

_ROWS = 64  # continuations drawn in one batch, at most
_TRIES = 100  # draws per continuation asked for, before a model counts as too sure of itself


def greedy(model: Any, tokenizer: Any, prompt: str | Sequence[int], length: int) -> Responses:
    """The most likely token, again and again, up to the end-of-sequence token or `length`.

    Parameters
    ----------
    model, tokenizer
        A causal language model and its tokenizer.
    prompt
        Text or token ids.
    length
        Most tokens of the response.

    Raises
    ------
    InputError
        If prompt and response do not fit into the context.
    """
    start = prompt_ids(tokenizer, prompt)
    rows = _extend(model, tokenizer, start, length, 1, lambda logits: logits.argmax(-1))
    return Responses((start,), tuple(rows))


def continuations(
    model: Any,
    tokenizer: Any,
    prompt: str | Sequence[int],
    number: int,
    *,
    length: int = 8,
    seed: int = 0,
    temperature: float = 1.0,
    greedy_first: bool = True,
) -> Responses:
    """Distinct responses to a prompt, drawn from the model itself.

    A response ends with the end-of-sequence token, or after `length` tokens without one; so none
    is the beginning of another, and their probabilities add up to at most one.

    Parameters
    ----------
    model, tokenizer
        A causal language model and its tokenizer.
    prompt
        Text or token ids.
    number
        How many responses R.
    length
        Most tokens of a response.
    seed
        Of the draws; the same seed gives the same responses on the same machine.
    temperature
        Divides the logits; 1 draws from the model as it is.
    greedy_first
        Whether response 0 is the greedy continuation.

    Returns
    -------
    Responses
        R responses, in the order in which they were first drawn.

    Raises
    ------
    InputError
        If prompt and response do not fit into the context, or the model hardly ever writes
        anything new.
    """
    count(number, "number")
    heat = float(positive(temperature, "temperature"))
    start = prompt_ids(tokenizer, prompt)
    generator = torch.Generator().manual_seed(count(seed, "seed", least=0))

    def draw(logits: Tensor) -> Tensor:
        return torch.multinomial((logits / heat).softmax(-1), 1, generator=generator)[:, 0]

    found = dict.fromkeys(greedy(model, tokenizer, start, length).tokens if greedy_first else ())
    rows = min(number, _ROWS)
    for _ in range(-(-_TRIES * number // rows)):
        if len(found) >= number:
            break
        found |= dict.fromkeys(_extend(model, tokenizer, start, length, rows, draw))
    if len(found) < number:
        raise InputError(
            f"The model wrote only {len(found)} different responses in {_TRIES * number} draws, "
            f"not {number}: raise length or temperature, or ask for fewer."
        )
    return Responses((start,) * number, tuple(found)[:number])


@torch.no_grad()
def _extend(
    model: Any,
    tokenizer: Any,
    start: Tokens,
    length: int,
    rows: int,
    choose: Callable[[Tensor], Tensor],
) -> Iterator[Tokens]:
    """Continuations of `start`; `choose` picks the next tokens (rows,) of logits (rows, V)."""
    check_fits(model, Responses((start,), (start[:1] * count(length, "length"),)))
    ends = torch.tensor(sorted(_ends(model, tokenizer)))
    head, device = Head.of(model), device_of(model)
    ids = torch.tensor([start] * rows)
    over = torch.zeros(rows, dtype=torch.bool)
    cache, new = None, ids
    with evaluating(model):
        for _ in range(length):
            step: dict[str, Any] = {"attention_mask": torch.ones_like(ids, device=device)}
            if cache is not None:
                step["past_key_values"] = cache
            out = body(model)(input_ids=new.to(device), use_cache=True, **step)
            # A model that keeps no such cache reads everything again.
            cache = getattr(out, "past_key_values", None)
            picked = choose(head.logits(out.last_hidden_state[:, -1]).double().cpu())
            ids = torch.cat([ids, picked[:, None]], 1)
            over |= torch.isin(picked, ends)
            if over.all():
                break
            new = ids if cache is None else ids[:, -1:]
    return (_until(row, ends.tolist()) for row in ids[:, len(start) :].tolist())


def _until(row: list[int], ends: list[int]) -> Tokens:
    """A row up to and with its first end token."""
    stop = next((n for n, token in enumerate(row) if token in ends), len(row))
    return tuple(row[: stop + 1])


def _ends(model: Any, tokenizer: Any) -> set[int]:
    """Tokens that end a response: the tokenizer's, and what the model's own settings name."""
    settings = getattr(unwrapped(model), "generation_config", None)
    own = getattr(settings, "eos_token_id", None)
    many = own if isinstance(own, list) else [own]
    return {token for token in (*many, tokenizer.eos_token_id) if token is not None}


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Without dropout, whatever mode the model is in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
