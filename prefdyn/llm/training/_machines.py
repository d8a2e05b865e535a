"""The processes that a run has."""

from typing import Any

from torch import Tensor

from prefdyn.llm.training._gradient import Team


def team_of(model: Any) -> tuple[Any, Team]:
    """Accelerate's processes; one, which adds nothing up, where nobody launched several."""
    from accelerate import Accelerator

    on_cpu = next(model.parameters()).device.type == "cpu"
    accelerator = Accelerator(cpu=on_cpu)

    def add(values: Tensor) -> Tensor:
        if accelerator.num_processes == 1:
            return values
        total = accelerator.reduce(values, "sum")
        assert isinstance(total, Tensor)
        return total

    return accelerator, Team(accelerator.process_index, accelerator.num_processes, add)
