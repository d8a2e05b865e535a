"""What optimiser and objective carry from one step to the next."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InputError

_MOMENTS = (("exp_avg", "exp_avg_sq"), ("square_avg",), ("momentum_buffer",))


@dataclass(frozen=True, eq=False)
class Memory:
    """What optimiser and objective carry from one step to the next.

    Attributes
    ----------
    step : int
        Steps taken so far, on which Adam's bias correction depends.
    moments : numpy.ndarray or None
        Adam's first and second moment (2, P), or RMSprop's second (1, P), of the direction of
        descent and in the order of the geometry's gradients; with momentum the last move of the
        log-probabilities, (R,), or of the tokens', (R, T).  None for plain gradient descent.
    stats : dict or None
        The objective's running statistics, where it has any.
    """

    step: int = 0
    moments: np.ndarray | None = None
    stats: dict[str, Any] | None = None

    @classmethod
    def of(
        cls, optimiser: Any, model: Any, geometry: Any, stats: dict[str, Any] | None = None
    ) -> "Memory":
        """What a torch optimiser remembers, in the order of a geometry of the same model.

        Parameters
        ----------
        optimiser
            ``torch.optim.SGD``, ``Adam``, ``AdamW`` or ``RMSprop`` over parameters of the model.
        model
            The model that it trains.
        geometry
            Measured from the model as it is now; momentum of SGD needs its gradients.
        stats
            The objective's running statistics.

        Raises
        ------
        InputError
            For another optimiser, or momentum without gradients.
        """
        named = dict(model.named_parameters())
        parameters = [named[name] for name in geometry.parameter_names]
        states = [optimiser.state.get(parameter, {}) for parameter in parameters]
        step = max((int(state.get("step", 0)) for state in states), default=0)
        present = {key for state in states for key, value in state.items() if value is not None}
        known = [names for names in _MOMENTS if names[0] in present]
        if not known:
            return cls(step, None, stats)
        moments = np.stack([_flat(parameters, states, name) for name in known[0]])
        if known[0] != ("momentum_buffer",):
            if len(moments) == 2:
                moments[0] *= -1  # torch keeps the first moment of the gradient, which ascends
            return cls(step, moments, stats)
        if geometry.gradients is None:
            raise InputError(
                "The momentum of sgd is a vector of parameters, and this geometry holds no "
                'gradients to see it with: measure it with method="gradients".'
            )
        rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
        scale = np.concatenate([np.full(p.numel(), rates.get(id(p), 0.0)) for p in parameters])
        return cls(step, -np.asarray(geometry.gradients) @ (scale * moments[0]), stats)


def _flat(parameters: list[Any], states: list[dict], name: str) -> np.ndarray:
    """One of the optimiser's moments for all parameters, 0 where it has none yet."""
    parts = []
    for parameter, state in zip(parameters, states, strict=True):
        value = state.get(name)
        parts.append(np.zeros(parameter.numel()) if value is None else as_numpy(value).reshape(-1))
    return np.concatenate(parts)


def as_numpy(values: Any) -> np.ndarray:
    """Numbers in double precision, of a tensor or of anything like an array."""
    values = values.detach().cpu().double().numpy() if hasattr(values, "detach") else values
    return np.asarray(values, dtype=float)
