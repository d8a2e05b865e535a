"""The options that every question about a language model shares."""

from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import arg

Name = Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")]


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """A language model; the commands that need one derive from it."""

    model: Name = None
    """Folder or hub name of a causal language model; by default the small one that ships."""
    adapter: Name = None
    """Folder or hub name of a PEFT adapter to put on it."""
    device: Annotated[str, arg(metavar="NAME")] = "cpu"
    """Where it runs: cpu, cuda, cuda:1, mps."""
    dtype: Annotated[str, arg(metavar="NAME")] = "float32"
    """Precision of its weights: float32, float64, bfloat16, float16 or auto."""

    def model_settings(self) -> dict[str, Any]:
        """The keywords of `prefdyn.llm.load`, and the model's name."""
        names = ("model", "adapter", "device", "dtype")
        return {name: getattr(self, name) for name in names}
