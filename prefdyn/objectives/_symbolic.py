"""An objective as formulas: the same `loss`, evaluated on symbols."""

from typing import Any, NamedTuple

import numpy as np
import sympy

from prefdyn._errors import InputError
from prefdyn.objectives._objective import Objective, Stats
from prefdyn.objectives._pair import FIELDS, TOKEN_FIELDS, Pair
from prefdyn.objectives._primitives import namespace

_LATEX = {
    "chosen": r"\ell_w",
    "rejected": r"\ell_l",
    "ref_chosen": r"r_w",
    "ref_rejected": r"r_l",
    "chosen_length": r"n_w",
    "rejected_length": r"n_l",
    "chosen_win_rate": r"P_w",
    "rejected_win_rate": r"P_l",
    "gold": r"\ell_g",
    "gold_length": r"n_g",
    "lam": r"\lambda",
}


class Symbolic(NamedTuple):
    """An objective as sympy expressions in the symbols of `pair`, `parameters` and `statistics`.

    The pushes are expressions, or for a token-level objective tuples with one for each token.
    Values that the gradient does not see through are wrapped in ``sg`` in the loss, which
    differentiates to 0 and evaluates to what it wraps.
    """

    loss: Any
    chosen_push: Any
    rejected_push: Any
    pair: Pair
    parameters: dict[str, Any]
    statistics: dict[str, Any]

    def latex(self) -> dict[str, str]:
        """LaTeX of ``"loss"``, ``"chosen_push"`` and ``"rejected_push"``, by name."""
        names = {symbol: _LATEX[str(symbol)] for symbol in self.symbols if str(symbol) in _LATEX}
        parts = {name: getattr(self, name) for name in ("loss", "chosen_push", "rejected_push")}
        return {name: sympy.latex(part, symbol_names=names) for name, part in parts.items()}

    def values(self, objective: Objective, pair: Pair, stats: Stats | None = None) -> dict:
        """Numbers for all symbols: of an objective, one pair of numbers, and statistics."""
        numbers = dict(zip(self.parameters.values(), objective.numbers().values(), strict=True))
        for name, symbols in self.pair.given().items():
            if getattr(pair, name) is None:
                continue
            entries = np.ravel(getattr(pair, name))
            symbols = np.ravel(np.array(symbols, dtype=object))
            numbers |= {s: e for s, e in zip(symbols, entries, strict=True) if s in self.symbols}
        stats = _flat(stats or objective.initial_stats())
        return numbers | {symbol: stats[name] for name, symbol in self.statistics.items()}

    @property
    def symbols(self) -> set:
        """The symbols that occur."""
        return sympy.Tuple(self.loss, self.chosen_push, self.rejected_push).free_symbols


def symbolic(objective: Objective, lengths: tuple[int, int]) -> Symbolic:
    """See `Objective.symbolic`."""
    if objective.couples_rows:
        raise InputError(
            f"objective {objective.id!r} has no symbolic form because it sorts the batch: "
            "use pushes(pair)."
        )
    parameters = {name: _symbol(name, positive=True) for name in objective.numbers()}
    initial = _flat(objective.initial_stats())
    statistics = {name: _symbol(name, real=True) for name in initial}
    free = objective.with_numbers(parameters)
    pair = _pair_of_symbols(lengths if objective.token_level else None)
    loss = free.loss(pair, xp=namespace("sympy"), stats=_nested(statistics) or None)
    sides = (pair.chosen_tokens, pair.rejected_tokens)
    if not objective.token_level:
        sides = (pair.chosen, pair.rejected)
    chosen, rejected = (_gradient(loss, by) for by in sides)
    chosen = tuple(-part for part in chosen) if isinstance(chosen, tuple) else -chosen
    return Symbolic(loss, chosen, rejected, pair, parameters, statistics)


def _gradient(loss: Any, by: Any) -> Any:
    if isinstance(by, np.ndarray):
        return tuple(_gradient(loss, symbol) for symbol in by)
    marker = namespace("sympy").stop_gradient
    return sympy.diff(loss, by).replace(marker, lambda value: value)


def _symbol(name: str, **assumptions: bool) -> sympy.Symbol:
    outer, _, inner = name.replace("terms.", "").rpartition(".")
    return sympy.Symbol(f"{inner}_{outer}" if outer else inner, **assumptions)


def _pair_of_symbols(lengths: tuple[int, int] | None) -> Pair:
    """Symbols for all fields; with lengths, of all tokens, and their sums follow from them."""
    fields: dict[str, Any] = {
        name: sympy.Symbol(name, real=True, positive=name.endswith("_length") or None)
        for name in FIELDS
        if name not in TOKEN_FIELDS and not name.startswith("gold")
    }
    if lengths is None:
        return Pair(**fields)
    for side, length in zip(("chosen", "rejected"), lengths, strict=True):
        for name in (f"{side}_tokens", f"ref_{side}_tokens", f"{side}_log_sum_p2"):
            symbols = [sympy.Symbol(f"{name}_{t}", real=True) for t in range(1, length + 1)]
            fields[name] = np.array(symbols, dtype=object)
        fields[side] = fields[f"{side}_tokens"].sum()
        fields[f"ref_{side}"] = fields[f"ref_{side}_tokens"].sum()
        fields[f"{side}_length"] = length
    return Pair(**fields)


def _flat(stats: Stats | None, prefix: str = "") -> dict[str, Any]:
    found = {}
    for name, value in (stats or {}).items():
        found |= (
            _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
        )
    return found


def _nested(flat: dict[str, Any]) -> Stats:
    stats: Stats = {}
    for name, value in flat.items():
        *outer, last = name.split(".")
        inner = stats
        for key in outer:
            inner = inner.setdefault(key, {})
        inner[last] = value
    return stats
