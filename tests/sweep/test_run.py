"""Who computes the blocks makes no difference to a bit, even if some of them die on the way."""

import os
import signal
import sys
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import prefdyn
from prefdyn import InputError, sweep
from prefdyn._sweep import blocks_done, run
from prefdyn.games import rock_paper_scissors
from prefdyn.rules import FiniteSample
from tests.sweep.shaken import Shaken
from tests.sweep.test_store import same

AXES: dict[str, Any] = {"size": np.linspace(0.1, 1.0, 5), "repeat": 2}
SETTINGS: dict[str, Any] = {"rounds": 20, "reducers": ["last_policy", "entropy"], "work": 1}


@pytest.fixture(scope="module")
def alone():
    """The map by one process."""
    return sweep(Shaken(1.0), AXES, **SETTINGS)


class Pool:
    """Runs what it is given in this process, and breaks at the fourth errand if it is to."""

    def __init__(self, breaks: bool):
        self.left = 3 if breaks else 10**6
        self.under_way = self.most = 0

    def submit(self, function, *arguments):
        future: Future = Future()
        self.left -= 1
        if self.left < 0:
            future.set_exception(BrokenProcessPool("a worker died"))
        else:
            future.set_result(function(*arguments))
        return future


@pytest.mark.parametrize("broken", [0, 2])
def test_processes_that_die_are_replaced(monkeypatch, alone, broken):
    pools = []

    @contextmanager
    def made(workers):
        pools.append(Pool(len(pools) < broken))
        yield pools[-1]

    monkeypatch.setattr(run, "processes", made)
    assert same(sweep(Shaken(1.0), AXES, **SETTINGS, workers=2), alone)
    assert len(pools) == 1 + broken


def test_processes_that_die_time_and_again_end_the_sweep(monkeypatch, tmp_path):
    @contextmanager
    def made(workers):
        yield Pool(True)

    monkeypatch.setattr(run, "processes", made)
    with pytest.raises(InputError, match="worker processes died 3 times"):
        sweep(Shaken(1.0), AXES, **SETTINGS, workers=2, out=tmp_path / "map.zarr")
    assert 0 < blocks_done(tmp_path / "map.zarr") <= 9


@pytest.mark.slow
def test_two_processes_give_the_same_bits():
    """Real ones, with a rule and a question that only this process knows."""

    class Local(Shaken):
        pass

    twice = prefdyn.Question(lambda rule: 2 * rule.size, name="twice")
    settings: dict[str, Any] = SETTINGS | {"reducers": ["entropy", twice]}
    before = dict(os.environ)
    found = sweep(Local(1.0), AXES, **settings, workers=2)
    assert dict(os.environ) == before
    assert same(found, sweep(Local(1.0), AXES, **settings))
    np.testing.assert_array_equal(found.twice, 2 * np.asarray(AXES["size"]))


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced(tmp_path):
    flag = str(tmp_path / "killed")

    def deadly(rule, seed):
        if rule.size == 1.0 and seed % 2 and not os.path.exists(flag):
            with open(flag, "w"):
                os.kill(os.getpid(), signal.SIGKILL)
        return rule.size

    settings: dict[str, Any] = SETTINGS | {"reducers": ["entropy", deadly]}
    axes = AXES | {"repeat": 8}
    found = sweep(Shaken(1.0), axes, **settings, workers=2)
    assert os.path.exists(flag)
    assert same(found, sweep(Shaken(1.0), axes, **settings))


def test_few_blocks_are_under_way_at_a_time(monkeypatch):
    """However large the map is, neither the client nor the scheduler holds more of it."""
    under_way = []

    def one_lands(flying, return_when):
        under_way.append(len(flying))
        first = next(iter(flying))
        first.set_result(0)
        return {first}, flying - {first}

    monkeypatch.setattr(run, "wait", one_lands)
    assert len(list(run._windowed(lambda index: Future(), range(100), workers=2))) == 100
    assert max(under_way) == 4


def test_what_is_sent_to_a_worker_does_not_grow_with_the_map():
    from prefdyn._sweep.prepare import prepare
    from prefdyn._sweep.store import Store

    def size(points):
        axes: dict[str, Any] = {"size": np.linspace(0.1, 1.0, points)}
        prepared = prepare(Shaken(1.0), axes, ["entropy"], rounds=20, burn_in=0.3, seed=0, work=2e5)
        store = Store("map.zarr", prepared.grid, prepared.results)  # pyright: ignore
        return len(prepared.block(store, 0).packed())

    assert size(120 * 166) < size(10 * 166) + 50


def test_a_cluster_gives_the_same_bits(tmp_path, alone):
    from distributed import Client

    with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=":0") as own:
        found = sweep(Shaken(1.0), AXES, **SETTINGS, out=tmp_path / "map.zarr", client=own)
    assert same(found, alone)


def test_blocks_are_written_to_one_place_from_wherever_they_are_run(tmp_path, monkeypatch, alone):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()

    def on_cluster(errand, indices, client):
        for index in indices:
            packed = errand(index)
            with monkeypatch.context() as moved:
                moved.chdir(tmp_path / "elsewhere")
                done = run.run_packed(packed)
            yield done

    monkeypatch.setattr(sys.modules["prefdyn._sweep.sweep"], "on_cluster", on_cluster)
    assert same(sweep(Shaken(1.0), AXES, **SETTINGS, out="map.zarr", client="any"), alone)


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_gives_the_same_bits(tmp_path):
    from distributed import Client, LocalCluster

    rule = FiniteSample(prefdyn.MRSIPO(rock_paper_scissors(0.4), 0.5, 0.5, 1.0), 5)
    axes: dict[str, Any] = {"rule.beta": np.geomspace(0.1, 1.0, 10), "repeat": 3}
    settings: dict[str, Any] = {"rounds": 200, "reducers": ["last_policy", "entropy"], "work": 1}
    expected = sweep(rule, axes, **settings)
    victims: list[int] = []

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        out = tmp_path / "map.zarr"
        pids: Any = client.run(os.getpid)
        module: Any = sys.modules["prefdyn._sweep.sweep"]
        tracked = module.track

        def killing(items, *arguments, **settings):
            for number, item in enumerate(tracked(items, *arguments, **settings)):
                if number == 6:
                    victims.append(next(iter(pids.values())))
                    os.kill(victims[0], signal.SIGKILL)
                yield item

        module.track = killing
        try:
            found = sweep(rule, axes, **settings, out=out, client=client)
        finally:
            module.track = tracked
    assert len(victims) == 1
    assert same(found, expected)
