"""Gradients of weighted sums, and derivatives along a direction: no gradient of each response."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from prefdyn._errors import InputError
from prefdyn._inputs import choice
from prefdyn.llm._encoding import Responses
from prefdyn.llm._pair_loss import PairLoss, Stats
from prefdyn.llm._parameters import Selection, at_rest, check_finite, select_parameters
from prefdyn.llm.geometry._gradients import plain_log_probs, summed_log_probs

Direction = Mapping[str, Tensor]

STEPS = 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5
"""Lengths of the differences, relative to the parameters'; the first two that agree are taken."""

AGREEMENT = 1e-3
"""How far two differences may be apart, relative to the largest derivative."""


def weighted_gradient(
    model: Any,
    responses: Responses,
    coefficients: Any,
    *,
    parameters: Selection = "all",
    batch: int = 8,
) -> dict[str, Tensor]:
    r""":math:`\sum_i c_i \nabla_\theta \log\pi(y_i)` by one backward pass per batch.

    Parameters
    ----------
    model
        A causal language model.
    responses
        The R responses.
    coefficients
        c, (R,) or one per token, (R, T); what stands in the padding is ignored.
    parameters
        As of `response_geometry`.
    batch
        Responses that run together.

    Returns
    -------
    dict
        One tensor per selected parameter, by its name.

    Raises
    ------
    InputError
        For coefficients of another shape, or a gradient that is not finite.
    """
    given = np.asarray(coefficients, dtype=float)
    if given.shape not in ((len(responses),), responses.mask.shape):
        raise InputError(
            f"coefficients has shape {given.shape}: give {(len(responses),)}, one per response, or "
            f"{responses.mask.shape}, one per token."
        )
    table = np.broadcast_to(given.reshape(len(responses), -1), responses.mask.shape)
    chosen = select_parameters(model, parameters)
    total = [torch.zeros_like(p) for p in chosen.values()]
    with at_rest(model, chosen):
        for first in range(0, len(responses), batch):
            part = responses[first : first + batch]
            values, _ = plain_log_probs(model, part)
            rows, columns = part.places
            weights = values.new_tensor(table[first + rows, columns])
            _accumulate(total, (values * weights).sum(), chosen)
    return _checked(model, total, chosen)


def step_direction(
    model: Any, loss: PairLoss, *, parameters: Selection = "all", stats: Stats | None = None
) -> dict[str, Tensor]:
    """Minus the gradient of a loss: where a unit of gradient descent moves the parameters.

    Parameters
    ----------
    model
        A causal language model.
    loss
        Objective, pairs and reference.
    parameters
        As of `response_geometry`.
    stats
        Running statistics of the objective, if it keeps any.

    Raises
    ------
    InputError
        If the gradient is not finite.
    """
    chosen = select_parameters(model, parameters)
    total = [torch.zeros_like(p) for p in chosen.values()]
    with at_rest(model, chosen):
        _accumulate(total, -loss(model, stats), chosen)
    return _checked(model, total, chosen)


def gradient_products(
    model: Any,
    responses: Responses,
    direction: Direction | Any,
    *,
    parameters: Selection = "all",
    method: str = "auto",
    batch: int = 8,
) -> np.ndarray:
    r""":math:`\langle \nabla_\theta \log\pi(y_i), v \rangle` of every response (claim KER-4).

    One forward-mode pass, which costs about two forward passes whatever the number of responses.

    Parameters
    ----------
    model
        A causal language model, in single precision or better.
    responses
        The R responses.
    direction
        v: tensors by parameter name, the others being 0; or a flat vector (P,) over `parameters`
        in the order of ``Geometry.parameter_names``.
    parameters
        As of `response_geometry`; for a flat direction.
    method
        ``"forward"``; ``"differences"``, central differences of two lengths that must agree; or
        ``"auto"``, differences where a module of the model has no forward mode.
    batch
        Responses that run together.

    Returns
    -------
    numpy.ndarray
        (R,), double precision.

    Raises
    ------
    InputError
        For a direction that does not fit the parameters, half precision, or differences that do
        not agree.
    """
    v = as_direction(model, direction, parameters)
    found = [
        along(model, lambda m, part=part: summed_log_probs(m, part), v, method)[1]
        for part in (responses[k : k + batch] for k in range(0, len(responses), batch))
    ]
    return torch.cat(found).double().cpu().numpy()


