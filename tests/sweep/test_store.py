"""The store: interrupted anywhere and resumed, it holds the same bits; another's is refused."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

import prefdyn
from prefdyn import InputError, sweep
from prefdyn._sweep import blocks_done
from prefdyn._sweep import store as stores
from prefdyn._sweep.blocks import Grid, cut
from prefdyn.games import rock_paper_scissors
from tests.sweep.shaken import Shaken, long_sweep

ROOT = Path(__file__).parents[2]
RULE = prefdyn.MRSIPO(rock_paper_scissors(0.4), beta=0.5, alpha=0.5, lam=1.0)


AXES: dict[str, Any] = {"size": [0.1, 0.5, 1.0, 2.0], "repeat": 2}
SETTINGS: dict[str, Any] = {"rounds": 20, "reducers": ["last_policy", "entropy"], "work": 1}


def swept(out=None, **changes):
    """A sweep of a noisy rule, one block for each point."""
    return sweep(Shaken(1.0), AXES, out=out, **(SETTINGS | changes))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The store of a sweep that was not interrupted."""
    out = tmp_path_factory.mktemp("sweep") / "map.zarr"
    swept(out)
    return out


@pytest.fixture(scope="module")
def whole(finished):
    """Its map."""
    return xarray.open_zarr(finished).load()


@pytest.fixture
def out(tmp_path, finished):
    """A copy of the store, to be mistreated."""
    return shutil.copytree(finished, tmp_path / "map.zarr")


def same(found, expected) -> bool:
    """Equal to the bit, but for when and by which command it was made."""
    return found.drop_attrs().identical(expected.drop_attrs()) and bool(
        found.entropy.notnull().all()
    )


class Killed(BaseException):
    """As sudden as a kill, for the code that it goes through."""


@pytest.mark.parametrize("moment", ["before", "between arrays", "before the mark", "after"])
def test_killed_anywhere_in_a_block_it_goes_on_to_the_same_bits(
    tmp_path, monkeypatch, whole, moment
):
    write, marked, calls = stores.Store.write, stores.write_atomically, []

    def dying_write(store, index, arrays, *more):
        if index < 3:
            return write(store, index, arrays, *more)
        if moment == "between arrays":
            write_some = {"entropy": arrays["entropy"] * np.nan}
            monkeypatch.setattr(stores, "write_atomically", die)
            return write(store, index, write_some, *more)
        if moment == "before the mark":
            monkeypatch.setattr(stores, "write_atomically", die)
        if moment == "before":
            die()
        write(store, index, arrays, *more)
        raise Killed

    def die(*_):
        calls.append(moment)
        raise Killed

    monkeypatch.setattr(stores.Store, "write", dying_write)
    with pytest.raises(Killed):
        swept(tmp_path / "map.zarr")
    monkeypatch.setattr(stores.Store, "write", write)
    monkeypatch.setattr(stores, "write_atomically", marked)
    assert blocks_done(tmp_path / "map.zarr") == 3 + (moment == "after")
    begun = xarray.open_zarr(tmp_path / "map.zarr")
    assert begun.attrs["complete"].startswith("no")
    assert int(begun.entropy.isnull().sum()) >= 4
    found = swept(tmp_path / "map.zarr", resume=True)
    assert same(found, whole)
    assert same(xarray.open_zarr(tmp_path / "map.zarr").load(), whole)


SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from tests.sweep.shaken import long_sweep
if __name__ == "__main__":
    long_sweep({out!r}, workers={workers})
