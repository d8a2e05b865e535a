"""Run twice, elsewhere, with other orders of sets: the same seed gives the same bits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reliability.conftest import COMMANDS, furnish, result

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RECIPE = "rps:0.4 --beta 0.15 --alpha 0.5 --lam 1"
LINES = COMMANDS | {
    "orbit": f"orbit {RECIPE} --votes 20 --rounds 300 --seed 5 --csv out/x.csv --plot out/x.svg "
    "--json",
    "stability": f"stability {RECIPE} --json",
    "validate": "validate --model model --size quick --only squeezing --workers 1 --out out",
}
PYTHON = {
    "ensemble": """
import numpy as np
from prefdyn import MRSIPO, ensemble
from prefdyn.games import rock_paper_scissors
from prefdyn.rules import FiniteSample
rule = FiniteSample(MRSIPO(rock_paper_scissors(0.4), beta=np.linspace(0.05, 1, 20), alpha=0.5,
                           lam=1.0), 20)
found = ensemble(rule, rounds=200, seed=3, reducers=("entropy", "cycle_strength"))
np.savez("out/found.npz", **found)
""",
    "claims": """
import json, sys
sys.path.insert(0, {root!r})
from analysis import _cache
from pathlib import Path
_cache.CACHE = Path("cache").absolute()
from analysis import run
found = run(["MRS-4", "MRS-5", "DISP-1"], seed=2)
for record in [*found, *(check for claim in found for check in claim["checks"])]:
    record["seconds"] = 0
json.dump(found, open("out/claims.json", "w"), default=str)
""",
    "figures": """
import sys
sys.path.insert(0, {root!r})
import numpy as np
from figures import plot_onset, plot_policy_paths
for module in (plot_onset, plot_policy_paths):
    np.savez(f"out/{{module.__name__}}.npz", **module.compute(4))
""",
}


def twice(words: list[str], tmp_path: Path, model: Path) -> tuple[dict, dict]:
    """What two fresh processes write and print."""
    found = []
    for seed, name in (("1", "one"), ("77", "another folder")):
        room = furnish(tmp_path / name, model)
        (room / "out").mkdir()
        ended = subprocess.run(
            words,
            cwd=room,
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            timeout=600,
            check=True,
        )
        found.append(result(room / "out") | {"printed": ended.stdout})
    return found[0], found[1]


def differences(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    assert one.keys() == other.keys()
    return [name for name in one if one[name] != other[name]]


@pytest.mark.parametrize("name", [name for name in LINES if name != "validate"])
def test_commands(name, tmp_path, model):
    words = [sys.executable, "-m", "prefdyn", *LINES[name].split()]
    assert differences(*twice(words, tmp_path, model)) == []


@pytest.mark.parametrize("name", PYTHON)
def test_ensembles_claims_and_figures(name, tmp_path, model):
    script = PYTHON[name]
    script = script.format(root=str(ROOT)) if "{root" in script else script
    assert differences(*twice([sys.executable, "-c", script], tmp_path, model)) == []


def test_validation_but_for_its_seconds(tmp_path, model):
    words = [sys.executable, "-m", "prefdyn", *LINES["validate"].split()]
    one, other = twice(words, tmp_path, model)
    assert set(differences(one, other)) <= {"squeezing.json", "model.json", "printed"}
    for part in ("validation.json", "squeezing.svg", "squeezing.png"):
        assert one[part] == other[part]
