"""A model linearised where its gradients are too large to keep."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from prefdyn.llm._encoding import Responses
from prefdyn.llm.geometry._forward_mode import gradient_products, weighted_gradient
from prefdyn.policies import KernelPolicy


@dataclass(frozen=True, eq=False)
class ProductsPolicy(KernelPolicy):
    r"""``log pi_i = log pi_i(start) + <g_i, x>``, the gradients never written down (claim KER-4).

    A direction :math:`\sum_i p_i g_i` is one backward pass through the model, the products
    :math:`\langle g_i, x\rangle` are one pass in forward mode; the only long vectors are the
    displacement x and what an optimiser remembers.

    Parameters
    ----------
    model
        The model, as it was when start and Gram matrix were measured.
    responses
        Its responses.
    names
        Names of the parameters that move, in the order of x.
    """

    model: Any = field(kw_only=True)
    responses: Responses = field(kw_only=True)  # pyright: ignore[reportIncompatibleVariableOverride]
    names: tuple[str, ...] = field(kw_only=True)
    has_coordinates = True

    def __post_init__(self):
        super().__post_init__()
        set_, named = object.__setattr__, dict(self.model.named_parameters())
        set_(self, "_start", self.params)
        set_(self, "_last", None)
        set_(self, "params", np.zeros(sum(named[name].numel() for name in self.names)))

    def token_log_probs(self, params: Any = None) -> np.ndarray:
        """Start plus gradients times displacement, (K, 1); the last one asked for is kept."""
        x = self.start(params)
        start, last = self._start, self._last  # pyright: ignore[reportAttributeAccessIssue]
        if last is None or not np.array_equal(last[0], x):
            moved = 0.0
            if x.any():
                moved = gradient_products(
                    self.model, self.responses, x, parameters=list(self.names)
                )
            last = np.array(x), (start + moved)[:, None]
            object.__setattr__(self, "_last", last)
        return last[1]

    def direction(self, params: Any, pushes: np.ndarray) -> np.ndarray:
        """``sum_i pushes_i g_i``, (P,)."""
        found = weighted_gradient(
            self.model, self.responses, pushes[..., 0], parameters=list(self.names)
        )
        return np.concatenate(
            [found[name].double().cpu().numpy().reshape(-1) for name in self.names]
        )