def as_direction(
    model: Any, direction: Direction | Any, parameters: Selection = "all"
) -> dict[str, Tensor]:
    """A direction as tensors by parameter name, checked against the model."""
    named = dict(model.named_parameters())
    if not isinstance(direction, Mapping):
        chosen = select_parameters(model, parameters)
        flat, sizes = torch.as_tensor(direction), [p.numel() for p in chosen.values()]
        if flat.shape != (sum(sizes),):
            raise InputError(
                f"direction has shape {tuple(flat.shape)}: the selected parameters have "
                f"{sum(sizes)} entries."
            )
        parts = zip(chosen.items(), flat.split(sizes), strict=True)
        direction = {name: part.reshape(p.shape) for (name, p), part in parts}
    for name, part in direction.items():
        if name not in named or part.shape != named[name].shape:
            raise InputError(
                f"direction has {name!r} of shape {tuple(part.shape)}, which no parameter of the "
                "model has: give tensors by the names of model.named_parameters()."
            )
    return {name: part.to(named[name]) for name, part in direction.items()}


def along(
    model: Any, function: Callable[[Any], Tensor], direction: Direction, method: str = "auto"
) -> tuple[Tensor, Tensor]:
    """A function of the model, and its derivative along a direction of the parameters."""
    choice(method, ("auto", "forward", "differences"), "method")
    dtypes = {model.get_parameter(name).dtype for name in direction}
    if any(torch.finfo(dtype).bits < 32 for dtype in dtypes):
        raise InputError(
            "The model runs in half precision, where derivatives drown in rounding: load it with "
            "dtype=torch.float32."
        )
    call = _Call(model, function)
    point = {f"model.{name}": model.get_parameter(name).detach() for name in direction}
    tangent = {f"model.{name}": part for name, part in direction.items()}

    def at(parameters: dict[str, Tensor]) -> Tensor:
        return functional_call(call, parameters, ())

    # The other attention kernels have no forward mode.
    with at_rest(model, {}), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        if method != "differences":
            try:
                value, derivative = _forward(at, point, tangent)
            except (NotImplementedError, RuntimeError) as error:
                if method == "forward" or not _lacks_forward_mode(error):
                    raise
            else:
                check_finite(model, derivative, "derivatives")
                return value, derivative
        value = at(point)
        check_finite(model, value, "values")
        return value, _differences(at, point, tangent)


class _Call(nn.Module):
    """A function of a model as a module, so that its parameters can be replaced."""

    def __init__(self, model: Any, function: Callable[[Any], Tensor]):
        super().__init__()
        self.model = model
        self.function = function

    def forward(self) -> Tensor:
        return self.function(self.model)


def _forward(at: Callable, point: dict[str, Tensor], tangent: dict[str, Tensor]) -> Any:
    with warnings.catch_warnings():
        # What torch loads when forward mode is first used still goes through its own jit.
        warnings.filterwarnings("ignore", "`torch.jit.script` is", DeprecationWarning)
        return jvp(at, (point,), (tangent,))


def _differences(at: Callable, point: dict[str, Tensor], tangent: dict[str, Tensor]) -> Tensor:
    """Central differences, of two lengths that agree."""

    def norm(parts: dict[str, Tensor]) -> float:
        return float(torch.stack([part.double().square().sum() for part in parts.values()]).sum())

    length = norm(tangent) ** 0.5
    if length == 0:
        return torch.zeros_like(at(point))
    scale = max(norm(point) ** 0.5, 1e-30) / length
    before, longer, off = None, 0.0, float("inf")
    for step in STEPS:
        h = step * scale
        ends = [at({k: p + s * h * tangent[k] for k, p in point.items()}) for s in (1, -1)]
        found = (ends[0].double() - ends[1].double()) / (2 * h)
        if before is not None:
            largest = float(found.abs().max().clamp_min(1e-300))
            off = min(off, float((found - before).abs().max()) / largest)
            if off <= AGREEMENT:
                # What the longer difference is off by, its square says of the shorter one.
                ratio = (longer / h) ** 2
                return (ratio * found - before) / (ratio - 1)
        before, longer = found, h
    raise InputError(
        f"Differences along the direction do not agree, by {off:.1g} at best: use a wider "
        "precision, e.g. dtype=torch.float64 when loading the model."
    )


def _lacks_forward_mode(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, NotImplementedError) or "forward ad" in text or "jvp" in text


def _accumulate(total: list[Tensor], value: Tensor, chosen: dict[str, nn.Parameter]) -> None:
    gradients = torch.autograd.grad(value, list(chosen.values()), materialize_grads=True)
    for sum_, gradient in zip(total, gradients, strict=True):
        sum_ += gradient


def _checked(model: Any, total: list[Tensor], chosen: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    for gradient in total:
        check_finite(model, gradient, "gradients")
    return dict(zip(chosen, total, strict=True))
