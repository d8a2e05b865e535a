"""Configuration files of trainers: which settings they give, and for which trainer."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefdyn._errors import InputError
from prefdyn._inputs import choice, nearest
from prefdyn.games._text import parse_json, parse_toml, read_text
from prefdyn.pipeline._names import COMMON, EARLIER, MARKS, OF_TRAINER, REPLACED, ROUNDS

LARGEST = 100_000
"""Bytes of the largest file that is read: a configuration has a few thousand."""
BRACKETS = 1000
"""Most opening brackets of a YAML file, whose parser takes a second for each thousand in a row."""
KNOWN = frozenset().union(COMMON, EARLIER, ROUNDS, *OF_TRAINER.values())
LOSSES = {
    "kto": ("kto", "apo_zero_unpaired"),
    "cpo": ("sigmoid", "hinge", "ipo", "simpo"),
    "tpo": ("sigmoid", "hinge", "ipo", "tpo-l"),
    **dict.fromkeys(("online_dpo", "nash_md", "xpo"), ("sigmoid", "ipo")),
}
"""Losses that tell trainers apart; those of the DPO trainer are checked when it is translated."""


@dataclass(frozen=True)
class Config:
    """What a configuration file says.

    Attributes
    ----------
    source : str
        The file.
    trainer : str
        ``"dpo"``, ``"cpo"``, ``"kto"``, ``"orpo"``, ``"tpo"``, ``"online_dpo"``, ``"nash_md"`` or
        ``"xpo"``.
    settings : mapping
        Name to value, of the settings that this trainer has.
    unknown : mapping
        Names that this trainer does not have, each with a hint (possibly empty) at what was meant.
    """

    source: str
    trainer: str
    settings: Mapping[str, Any]
    unknown: Mapping[str, str]


def read_config(path: str | Path, trainer: str | None = None) -> Config:
    """Read the settings of a trainer: YAML (``trl dpo --config``), JSON (``to_dict``) or TOML.

    Sections of the file that hold settings of a trainer are read as if they stood at the top.

    Parameters
    ----------
    path
        File whose name ends in .yaml, .yml, .json or .toml.
    trainer
        Which of TRL's trainers it is for; by default the one that has all its settings.

    Raises
    ------
    InputError
        For a file that cannot be read or is no mapping, a setting that is given twice, or where
        the settings fit no trainer or several.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "dpo.json"
    >>> _ = path.write_text('{"beta": 0.1, "ld_alpha": 0.5}')
    >>> read_config(path).trainer
    'dpo'
    """
    path = Path(path)
    found = _flat(_parsed(path), path.name)
    if trainer is None:
        trainer = _fitting(found, path.name)
    choice(trainer, OF_TRAINER, "trainer")
    own = COMMON | EARLIER | OF_TRAINER[trainer] | set(ROUNDS)
    return Config(
        str(path),
        trainer,
        {name: value for name, value in found.items() if name in own},
        {name: _hint(name, trainer, own) for name in found if name not in own},
    )


def _parsed(path: Path) -> Mapping[Any, Any]:
    kinds = {".yaml": _yaml, ".yml": _yaml, ".json": parse_json, ".toml": parse_toml}
    if path.suffix.lower() not in kinds:
        raise InputError(
            f"{path.name} is not a known kind of configuration: let its name end in "
            f"{', '.join(kinds)}."
        )
    if path.is_file() and path.stat().st_size > LARGEST:
        raise InputError(f"{path.name} has more than {LARGEST:,} bytes: give a configuration file.")
    data = kinds[path.suffix.lower()](read_text(path), path.name)
    if not isinstance(data, Mapping):
        raise InputError(f"{path.name} holds no settings: write them as NAME: VALUE.")
    return data


def _yaml(text: str, name: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise InputError(
            f"{name} is YAML, which needs PyYAML: pip install pyyaml, or write it as JSON."
        ) from None
    if text.count("[") + text.count("{") > BRACKETS:
        raise InputError(f"{name} is not YAML of settings (too many brackets); repair it.")
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise InputError(f"{name}{where} is not YAML ({what}); repair it.") from None


def _flat(data: Mapping[Any, Any], name: str) -> dict[str, Any]:
    """Settings, also those in sections."""
    found: dict[str, Any] = {}
    for key, value in data.items():
        section = isinstance(value, Mapping) and key not in KNOWN and not KNOWN.isdisjoint(value)
        for setting, given in value.items() if section else ((key, value),):
            if str(setting) in found and found[str(setting)] != given:
                raise InputError(f"{name} gives {setting} twice, and not the same: keep one.")
            found[str(setting)] = given
    return found


def _fitting(found: Mapping[str, Any], name: str) -> str:
    """The trainer that has all the settings, and this loss."""
    given = {setting for setting in found if setting in KNOWN - COMMON - EARLIER - set(ROUNDS)}
    lacking = {
        trainer: sorted(given - own)
        for trainer, own in OF_TRAINER.items()
        if MARKS.get(trainer, "beta") in found.keys() | {"beta"}
        and _has_loss(trainer, found.get("loss_type"))
    }
    fitting = [trainer for trainer, names in lacking.items() if not names]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise InputError(
            f"the settings of {name} fit several of TRL's trainers: give the trainer that it is "
            f"for, as trainer= or --trainer ({', '.join(fitting)})."
        )
    close = min(lacking, key=lambda trainer: len(lacking[trainer]), default=None)
    but = f" (nearest: {close}, without {', '.join(lacking[close][:3])})" if close else ""
    raise InputError(
        f"no single trainer of TRL has all the settings of {name}{but}: give the trainer that it "
        f"is for, as trainer= or --trainer ({', '.join(OF_TRAINER)})."
    )


def _has_loss(trainer: str, loss: Any) -> bool:
    kinds = [str(kind) for kind in (loss if isinstance(loss, list) else [loss])]
    if trainer in LOSSES:
        return loss is None or (len(kinds) == 1 and kinds[0] in LOSSES[trainer])
    return not {"kto", "simpo", "tpo-l"} & set(kinds)


def _hint(name: str, trainer: str, own: frozenset[str] | set[str]) -> str:
    if trainer == "dpo" and name in REPLACED:
        return f" ({REPLACED[name]})"
    others = [other for other, theirs in OF_TRAINER.items() if name in theirs]
    return f" (a setting of {', '.join(others)})" if others else nearest(name, own)
