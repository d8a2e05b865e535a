"""The gradient of every response's log-probability, row by row."""

from typing import Any

import torch
from torch import Tensor, nn

from prefdyn.llm._encoding import Responses
from prefdyn.llm._forward import States, completion_states
from prefdyn.llm.head._head import Head


def plain_log_probs(model: Any, responses: Responses) -> tuple[Tensor, States]:
    """Log-probabilities of all tokens, (N,), by plain operations; and the states that gave them.

    Unlike a head that works in place, they can be differentiated for many rows at once.
    """
    states = completion_states(model, responses)
    logits = Head.of(model).logits(states.hidden)
    return logits.log_softmax(-1).gather(-1, states.targets[:, None])[:, 0], states


def summed_log_probs(model: Any, responses: Responses) -> Tensor:
    """Summed log-probabilities (R,), as `plain_log_probs`."""
    values, states = plain_log_probs(model, responses)
    return values.new_zeros(len(responses)).index_add(0, states.segments, values)


def row_gradients(
    model: Any, responses: Responses, chosen: dict[str, nn.Parameter], batch: int
) -> Tensor:
    """``d log pi(y_i) / d parameters``, (R, P), on the CPU; by automatic differentiation."""
    parameters = list(chosen.values())
    width = sum(p.numel() for p in parameters)
    rows = torch.zeros(len(responses), width, dtype=parameters[0].dtype)
    for first in range(0, len(responses), batch):
        log_probs = summed_log_probs(model, responses[first : first + batch])
        units = torch.eye(len(log_probs), dtype=log_probs.dtype, device=log_probs.device)
        gradients = torch.autograd.grad(
            log_probs, parameters, units, is_grads_batched=True, materialize_grads=True
        )
        place = 0
        for gradient in gradients:
            flat = gradient.reshape(len(log_probs), -1)
            rows[first : first + len(flat), place : place + flat.shape[1]] = flat.cpu()
            place += flat.shape[1]
    return rows
