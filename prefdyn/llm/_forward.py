"""From token ids to what the head sees: the hidden states that predict the response tokens."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prefdyn._errors import InputError
from prefdyn._inputs import count
from prefdyn.llm._encoding import Responses
from prefdyn.llm._memory import enough_memory
from prefdyn.llm.head._head import Head, body, unwrapped
from prefdyn.llm.head.logprobs import token_logprobs


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


def context_of(model: Any) -> int | None:
    """Most tokens that a model reads; None if its config does not say."""
    return getattr(unwrapped(model).config.get_text_config(), "max_position_embeddings", None)


def check_fits(model: Any, responses: Responses) -> None:
    """Refuse token ids outside the vocabulary, and rows longer than the context.

    Raises
    ------
    InputError
        Naming the response.
    """
    base, context = unwrapped(model), context_of(model)
    layers = (base.get_input_embeddings(), base.get_output_embeddings())
    vocabulary = min(layer.weight.shape[0] for layer in layers)
    rows = zip(responses.prompt_tokens, responses.tokens, strict=True)
    for number, (prompt, tokens) in enumerate(rows):
        if context is not None and len(prompt) + len(tokens) > context:
            raise InputError(
                f"Response {number} has {len(tokens)} tokens behind a prompt of {len(prompt)}, but "
                f"the model's context holds {context}: shorten the prompt."
            )
        strange = [token for token in (*prompt, *tokens) if not 0 <= token < vocabulary]
        if strange:
            raise InputError(
                f"Response {number} or its prompt has the token id {strange[0]}, but the model's "
                f"vocabulary is 0 to {vocabulary - 1}: take the tokenizer that belongs to it."
            )


def device_of(model: Any) -> torch.device:
    """Where token ids must lie for the model to read them."""
    return unwrapped(model).get_input_embeddings().weight.device


def completion_states(model: Any, responses: Responses) -> States:
    """Run the model below its head over all responses, in one padded batch.

    Differentiable in the model's parameters.  Padding is on the right, where nothing looks at
    it; the states of prompt and padding are dropped before the head sees them.

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
    with enough_memory(f"take fewer than {len(whole)} responses of {longest} tokens at once"):
        # No mask: nothing looks ahead into padding on the right, and a row of padding that a short
        # attention window left nothing to look at would be NaN.
        out = body(model)(input_ids=ids, use_cache=False)
    rows, columns = (torch.tensor(place, device=device) for place in responses.places)
    before = torch.tensor([len(p) for p in responses.prompt_tokens], device=device)
    at = before[rows] + columns
    return States(out.last_hidden_state[rows, at - 1], ids[rows, at], rows)


def token_log_probs(model: Any, responses: Responses, batch: int | None = None) -> Tensor:
    """Log-probability of every response token, (R, T), 0 in the padding.

    Parameters
    ----------
    model
        A causal language model.
    responses
        R responses, the longest of T tokens.
    batch
        Responses per pass, for sets that do not fit into memory at once; the result then has no
        gradient.  By default all of them in one pass, differentiable in the model's parameters.

    Raises
    ------
    InputError
        As of `check_fits`; with `batch`, also for log-probabilities that are not finite.
    """
    if batch is not None:
        return _in_batches(model, responses, count(batch, "batch"))
    states = completion_states(model, responses)
    values = token_logprobs(states.hidden, Head.of(model), states.targets)
    return _table(values, responses)


def log_probs(model: Any, responses: Responses, batch: int | None = None) -> Tensor:
    """Summed log-probability of every response, (R,); `batch` as in `token_log_probs`."""
    return token_log_probs(model, responses, batch).sum(-1)


@torch.no_grad()
def _in_batches(model: Any, responses: Responses, batch: int) -> Tensor:
    # Rows of like length together: little padding.
    prompts = np.array([len(prompt) for prompt in responses.prompt_tokens])
    order = np.argsort(prompts + responses.lengths, kind="stable")
    groups = [order[start : start + batch] for start in range(0, len(order), batch)]
    parts = {}
    for rows in groups:
        table = token_log_probs(model, responses[rows])
        bad = ~table.isfinite().all(-1).cpu().numpy()
        if bad.any():
            raise InputError(
                f"The model gives response {rows[bad][0]} a log-probability that is not finite: "
                "its weights or its precision broke down, so take an earlier checkpoint or "
                "dtype='float32'."
            )
        parts |= dict(zip(rows.tolist(), table, strict=True))
    whole = torch.zeros(responses.mask.shape, dtype=parts[0].dtype, device=parts[0].device)
    for row, values in parts.items():
        whole[row, : len(values)] = values
    return whole


def _table(values: Tensor, responses: Responses) -> Tensor:
    """Values (N,) of the response tokens at their places in (R, T)."""
    rows, columns = (torch.tensor(place, device=values.device) for place in responses.places)
    return values.new_zeros(responses.mask.shape).index_put((rows, columns), values)
