"""Responses to one prompt in one row: the prompt is read once."""

import inspect
from typing import Any

import torch
from torch import Tensor

from prefdyn._errors import InputError
from prefdyn._inputs import count
from prefdyn.llm._encoding import Responses
from prefdyn.llm._forward import States, check_fits, device_of
from prefdyn.llm._memory import enough_memory
from prefdyn.llm.head._head import body, unwrapped

KNOWN = (
    "cohere",
    "gemma",
    "gpt2",
    "gpt_neox",
    "granite",
    "llama",
    "mistral",
    "olmo2",
    "phi",
    "phi3",
    "qwen2",
    "qwen3",
    "smollm3",
    "stablelm",
)
"""Architectures (``config.model_type``) for which shared rows are held to separate ones."""

ATTENTION = ("eager", "sdpa")
"""Implementations of attention that take a mask of their own for every position."""


def shared_prompt_states(model: Any, responses: Responses, together: int | None = None) -> States:
    """The states of `completion_states`, from rows ``[prompt, y_1, y_2, ...]``.

    A token sees the prompt and what stands before it in its own response, and is told the position
    that it would have there; so the states are those of separate rows to rounding, and a prompt of
    P tokens costs P instead of R P.  Differentiable in the model's parameters.

    Parameters
    ----------
    model
        A causal language model of one of the architectures in ``KNOWN``, without dropout (a
        response's prompt would else drop what the others' does).
    responses
        R responses.
    together
        How many responses with the same prompt share a row at most; by default all of them.  A row
        of L tokens takes L² numbers for its mask.

    Raises
    ------
    InputError
        For an architecture that is not known, another implementation of attention than ``eager``
        or ``sdpa``, or one that does not see the whole row; and as of `check_fits`.
    """
    check_shared_prompt(model)
    check_fits(model, responses)
    rows = _rows(responses, None if together is None else count(together, "together"))
    device, dtype = device_of(model), unwrapped(model).get_input_embeddings().weight.dtype
    longest = max(_length(responses, row) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    positions, owners = torch.zeros_like(ids), torch.full_like(ids, -1)
    places: dict[int, list[tuple[int, int]]] = {}
    for number, row in enumerate(rows):
        prompt = responses.prompt_tokens[row[0]]
        end = len(prompt)
        ids[number, :end], positions[number, :end] = torch.tensor(prompt), torch.arange(end)
        owners[number, :end] = 0
        for owner, r in enumerate(row, start=1):
            inputs = responses.tokens[r][:-1]  # the last token predicts nothing
            part = slice(end, end + len(inputs))
            ids[number, part] = torch.tensor(inputs, dtype=torch.long)
            positions[number, part] = len(prompt) + torch.arange(len(inputs))
            owners[number, part] = owner
            columns = (len(prompt) - 1, *range(part.start, part.stop))
            places[r] = [(number, column) for column in columns]
            end = part.stop
    with enough_memory(f"take fewer than {len(rows)} rows of {longest} tokens at once"):
        out = body(model)(
            input_ids=ids.to(device),
            position_ids=positions.to(device),
            attention_mask=_mask(owners, dtype).to(device),
            use_cache=False,
        )
    in_order = [place for r in range(len(responses)) for place in places[r]]
    row_of, column_of = torch.tensor(in_order, device=device).T
    targets = [token for tokens in responses.tokens for token in tokens]
    return States(
        out.last_hidden_state[row_of, column_of],
        torch.tensor(targets, device=device),
        torch.tensor(responses.places[0], device=device),
    )


def check_shared_prompt(model: Any) -> None:
    """Refuse models whose attention is not known to follow a mask for every position.

    Raises
    ------
    InputError
        Saying what is not known, and to take `completion_states` instead.
    """
    config = unwrapped(model).config.get_text_config()
    instead = "run each response in a row of its own (completion_states)."
    if config.model_type not in KNOWN:
        raise InputError(
            f"Rows with a shared prompt are not known to work for {config.model_type!r} models "
            f"(they are for {', '.join(KNOWN)}): {instead}"
        )
    attention = getattr(config, "_attn_implementation", None)
    if attention not in ATTENTION:
        raise InputError(
            f"Rows with a shared prompt need a mask for every position, which {attention!r} "
            f"attention does not take: load the model with attn_implementation='sdpa', or {instead}"
        )
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None)
    if kinds != {"full_attention"} or (window and getattr(config, "use_sliding_window", True)):
        raise InputError(
            "Rows with a shared prompt need layers that see the whole row, and this model has a "
            f"sliding window or other layers than that: {instead}"
        )
    if "position_ids" not in inspect.signature(body(model).forward).parameters:
        raise InputError(f"This {config.model_type!r} model takes no position_ids: {instead}")


def _rows(responses: Responses, together: int | None) -> list[list[int]]:
    """Numbers of the responses in each row: same prompt, in order."""
    groups: dict[int, list[int]] = {}
    for r, prompt in enumerate(responses.prompts):
        groups.setdefault(int(prompt), []).append(r)
    return [
        group[first : first + (together or len(group))]
        for group in groups.values()
        for first in range(0, len(group), together or len(group))
    ]


def _length(responses: Responses, row: list[int]) -> int:
    return len(responses.prompt_tokens[row[0]]) + sum(len(responses.tokens[r]) - 1 for r in row)


def _mask(owners: Tensor, dtype: torch.dtype) -> Tensor:
    """Additive (B, 1, L, L): 0 where position i may see j, very low elsewhere.

    The prompt has owner 0, the responses 1, 2, ..., padding -1; padding sees itself, lest a row of
    the softmax be empty.
    """
    length = owners.shape[1]
    one, two = owners[:, :, None], owners[:, None, :]
    before = torch.ones(length, length, dtype=torch.bool).tril()
    sees = before & ((two == one) | ((two == 0) & (one > 0)))
    low = torch.full(sees.shape, torch.finfo(dtype).min, dtype=dtype)
    return low.masked_fill(sees, 0.0)[:, None]
