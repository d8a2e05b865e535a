"""The configuration of a sweep, as a TOML file.

Settings, all with defaults, come first::

    rounds = 3000                     # of every run
    burn_in = 0.3333                  # share of the rounds to discard
    seed = 0
    work = 2e8                        # updated log-probabilities in a block
    reducers = ["entropy", "spectral_radius", "critical:beta"]

    [rule]
    id = "mrs_ipo"                    # of prefdyn.rules.names(); or factory = "module:function"
    game = "rps:0.4"                  # a name or a file, as everywhere
    alpha = 0.5                       # its other parameters; a table with an id is a rule
    lam = 1.0                         # (or objective) inside

    [axes]                            # what varies: a parameter by its path, start, repeat
    beta = { from = 0.05, to = 2.0, number = 200, spacing = "log" }
    lam = [0.25, 0.5, 1.0]
    game = ["rps:0.4", "cycle:3:0.2"] # of one size
    start = { random = 10, seed = 1 } # uniform on the simplex; or a list of policies
    repeat = 5                        # of a rule that draws random numbers

    [questions]                       # more to record: functions of the rule
    drift = "module:function"

A parameter that an axis gives need not stand under ``[rule]``.  Modules are looked for beside the
configuration, too.  The names are those of `prefdyn.sweep`.
"""

import importlib
import inspect
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from prefdyn._errors import InputError
from prefdyn._inputs import count, nearest

SETTINGS = {
    "rounds": (int,),
    "burn_in": (int, float),
    "seed": (int,),
    "work": (int, float),
    "reducers": (list,),
}
TABLES = ("rule", "axes", "questions")
SPACED = ("from", "to", "number", "spacing")
DESCRIBED = ("long_name", "units")
LARGEST = 1e100
MOST = 10_000_000
"""Values of an axis; more is a slip of the pen, and would be made before anybody is asked."""


def read_config(path: Path) -> dict[str, Any]:
    """The arguments of `prefdyn.sweep` that a file describes.

    Raises
    ------
    InputError
        In one sentence that names the file and the key.
    """
    from prefdyn.games._text import parse_toml, read_text

    config = parse_toml(read_text(path), str(path))
    try:
        return _arguments(config, path.parent)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _arguments(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    _known("the file", config, [*SETTINGS, *TABLES])
    for name in ("rule", "axes"):
        if not config.get(name):
            raise InputError(f"there is no table [{name}], or it is empty: write one.")
    for name in TABLES:
        if not isinstance(config.get(name, {}), dict):
            raise InputError(f"{name} is no table: write [{name}] above its keys.")
    settings = {name: config[name] for name in SETTINGS if name in config}
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, SETTINGS[name]):
            kinds = {int: "a whole number", float: "a number", list: "a list"}
            raise InputError(f"{name} is {value!r}: it must be {kinds[SETTINGS[name][-1]]}.")
    given = dict(_flat(config["axes"]))
    axes = {name: _axis(name, value) for name, value in given.items() if name != "start"}
    factory = _rule(config["rule"], "rule", _firsts(axes), folder)
    if "start" in given:
        axes["start"] = _starts(given["start"], factory, axes)
    asked = {name: _imported(text, folder) for name, text in config.get("questions", {}).items()}
    if asked or "reducers" in settings:
        from prefdyn._sweep.sweep import REDUCERS

        names = settings.pop("reducers", list(REDUCERS))
        settings["reducers"] = [*names, *(_named(name, ask) for name, ask in asked.items())]
    return {"rule_factory": factory, "axes": {name: axes[name] for name in given}, **settings}


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """The axes by path: TOML reads an unquoted ``objective.beta`` as a table in a table."""
    for name, value in table.items():
        nested = (
            isinstance(value, dict)
            and value
            and all(isinstance(inner, (dict, list)) for inner in value.values())
        )
        if nested and not {"values"} & set(value):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _axis(name: str, given: Any) -> Any:
    """The values of an axis, described if the file does."""
    import numpy as np

    from prefdyn._sweep.axes import Axis

    if not isinstance(given, dict):
        return given
    where = f"[axes] {name}"
    _known(where, given, ["values", *SPACED, *DESCRIBED])
    described = {key: str(given[key]) for key in DESCRIBED if key in given}
    if "values" in given:
        if set(given) & set(SPACED):
            raise InputError(f"{where} has values and a range: give one of them.")
        return Axis(given["values"], **described)
    missing = [key for key in SPACED[:3] if key not in given]
    if missing:
        raise InputError(f"{where} lacks {', '.join(missing)}: give a list, or from, to, number.")
    first, last = (_number(given[key], f"{where}.{key}") for key in SPACED[:2])
    number = _many(given["number"], f"{where}.number")
    spacing = given.get("spacing", "linear")
    if spacing not in ("linear", "log"):
        raise InputError(f"{where}.spacing is {spacing!r}: choose linear or log.")
    if spacing == "log" and not min(first, last) > 0:
        raise InputError(f"{where} is spaced by its logarithm: let from and to be above 0.")
    spaced = np.geomspace if spacing == "log" else np.linspace
    return Axis(spaced(first, last, number), **described)


