"""How a model is trained, as numbers and names."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from prefdyn import objectives
from prefdyn._errors import InputError
from prefdyn._inputs import choice, count, positive
from prefdyn.llm.training._fit import OPTIMISERS
from prefdyn.objectives import Objective

SCHEDULES = ("constant", "linear", "cosine")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a model is trained.

    Parameters
    ----------
    objective
        An `Objective`, or the id of one.
    rate
        Learning rate.
    steps
        Steps to take; by default as many as `epochs` need.
    epochs
        Passes over the data.
    batch
        Pairs per step, over all pieces and processes.
    accumulate
        Pieces that a step is run in, in each process: the same result with less memory.
    optimiser
        ``"sgd"``, ``"rmsprop"``, ``"adam"`` or ``"adamw"``.
    weight_decay, momentum
        Of the optimiser.
    warmup
        Steps in which the rate rises to its value.
    schedule
        What it does then: ``"constant"``, ``"linear"`` or ``"cosine"`` to 0.
    clip
        Largest norm of a step's gradient.
    seed
        Of the order of the data.
    log_every, save_every
        Steps between lines of the log, and between checkpoints.
    probes
        Pairs that are measured at every line: the first ones of the data.

    Raises
    ------
    InputError
        For a number outside its range or an unknown name.
    """

    objective: Any
    rate: float
    steps: int | None = None
    epochs: float = 1.0
    batch: int = 8
    accumulate: int = 1
    optimiser: str = "adamw"
    weight_decay: float = 0.0
    momentum: float = 0.0
    warmup: int = 0
    schedule: str = "constant"
    clip: float | None = None
    seed: int = 0
    log_every: int = 10
    save_every: int = 100
    probes: int = 8

    def __post_init__(self):
        if isinstance(self.objective, str):
            object.__setattr__(self, "objective", objectives.get(self.objective))
        if not isinstance(self.objective, Objective):
            raise InputError(
                f"objective is a {type(self.objective).__name__}: give an Objective or its id."
            )
        choice(self.optimiser, OPTIMISERS, "optimiser")
        choice(self.schedule, SCHEDULES, "schedule")
        for name in ("rate", "epochs", *(("clip",) if self.clip is not None else ())):
            positive(getattr(self, name), name)
        for name in ("batch", "accumulate", "log_every", "save_every", "probes"):
            count(getattr(self, name), name)
        for name in ("warmup", "seed", *(("steps",) if self.steps is not None else ())):
            count(getattr(self, name), name, least=0)

    def length(self, pairs: int) -> int:
        """Steps to take on this many pairs."""
        return math.ceil(self.epochs * pairs / self.batch) if self.steps is None else self.steps

    def rate_at(self, step: int, steps: int) -> float:
        """Learning rate of the step after `step` steps, of `steps` in all."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        left = 1 - (step - self.warmup) / max(1, steps - self.warmup)
        shape = {
            "constant": 1.0,
            "linear": left,
            "cosine": (1 + math.cos(math.pi * (1 - left))) / 2,
        }
        return self.rate * shape[self.schedule]

    def identity(self, steps: int) -> dict[str, Any]:
        """What an interrupted run must have in common with the one that goes on."""
        known = asdict(self) | {"objective": repr(self.objective), "steps": steps}
        # How a step is cut changes no result, nor does when it is saved; a constant rate does not
        # know where it ends.
        free = ["epochs", "accumulate", "save_every"]
        free += ["steps"] if self.schedule == "constant" else []
        return {name: value for name, value in known.items() if name not in free}
