"""The output head of a causal language model: from hidden states to logits."""

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
        Factor of the logits (Cohere's ``logit_scale``, one over Granite's ``logits_scaling``).
    cap : float or None
        Soft cap (Gemma-2's ``final_logit_softcapping``).
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    cap: float | None = None

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (N, V) of hidden states (N, d), in float32 or better."""
        logits = nn.functional.linear(hidden, self.weight).to(_exact(hidden.dtype))
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
        scale = float(getattr(config, "logit_scale", None) or 1.0)
        scale /= float(getattr(config, "logits_scaling", None) or 1.0)
        return cls(
            layer.weight, layer.bias, scale, getattr(config, "final_logit_softcapping", None)
        )


def unwrapped(model: Any) -> Any:
    """The Hugging Face model itself, of a model that peft may have wrapped."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def body(model: Any) -> Any:
    """What stands below the head: token ids to hidden states after the final norm."""
    base = unwrapped(model)
    return getattr(base, base.base_model_prefix)


def _exact(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
