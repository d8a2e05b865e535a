"""The small language model that ships with the package: its text, its training, its weights.

``python -m prefdyn.llm.little.train`` makes it from nothing; ``model/README.md`` is its card.
"""

from pathlib import Path


def folder() -> Path:
    """Give the folder of the model that ships with the package, as Hugging Face reads it.

    Returns
    -------
    Path
        The folder with ``config.json``, ``model.safetensors`` and the tokenizer.
    """
    return Path(__file__).parent / "model"
