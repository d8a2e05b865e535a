"""From token ids to what the head sees: the hidden states that predict the response tokens."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from prefdyn._errors import InputError
from prefdyn.llm._encoding import Responses
from prefdyn.llm._head import Head, body, unwrapped
from prefdyn.llm.logprobs import token_logprobs


@dataclass(frozen=True, eq=False)
class States:
    """Hidden states that predict the N tokens of R responses, without prompt and padding.

    Attributes
    ----------
    hidden : torch.Tensor
        (N, d), after the final norm; response after response.
    targets : torch.Tensor
        (N,) token ids they are to predict.
    segments : torch.Tensor
        (N,) number of the response each belongs to.
    """

    hidden: Tensor
    targets: Tensor
    segments: Tensor


def check_fits(model: Any, responses: Responses) -> None:
    """Refuse token ids outside the vocabulary, and rows longer than the context.

    Raises
    ------
    InputError
        Naming the response.
    """
    config = unwrapped(model).config.get_text_config()
    vocabulary = unwrapped(model).get_input_embeddings().weight.shape[0]
    context = getattr(config, "max_position_embeddings", None)
    rows = zip(responses.prompt_tokens, responses.tokens, strict=True)
    for number, (prompt, tokens) in enumerate(rows):
        if context is not None and len(prompt) + len(tokens) > context:
            raise InputError(
                f"Response {number} has {len(tokens)} tokens behind a prompt of {len(prompt)}, but "
                f"the model's context holds {context}: shorten the prompt."
            )
        worst = max(max(prompt), max(tokens))
        if worst >= vocabulary or min(min(prompt), min(tokens)) < 0:
            raise InputError(
                f"Response {number} or its prompt has the token id {worst}, but the model's "
                f"vocabulary ends at {vocabulary - 1}: take the tokenizer that belongs to it."
            )


def device_of(model: Any) -> torch.device:
    """Where token ids must lie for the model to read them."""
    return unwrapped(model).get_input_embeddings().weight.device


def completion_states(model: Any, responses: Responses) -> States:
    """Run the model below its head over all responses, in one padded batch.

    Differentiable in the model's parameters.  Padding is on the right and masked; the states of
    prompt and padding are dropped before the head sees them.

    Raises
    ------
    InputError
        As of `check_fits`.
    """
    check_fits(model, responses)
    device = device_of(model)
    whole = [p + t for p, t in zip(responses.prompt_tokens, responses.tokens, strict=True)]
    longest = max(map(len, whole))
    ids = torch.tensor([row + (0,) * (longest - len(row)) for row in whole], device=device)
    mask = torch.tensor([[1] * len(r) + [0] * (longest - len(r)) for r in whole], device=device)
    hidden = body(model)(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    rows, columns = (torch.tensor(place, device=device) for place in responses.places)
    before = torch.tensor([len(p) for p in responses.prompt_tokens], device=device)
    at = before[rows] + columns
    return States(hidden[rows, at - 1], ids[rows, at], rows)


def token_log_probs(model: Any, responses: Responses) -> Tensor:
    """Log-probability of every response token, (R, T), 0 in the padding; differentiable."""
    states = completion_states(model, responses)
    values = token_logprobs(states.hidden, Head.of(model), states.targets)
    table = values.new_zeros(responses.mask.shape)
    rows, columns = (torch.tensor(place, device=values.device) for place in responses.places)
    return table.index_put((rows, columns), values)


def log_probs(model: Any, responses: Responses) -> Tensor:
    """Summed log-probability of every response, (R,); differentiable."""
    return token_log_probs(model, responses).sum(-1)
