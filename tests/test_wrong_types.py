"""What is no rule, game or log is told so at the door, not by a traceback from deep inside."""

import numpy as np
import pytest

import prefdyn
from prefdyn import InputError

TOOLS = {
    "orbit": lambda rule: prefdyn.orbit(rule),
    "ensemble": lambda rule: prefdyn.ensemble(rule),
    "fixed_point": lambda rule: prefdyn.fixed_point(rule),
    "fixed_points": lambda rule: prefdyn.fixed_points(rule),
    "periodic_orbits": lambda rule: prefdyn.periodic_orbits(rule, 2),
    "stability": lambda rule: prefdyn.stability(rule),
    "critical": lambda rule: prefdyn.critical(rule, "beta"),
    "certificates": lambda rule: prefdyn.certificates(rule),
    "verdict": lambda rule: prefdyn.verdict(rule),
    "normal_form": lambda rule: prefdyn.normal_form(rule),
    "transient_growth": lambda rule: prefdyn.transient_growth(rule),
    "continuation": lambda rule: prefdyn.continuation(rule, "beta", (0.1, 1.0)),
    "boundary": lambda rule: prefdyn.boundary(rule, ("beta", "alpha"), ((0.1, 1), (0, 0.9))),
    "orbit_diagram": lambda rule: prefdyn.orbit_diagram(rule, "beta", [0.1]),
    "mode_locking": lambda rule: prefdyn.mode_locking(rule, "beta", [0.1, 0.2]),
    "lyapunov": lambda rule: prefdyn.lyapunov(rule),
    "basins": lambda rule: prefdyn.basins(rule),
    "cures": lambda rule: prefdyn.cures(rule),
}


@pytest.mark.parametrize("name", TOOLS)
@pytest.mark.parametrize("wrong", [None, "mrs_ipo", np.eye(3)], ids=["none", "name", "array"])
def test_what_is_no_rule(name, wrong):
    with pytest.raises(InputError, match=r"^rule is of type .*: give a rule, such as MRSIPO"):
        TOOLS[name](wrong)


def test_what_is_no_game_or_log():
    with pytest.raises(InputError, match=r"^game is of type str: give a PreferenceMatrix"):
        prefdyn.advise("rps:0.4", "ipo", alpha=0.5, lam=1.0, beta=0.2)  # pyright: ignore
    with pytest.raises(InputError, match=r"^log is of type str: read it with read_log"):
        prefdyn.diagnose("trainer_state.json")  # pyright: ignore


@pytest.mark.parametrize("seed", [-1, 0.5])
def test_seeds_are_whole_numbers_from_0_on(seed):
    rule = prefdyn.MRSIPO(prefdyn.games.rock_paper_scissors(0.4), beta=0.5, alpha=0.5, lam=1.0)
    with pytest.raises(InputError, match=r"^seed is .*: it must be a whole number of at least 0"):
        prefdyn.orbit(rule, rounds=2, seed=seed)