"""


def killed(tmp_path, workers: int) -> int:
    """Start the long sweep in another process, kill it in mid-run, and say how much it had done."""
    out = tmp_path / "map.zarr"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(root=str(ROOT), out=str(out), workers=workers))
    with subprocess.Popen([sys.executable, str(script)], cwd=ROOT) as process:
        while blocks_done(out) < 4:
            assert process.poll() is None, "ended before it could be killed"
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    return blocks_done(out)


def test_killed_by_the_system_it_goes_on_to_the_same_bits(tmp_path):
    done = killed(tmp_path, workers=1)
    assert 4 <= done < 24
    found = long_sweep(tmp_path / "map.zarr", resume=True)
    assert same(found, long_sweep())


@pytest.mark.slow
def test_workers_end_with_the_process_that_started_them(tmp_path):
    killed(tmp_path, workers=2)
    time.sleep(2)
    done = blocks_done(tmp_path / "map.zarr")
    time.sleep(2)
    assert blocks_done(tmp_path / "map.zarr") == done < 24
    assert same(long_sweep(tmp_path / "map.zarr", resume=True, workers=2), long_sweep())


def test_the_order_of_the_blocks_and_their_neighbours_do_not_matter(out, whole):
    for index in (0, 3, 7):
        (out / "sweep" / f"{index}.json").unlink()
    assert same(swept(out, resume=True), whole)


def test_a_store_that_is_there_is_not_touched_unless_told(out):
    with pytest.raises(InputError, match=r"map\.zarr exists: resume to go on with it"):
        swept(out)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seed": 1}, "its seed is 0, not 1"),
        ({"rounds": 21}, "its rounds is 20, not 21"),
        ({"burn_in": 0.5}, "its burn_in is 0.33"),
        ({"reducers": ["last_policy"]}, 'its reducers is ["last_policy", "entropy"]'),
        ({"reducers": ["last_policy", "entropy", "spectral_radius"]}, "its questions is {}"),
        ({"work": 1e5}, "its block is [1, 1]"),
    ],
)
def test_another_sweeps_store_is_refused(finished, changes, sentence):
    with pytest.raises(InputError) as refusal:
        swept(finished, resume=True, **changes)
    assert sentence in str(refusal.value)
    assert str(refusal.value).count(".zarr belongs to another sweep: ") == 1


def test_another_rule_axis_or_version_is_refused(tmp_path, monkeypatch):
    out = tmp_path / "map.zarr"
    sweep(RULE, {"beta": [0.1, 0.2]}, rounds=20, out=out)
    with pytest.raises(InputError, match="its fingerprint is"):
        sweep(RULE.replace(lam=0.5), {"beta": [0.1, 0.2]}, rounds=20, out=out, resume=True)
    with pytest.raises(InputError, match=r'its axis beta is "2 values, '):
        sweep(RULE, {"beta": [0.1, 0.3]}, rounds=20, out=out, resume=True)
    monkeypatch.setattr("prefdyn._sweep.prepare.versions", lambda: {"numpy": "0"})
    with pytest.raises(InputError, match="its versions is"):
        sweep(RULE, {"beta": [0.1, 0.2]}, rounds=20, out=out, resume=True)


def test_a_changed_question_is_another_sweep(tmp_path):
    out = tmp_path / "map.zarr"
    sweep(RULE, {"beta": [0.1]}, {"x": lambda rule: 1.0}, rounds=20, out=out)
    sweep(RULE, {"beta": [0.1]}, {"x": lambda rule: 1.0}, rounds=20, out=out, resume=True)
    with pytest.raises(InputError, match="its questions is"):
        sweep(RULE, {"beta": [0.1]}, {"x": lambda rule: 2.0}, rounds=20, out=out, resume=True)


def test_axes_in_another_order_are_another_sweep(tmp_path):
    out, size, starts = tmp_path / "map.zarr", [0.1, 1.0], [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]
    sweep(RULE, {"beta": size, "start": starts}, rounds=20, work=1, out=out)
    with pytest.raises(InputError, match=r'its axes is \["beta", "start"\]'):
        sweep(RULE, {"start": starts, "beta": size}, rounds=20, work=1, out=out, resume=True)


ELSEWHERE = """
import sys
from prefdyn import MRSIPO, LogitRule, sweep
from prefdyn.games import rock_paper_scissors

class Held:
    def __init__(self, size):
        self.size = size
    def __call__(self, rule):
        return self.size if rule.K in {1, 2, 3, 5, 8} and "x" in {"x", "stable", "flip"} else 0.0

class Scheduled(LogitRule):
    K = 3
    def __init__(self, how):
        self.how = how
    def update(self, theta):
        return self.how(theta)

def enclosing(limit):
    return lambda rule: limit if "x" in {"x", "stable", "flip", "fold"} else 0.0

