"""Damaged stores of sweeps: the same map as before, or a sentence."""

import random
import shutil
import warnings

import pytest
import xarray

from prefdyn import MRSIPO, InputError, sweep
from prefdyn.games import rock_paper_scissors
from tests.fuzz.mutate import mutated

RULE = MRSIPO(rock_paper_scissors(0.4), beta=0.5, alpha=0.5, lam=1.0)
STORES = 400
"""Damaged ones; each is resumed."""


def swept(out):
    axes = {"beta": [0.2, 0.5], "alpha": [0.0, 0.5]}
    return sweep(RULE, axes, ["entropy"], rounds=20, out=out, work=1, resume=out.exists())


def damaged(folder, rng):
    """The folder with one of its files damaged, or gone."""
    file = rng.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    if rng.random() < 0.1:
        file.unlink()
    else:
        file.write_bytes(mutated([file.read_bytes()], rng))
    return file.relative_to(folder)


@pytest.mark.slow
def test_a_damaged_store_is_refused_or_gives_the_same_map(tmp_path):
    good = tmp_path / "good.zarr"
    whole = swept(good).load()
    rng, refused = random.Random(0), 0
    for number in range(STORES):
        out = shutil.copytree(good, tmp_path / "map.zarr")
        hurt = damaged(out, rng)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                found = swept(out).load()
        except InputError:
            refused += 1
        except Exception as error:
            raise AssertionError(f"store {number}, {hurt}") from error
        else:
            xarray.testing.assert_identical(found.drop_attrs(), whole.drop_attrs())
        shutil.rmtree(out)
    assert 0 < refused < STORES
