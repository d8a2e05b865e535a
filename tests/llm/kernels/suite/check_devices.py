"""Kernels are launched on the device that holds their operands, whichever is the current one."""

import pytest
import torch

from prefdyn.llm.kernels import dz_row, mixed_orbits, pair_orbits, row_stats, segmented_gram
from tests.llm.kernels.suite.place import draw


def rows(z):
    targets = torch.zeros(len(z), dtype=torch.int64, device=z.device)
    return dz_row(z, row_stats(z, targets), targets, z[:, 0].clone())


def gram(z):
    segments = torch.zeros(len(z), dtype=torch.int64, device=z.device)
    return segmented_gram(z, z, segments, 1, via="rows")


def mixed(z):
    which, one = torch.zeros(len(z), dtype=torch.int64, device=z.device), z[:, 0]
    parameters = {"gain": one, "alpha": one, "lam": one, "drift": z, "offline": z}
    return mixed_orbits(z[None], which, z, 1, fitted=False, **parameters)


def pairs(z):
    return pair_orbits(z, z, 1, rate=z[:, 0], reference=z, push=z)


@pytest.mark.parametrize(("operations", "launches"), [(rows, 2), (gram, 1), (mixed, 1), (pairs, 1)])
def test_the_operands_device(operations, launches, monkeypatch):
    asked, device_of = [], torch.cuda.device_of
    monkeypatch.setattr(torch.cuda, "device_of", lambda x: asked.append(x.device) or device_of(x))
    double = operations in (mixed, pairs)
    z = draw(4, 4, dtype=torch.float64 if double else torch.float32)
    operations(z)
    assert asked == [z.device] * launches
