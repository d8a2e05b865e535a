"""The output head of a causal language model: from hidden states to logits."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from prefdyn._errors import InputError


@dataclass(frozen=True, eq=False)
class Head:
    """``logits = cap tanh(scale (W h + b) / cap)``, with what a model lacks left out.

    Attributes
    ----------
    weight : torch.Tensor
        Unembedding W, (V, d); the input embedding itself where the two are tied.
    bias : torch.Tensor or None
        b, (V,).
    scale : float
        Factor of the logits (Cohere's ``logit_scale``, one over Granite's ``logits_scaling``, ...).
    cap : float or None
        Soft cap (Gemma-2's ``final_logit_softcapping``, ...).
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    cap: float | None = None

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (N, V) of hidden states (N, d), in float32 or better."""
        # Operands first: a product rounded to bfloat16 is off by 3e-2 nats per response.
        exact = _exact(hidden.dtype)
        with torch.autocast(hidden.device.type, enabled=False):  # which would round it as well
            logits = nn.functional.linear(hidden.to(exact), self.weight.to(exact))
        if self.bias is not None:
            logits = logits + self.bias
        if self.scale != 1.0:
            logits = logits * self.scale
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)

    @classmethod
    def of(cls, model: Any) -> "Head":
        """The head of a Hugging Face causal language model.

        Raises
        ------
        InputError
            If the model has no linear output layer, or an adapter sits on it.
        """
        base = unwrapped(model)
        layer = base.get_output_embeddings()
        if not isinstance(layer, nn.Linear):
            kind = type(layer).__name__
            raise InputError(
                f"The output layer of {type(base).__name__} is a {kind}, which is not a plain "
                "linear layer: merge an adapter on it first (model.merge_and_unload())."
            )
        config = base.config.get_text_config()
        named = [getattr(config, name, None) for name in _CAPS]
        cap = next((float(value) for value in named if value), None)
        return cls(layer.weight, layer.bias, _scale(config), cap)


def unwrapped(model: Any) -> Any:
    """The Hugging Face model itself, of a model that peft may have wrapped."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def body(model: Any) -> Any:
    """What stands below the head: token ids to hidden states after the final norm.

    Raises
    ------
    InputError
        If it cannot be told from the head.
    """
    base = unwrapped(model)
    named = getattr(base, "base_model_prefix", "")
    found = getattr(base, named, None) or getattr(base, "get_decoder", _none)()
    # A text model inside another one, or one that is named after it, still wears its head.
    while getattr(found, "get_output_embeddings", _none)() is not None:
        found = getattr(found, "model", None)
    if not isinstance(found, nn.Module):
        raise InputError(
            f"It is not known what stands below the output layer of {type(base).__name__}: "
            "prefdyn cannot read this architecture."
        )
    return found


@torch.no_grad()
def check_head(model: Any) -> None:
    """Compare `Head` on the states of `body` with the model's own logits, on four tokens.

    What a model does to its logits can be more than its config says, and a model of the right
    shape can read both ways; neither is noticed from its log-probabilities.

    Raises
    ------
    InputError
        If the two differ by more than rounding, the logits are not finite, or a token changes
        what the model says before it.
    """
    head = Head.of(model)
    kind, where = type(unwrapped(model)).__name__, head.weight.device
    rows = torch.tensor([[0, 1, 2, 3], [0, 1, 2, 4]], device=where) % head.weight.shape[0]
    inputs: dict[str, Any] = {"attention_mask": torch.ones_like(rows), "use_cache": False}
    own = model(input_ids=rows, **inputs).logits
    states = getattr(body(model)(input_ids=rows, **inputs), "last_hidden_state", None)
    if not own.isfinite().all():
        raise InputError(
            f"The logits of this {kind} are not finite in {own.dtype}: load it with "
            "dtype='float32' or 'bfloat16'."
        )
    # A few roundings of the largest logit, in whatever precision the model computes.
    slack = 8 * torch.finfo(head.weight.dtype).eps * max(1.0, float(own.abs().max()))
    ours = None if states is None else head.logits(states)
    if ours is None or own.shape != ours.shape or float((own - ours).abs().max()) > slack:
        raise InputError(
            f"The logits of this {kind} are not its output layer applied to its last hidden "
            "states, scaled or capped as its config says: prefdyn cannot read this architecture."
        )
    if float((own[0, :-1] - own[1, :-1]).abs().max()) > slack:
        raise InputError(
            f"This {kind} looks ahead: its logits change with later tokens, so it is not a causal "
            "language model (or its config lacks is_decoder)."
        )


_CAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
_FACTORS = ("logit_scale", "lm_head_multiplier", "output_multiplier")


def _none() -> None:
    """What a model says that lacks the method."""


def _scale(config: Any) -> float:
    factors = [getattr(config, name, None) for name in _FACTORS]
    scale = math.prod(float(factor) for factor in factors if factor)
    return scale / float(getattr(config, "logits_scaling", None) or 1.0)


def _exact(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
