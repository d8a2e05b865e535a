"""Every claim prefdyn makes, as data: what it says, where it comes from, who says so.

The checks live in the repository's ``analysis`` package, outside the wheel; ``python -m analysis``
runs them and prints the verdicts.

Examples
--------
>>> from prefdyn import claims
>>> claims.get("MRS-2").origin
'paper: condition; derived: rate'
"""

import difflib

from prefdyn._errors import InputError
from prefdyn.claims import (
    _adaptive_sampling,
    _bifurcations,
    _cures,
    _diagnosis,
    _displacement,
    _dpo,
    _entanglement,
    _game_solvers,
    _ipo,
    _kernel,
    _laboratory,
    _long_run,
    _pipelines,
    _rounds,
    _slime,
    _spo,
    _squeezing,
)
from prefdyn.claims._claim import ORIGINS, Claim

__all__ = ["ORIGINS", "Claim", "all", "get"]

_READING_ORDER = (
    _ipo,
    _adaptive_sampling,
    _rounds,
    _bifurcations,
    _long_run,
    _dpo,
    _game_solvers,
    _kernel,
    _cures,
    _displacement,
    _squeezing,
    _entanglement,
    _spo,
    _slime,
    _laboratory,
    _diagnosis,
    _pipelines,
)
_CLAIMS = {claim.id: claim for part in _READING_ORDER for claim in part.CLAIMS}


def all() -> tuple[Claim, ...]:
    """Every claim, in reading order: IPO, iterated rounds, DPO, then what gradient steps do."""
    return tuple(_CLAIMS.values())


def get(id: str) -> Claim:
    """The claim with this id, e.g. ``"MRS-5"``; upper and lower case are the same.

    Raises
    ------
    InputError
        For an unknown id; the nearest known ones are suggested.
    """
    wanted = str(id).upper()
    if wanted in _CLAIMS:
        return _CLAIMS[wanted]
    near = difflib.get_close_matches(wanted, _CLAIMS, n=3, cutoff=0)
    raise InputError(f"claim {id!r} is not known: did you mean {', '.join(near)}?")