def _starts(given: Any, factory: Any, axes: Mapping[str, Any]) -> Any:
    """Starts as a list of policies, or drawn uniformly from the simplex."""
    import numpy as np

    from prefdyn.rules import Rule

    if not isinstance(given, dict):
        return given
    _known("[axes] start", given, ["random", "seed"])
    number = _many(given.get("random"), "[axes] start.random")
    seed = count(given.get("seed", 0), "[axes] start.seed", least=0)
    rule = factory if isinstance(factory, Rule) else factory(**_firsts(axes))
    return np.random.default_rng(seed).dirichlet(np.ones(rule.K), number)


def _firsts(axes: Mapping[str, Any]) -> dict[str, Any]:
    """The first value of every axis of a parameter."""
    from prefdyn._sweep.axes import read

    lines = read(axes) if axes else ()
    return {line.name: line.part(slice(1)).only() for line in lines if line.is_parameter}


def _rule(table: Any, where: str, firsts: Mapping[str, Any], folder: Path) -> Any:
    """The rule of a table, with rules and objectives inside it; or a factory."""
    from prefdyn import games, objectives, rules

    given = dict(table)
    if "factory" in given:
        function = _imported(given.pop("factory"), folder)
        return partial(function, **given) if given else function
    if "id" not in given:
        raise InputError(f"[{where}] has no id: give one of {', '.join(rules.names())}.")
    id = given.pop("id")
    make = rules.get(id)
    parameters = inspect.signature(make).parameters
    _known(f"[{where}] {id}", given, list(parameters))
    for name, value in given.items():
        if name == "game" and isinstance(value, str):
            given[name] = games.load(value)
        elif name == "objective" and isinstance(value, dict):
            settings = dict(value)
            given[name] = objectives.get(settings.pop("id", ""), **settings)
        elif isinstance(value, dict) and "id" in value:
            given[name] = _rule(value, f"{where}.{name}", firsts, folder)
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and name not in given
    ]
    given |= {name: firsts[name] for name in missing if name in firsts}
    lacking = [name for name in missing if name not in given]
    if lacking:
        raise InputError(
            f"[{where}] {id} lacks {', '.join(lacking)}: give a value, or an axis of that name."
        )
    return make(**given)


def _imported(text: Any, folder: Path) -> Any:
    """What ``module:name`` names; modules beside the configuration are sent along to workers."""
    module, _, name = text.partition(":") if isinstance(text, str) else ("", "", "")
    if not module or not name:
        raise InputError(f"{text!r} names no function: write it as module:function.")
    here = str(folder.resolve())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = importlib.import_module(module)
        function = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{text!r} cannot be imported: {error}.") from None
    if Path(getattr(found, "__file__", None) or "").parent == folder.resolve():
        import cloudpickle

        cloudpickle.register_pickle_by_value(found)
    return function


def _named(name: str, ask: Any) -> Any:
    from dataclasses import replace

    from prefdyn._sweep.questions import Question

    return replace(ask, name=name) if isinstance(ask, Question) else Question(ask, name=name)


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < LARGEST:
        raise InputError(f"{what} is {value!r}: it must be a number below {LARGEST:g}.")
    return float(value)


def _many(value: Any, what: str) -> int:
    """How many values an axis has, where the file does not list them."""
    number = count(value, what)
    if number > MOST:
        raise InputError(f"{what} is {number}: an axis has at most {MOST:,} values.")
    return number


def _known(where: str, given: Iterable[str], known: list[str]) -> None:
    for key in given:
        if key not in known:
            raise InputError(
                f"{where} has no key {key!r}{nearest(key, known)}: it takes {', '.join(known)}."
            )