axes = {"how": [lambda theta: 0.5 * theta, lambda theta: 0.2 * theta]}
asked = {"held": Held(float(sys.argv[2])), "enclosed": enclosing(float(sys.argv[3]))}
rule = Scheduled(lambda theta: theta)
sweep(rule, axes, asked, rounds=20, out=sys.argv[1], resume=True)
"""


@pytest.mark.slow
def test_functions_are_known_again_in_another_process(tmp_path):
    def run(*numbers: str) -> str:
        command = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "map.zarr"), *numbers]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stderr

    for _ in range(3):  # each with a seed of its own for the order of sets
        assert run("1", "2") == ""
    assert "its questions is" in run("3", "2")
    assert "its questions is" in run("1", "3")


def chunk(out: Path) -> Path:
    """The file of one block's entropy."""
    return out / "entropy" / "c" / "1" / "0"


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped", "swapped"])
def test_a_damaged_block_is_refused_and_can_be_computed_again(out, whole, damage):
    before = chunk(out).read_bytes()
    if damage == "missing":
        chunk(out).unlink()
    elif damage == "truncated":
        chunk(out).write_bytes(before[:5])
    elif damage == "flipped":
        chunk(out).write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    else:  # sound, but of another block
        chunk(out).write_bytes((out / "entropy" / "c" / "2" / "1").read_bytes())
    with pytest.raises(InputError, match="is damaged: block 2 is not what was written") as refusal:
        swept(out, resume=True)
    mark = out / "sweep" / "2.json"
    assert f"delete {mark}" in str(refusal.value)
    mark.unlink()
    assert same(swept(out, resume=True), whole)


@pytest.mark.parametrize("damage", ["{", "{}", "[1]", ""])
def test_a_damaged_mark_or_description_is_refused(out, damage):
    mark = out / "sweep" / "3.json"
    whole_mark = mark.read_text()
    mark.write_text(damage)
    with pytest.raises(InputError, match=r"3\.json is damaged"):
        swept(out, resume=True)
    mark.write_text(whole_mark)
    (out / "sweep" / "99.json").write_text(whole_mark)
    with pytest.raises(InputError, match="marks a block 99 as done, but has 8 blocks"):
        swept(out, resume=True)
    (out / "sweep" / "zarr.json").write_text(damage)
    with pytest.raises(InputError, match="is no store of a sweep, or its description is damaged"):
        swept(out, resume=True)


@pytest.mark.parametrize("name", ["entropy", "size"])
def test_a_damaged_array_is_refused_by_the_name_of_its_file(out, name):
    (out / name / "zarr.json").write_text('{"dig')
    with pytest.raises(InputError, match=rf"{name}/zarr\.json is missing or damaged"):
        swept(out, resume=True)


def test_a_folder_that_cannot_be_made_is_named_and_nothing_else_is_gone_on_with(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is a file: give a folder to write to"):
        swept(tmp_path / "file" / "map.zarr")
    with pytest.raises(InputError, match="file is no store of a sweep"):
        swept(tmp_path / "file")


def test_a_store_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    def fail(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(stores, "_consolidate", fail)
    with pytest.raises(OSError, match="No space left"):
        swept(tmp_path / "map.zarr")
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_plain_zarr_with_a_chunk_for_each_block(tmp_path):
    out = tmp_path / "map.zarr"
    sweep(RULE, {"beta": np.linspace(0.1, 1, 10), "lam": [0.5, 1.0]}, rounds=20, out=out, work=400)
    opened = xarray.open_zarr(out)
    assert dict(opened.entropy.chunksizes) == {"beta": (3, 3, 3, 1), "lam": (2,)}
    assert json.loads((out / "entropy" / "zarr.json").read_text())["zarr_format"] == 3


def test_a_large_map_is_opened_not_read(out, monkeypatch):
    module = sys.modules["prefdyn._sweep.sweep"]  # the function has the module's name
    monkeypatch.setattr(module, "LOADED", 0)
    assert swept(out, resume=True).chunks
    monkeypatch.setattr(module, "KEPT_NOWHERE", 0)
    with pytest.raises(InputError, match="give out, the folder to keep it in"):
        swept()


def test_blocks_cover_the_grid_once_and_are_no_larger_than_asked():
    rng = np.random.default_rng(0)
    for _ in range(50):
        shape = tuple(map(int, rng.integers(1, 9, size=3)))
        most = int(rng.integers(1, 40))
        grid = cut(shape, most, rng.permutation(3).tolist())
        assert np.prod(grid.block) <= most
        seen = np.zeros(shape, dtype=int)
        for index in range(len(grid)):
            seen[grid.where(index)] += 1
        assert np.all(seen == 1)
    assert cut((10, 4), 8, [1, 0]) == Grid((10, 4), (2, 4))
