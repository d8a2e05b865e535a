"""What experiments on any causal language model begin with: prompts, copies, a rate."""

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn.llm._encoding import Responses, Tokens
from prefdyn.llm._forward import completion_states
from prefdyn.llm.head._head import Head
from prefdyn.llm.models import LanguageModel
from prefdyn.llm.prediction._predict import predict_training
from prefdyn.llm.sampling import continuations

_TINY = 1e-9


def first_token(tokenizer: Any) -> int:
    """The token that a text starts with: BOS, else the end of the text before it.

    Raises
    ------
    InputError
        For a tokenizer that has neither.
    """
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise InputError("The tokenizer has no token that starts or ends a text: set its eos_token.")


def own_prompts(lm: LanguageModel, number: int, length: int, seed: int) -> list[Tokens]:
    """Prompts that a model writes itself: beginnings of texts, `length` tokens and the first one.

    Texts that end sooner are left out, as long as there are enough others.
    """
    start = (first_token(lm.tokenizer),)
    drawn = continuations(
        lm.model, lm.tokenizer, start, 2 * number, length=length, seed=seed, greedy_first=False
    )
    end = lm.tokenizer.eos_token_id
    whole = sorted(drawn.tokens, key=lambda tokens: len(tokens) < length or tokens[-1] == end)
    return [start + tuple(t for t in tokens if t != end) for tokens in whole[:number]]


def open_prompts(lm: LanguageModel, number: int, length: int, seed: int) -> list[Tokens]:
    """The `number` of four times as many own prompts that leave most open what comes next.

    Where the next token is certain there is no mass to be moved.
    """
    drawn = own_prompts(lm, 4 * number, length, seed)
    log_p = np.stack([next_log_probs(lm.model, prompt) for prompt in drawn])
    entropy = -(np.exp(log_p) * log_p).sum(-1)
    return [drawn[i] for i in np.argsort(-entropy, kind="stable")[:number]]


def rate_for(
    geometry: Any,
    objective: Any,
    pairs: ArrayLike,
    target: float,
    steps: int,
    *,
    optimiser: str = "sgd",
    weights: ArrayLike | None = None,
) -> float:
    """Rate at which `steps` steps move some response by `target` nats, to first order."""
    run = predict_training(
        geometry, objective, pairs, _TINY, steps, optimiser=optimiser, weights=weights
    )
    return float(target * _TINY / np.abs(run.change[-1]).max())


@torch.no_grad()
def next_log_probs(model: Any, prompt: Tokens) -> np.ndarray:
    """Log-probabilities (V,) of the next token, in double precision."""
    # What the marked token is plays no part: the state that predicts it does.
    states = completion_states(model, Responses((prompt,), ((0,),)))
    return Head.of(model).logits(states.hidden)[0].double().log_softmax(-1).cpu().numpy()


def fresh(lm: LanguageModel) -> Any:
    """A copy of the model to train, without dropout."""
    return copy.deepcopy(lm.model).eval()
