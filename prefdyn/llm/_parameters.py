"""Which parameters of a model are measured, and a model at rest while they are."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from prefdyn._errors import InputError
from prefdyn._inputs import nearest
from prefdyn.llm.head._head import unwrapped

Selection = str | Sequence[str]


def select_parameters(model: Any, parameters: Selection = "all") -> dict[str, nn.Parameter]:
    """Parameters of a model by name; one that is used in two places counts once.

    Parameters
    ----------
    model
        A causal language model.
    parameters
        ``"all"``; ``"trainable"``, those that require a gradient; ``"head"``, weight and bias of
        the output layer (if it is tied to the input embedding, both uses); or names and patterns
        as of a shell, e.g. ``["model.layers.3.*", "*norm.weight"]``.

    Raises
    ------
    InputError
        If a pattern fits no parameter, or a selected one has no gradient (a quantised weight).
    """
    named = dict(model.named_parameters(remove_duplicate=False))
    if parameters == "all":
        kept = list(named.values())
    elif parameters == "trainable":
        kept = [p for p in named.values() if p.requires_grad]
        if not kept:
            raise InputError("No parameter of the model requires a gradient: use 'all'.")
    elif parameters == "head":
        kept = list(unwrapped(model).get_output_embeddings().parameters())
    else:
        patterns = [parameters] if isinstance(parameters, str) else list(parameters)
        kept = [p for pattern in patterns for p in _fitting(named, pattern)]
        if not kept:
            raise InputError("parameters is empty: give 'all', 'trainable', 'head' or names.")
    wanted = {id(p) for p in kept}
    chosen = {name: p for name, p in model.named_parameters() if id(p) in wanted}
    for name, parameter in chosen.items():
        if not parameter.is_floating_point():
            raise InputError(
                f"Parameter {name} is {parameter.dtype}, which has no gradient: leave it out, for "
                "example with parameters='trainable'."
            )
    return chosen


@contextmanager
def at_rest(model: Any, chosen: dict[str, nn.Parameter]) -> Iterator[None]:
    """The model without dropout, with gradients for the chosen parameters and no others.

    Modes and flags are put back afterwards, and nobody's ``.grad`` is touched.
    """
    modes = [(module, module.training) for module in model.modules()]
    flags = [(p, p.requires_grad) for p in model.parameters()]
    try:
        model.eval()
        for parameter, _ in flags:
            parameter.requires_grad_(False)
        for parameter in chosen.values():
            parameter.requires_grad_(True)
        with torch.enable_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


def check_finite(model: Any, values: Tensor, what: str) -> None:
    """Refuse values that are not finite, naming a parameter that is not where there is one.

    Raises
    ------
    InputError
        For NaN or an infinity.
    """
    if bool(torch.isfinite(values).all()):
        return
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise InputError(
                f"Parameter {name} of the model has an entry that is not finite: load the model "
                "again from a sound checkpoint."
            )
    raise InputError(
        f"The {what} are not finite although the parameters are: run the model in a wider "
        "precision, e.g. dtype=torch.float32."
    )


def _fitting(named: dict[str, nn.Parameter], pattern: str) -> list[nn.Parameter]:
    found = [p for name, p in named.items() if fnmatchcase(name, pattern)]
    if not found:
        parts = [name.split(".") for name in named]
        places = {".".join(part[: n + 1]) for part in parts for n in range(len(part))}
        raise InputError(
            f"No parameter of the model fits {pattern!r}{nearest(pattern.strip('.*'), places)}: "
            "names are those of model.named_parameters(), and * stands for any letters."
        )
    return found
