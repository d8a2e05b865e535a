"""Names of settings, as TRL 1.16 and transformers 5 have them, and some of earlier versions."""

from pathlib import Path

from prefdyn.games._text import parse_json, read_text

_FILE = Path(__file__).with_name("settings.json")
_known = parse_json(read_text(_FILE), _FILE.name)

COMMON = frozenset(_known["common"])
"""Settings of every trainer, of the model, and of the data set."""
EARLIER = frozenset(_known["earlier"])
"""Settings of earlier versions that say nothing about the dynamics."""
OF_TRAINER: dict[str, frozenset[str]] = {
    trainer: frozenset(names) for trainer, names in _known["trainers"].items()
}
"""Settings of one trainer besides the common ones."""
MARKS = {"nash_md": "mixture_coef", "xpo": "alpha"}
"""Settings without which a file is one of the trainer that these two, of TRL before 1, extend."""
REPLACED = {
    "rpo_alpha": "of earlier TRL; now loss_type: [sigmoid, sft], loss_weights: [1, rpo_alpha]",
    "reference_free": "of earlier TRL; a DPO loss without reference is not translated",
}
"""Settings of the DPO trainer that changed its loss in earlier versions."""
ROUNDS = ("num_iterations", "num_rounds", "iterations", "rounds")
"""What scripts around a trainer call the number of rounds; TRL has no such setting."""
