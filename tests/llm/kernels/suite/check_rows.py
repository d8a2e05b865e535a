"""`row_stats` and `dz_row` against their definitions in double precision."""

import math

import pytest
import torch

from prefdyn.llm.kernels import RowStats, _rows, dz_row, row_stats
from tests.llm.kernels.suite.place import DEVICE, ON_GPU, draw, relative

STATISTICS, GRADIENTS = 1e-6, 1e-5
LOW = torch.bfloat16 if ON_GPU else torch.float16  # the interpreter cannot do bfloat16
LOW_GRADIENTS = 1e-2
# Rows, vocabulary, gap between rows, and the block: less than one, just one, two and a rest.
CASES = [
    (5, 33, 0, None),
    (3, 64, 0, 64),
    (4, 300, 0, 128),
    (4, 300, 4, 128),
    (2, 1, 15, None),
    (3, 4100, 12, None),
]
ROUNDINGS = {torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 1e-2}


def rows_without_a_number(test):
    """A test whose rows have nothing to compute, on which NumPy remarks in the interpreter."""
    for remark in ("invalid value encountered", "All-NaN slice encountered"):
        test = pytest.mark.filterwarnings(f"ignore:{remark}:RuntimeWarning")(test)
    return test


def rows(n, V, seed=0, size=3.0, offset=0.0, pad=0):
    """Logits with a row stride of their own, poison between the rows, and targets."""
    buffer = torch.full((n, V + pad), math.nan, device=DEVICE)
    buffer[:, :V] = draw(n, V, seed=seed, size=size) + offset
    generator = torch.Generator().manual_seed(seed)
    return buffer[:, :V], torch.randint(V, (n,), generator=generator).to(DEVICE)


def definition(z, targets):
    """Statistics in float64 by their formulas; ‖e_y - p‖² without its cancellation."""
    z, here = z.double(), torch.arange(len(z), device=DEVICE)
    log_p = z.log_softmax(-1)
    p, ignored, y = log_p.exp(), targets < 0, targets.clamp(min=0)
    top = z.amax(-1)
    others = z.index_put((here, y), z.new_tensor(-math.inf)).logsumexp(-1)
    missing = torch.sigmoid(others - z[here, y])
    entropy = -torch.where(p == 0, 0.0, p * log_p)
    entropy[here, y] = torch.nn.functional.softplus(others - z[here, y]) * p[here, y]
    rest = p.square().index_put((here, y), z.new_tensor(0.0)).sum(-1)
    return RowStats(
        maximum=top,
        log_sum=(z - top[:, None]).exp().sum(-1).log(),
        log_prob=-torch.nn.functional.softplus(others - z[here, y]).masked_fill(ignored, 0),
        entropy=entropy.sum(-1),
        sum_p2=p.square().sum(-1),
        residual=(missing.square() + rest).masked_fill(ignored, 0),
        argmax=z.argmax(-1),
        argmax_prob=p.amax(-1),
    )


def gradient(z, targets, c, scale=1.0, cap=None):
    """``c (e_y - p)``, without cancellation, by u in z = cap tanh(scale u / cap)."""
    z, here, y = z.double(), torch.arange(len(z), device=DEVICE), targets.clamp(min=0)
    others = z.index_put((here, y), z.new_tensor(-math.inf)).logsumexp(-1)
    dz = (-z.softmax(-1)).index_put((here, y), torch.sigmoid(others - z[here, y]))
    slope = scale if cap is None else scale * (1 - (z / cap).square())
    return (c.double()[:, None] * dz * slope).masked_fill((targets < 0)[:, None], 0)


def check(found, expected, tolerance=STATISTICS):
    assert torch.equal(found.argmax, expected.argmax)
    for name in set(RowStats._fields) - {"argmax"}:
        one, other = getattr(found, name), getattr(expected, name)
        if other.norm() == 0:  # a vocabulary of one token
            assert (one == 0).all(), name
        else:
            assert relative(one, other) <= tolerance, name


@pytest.mark.parametrize(("n", "V", "pad", "block"), CASES)
def test_statistics(n, V, pad, block):
    z, targets = rows(n, V, pad=pad)
    before = z.clone()
    check(row_stats(z, targets, block), definition(z, targets))
    assert torch.equal(z, before)


@pytest.mark.parametrize("offset", [-1e3, 1e4])
def test_far_from_zero(offset):
    z, targets = rows(4, 300, offset=offset)
    found, c = row_stats(z, targets, 128), torch.ones(4, device=DEVICE)
    check(found, definition(z, targets))
    expected = gradient(z, targets, c)
    assert relative(dz_row(z, found, targets, c), expected) <= GRADIENTS


@pytest.mark.parametrize("gap", [8.0, 15.0, 40.0])
def test_a_target_that_is_almost_certain(gap):
    z, targets = rows(3, 300, size=0.5)
    here = torch.arange(3, device=DEVICE)
    z[here, targets] += gap + math.log(300)
    found, c = row_stats(z, targets, 128), torch.ones(3, device=DEVICE)
    expected = definition(z, targets)
    for name in ("log_prob", "entropy", "residual"):
        assert relative(getattr(found, name), getattr(expected, name)) <= GRADIENTS, name
    expected = gradient(z, targets, c)
    dz = dz_row(z, found, targets, c)
    assert relative(dz[here, targets], expected[here, targets]) <= GRADIENTS
    assert relative(dz, expected) <= GRADIENTS


@rows_without_a_number
def test_parts_of_the_vocabulary_that_are_masked_out():
    z, targets = rows(4, 512)
    z[:, :200] = z[:, 400:] = -math.inf
    targets = 200 + targets % 200
    check(row_stats(z, targets, 128), definition(z, targets))
    z[1] = -math.inf
    found = row_stats(z, targets, 128)
    assert found.log_prob.isnan().tolist() == [False, True, False, False]


def test_equal_logits_name_the_first():
    z = torch.zeros(2, 300, device=DEVICE)
    found = row_stats(z, torch.tensor([0, 299], device=DEVICE), 128)
    assert found.argmax.tolist() == [0, 0]
    assert relative(found.entropy, torch.full((2,), math.log(300))) <= STATISTICS


@pytest.mark.parametrize("at", [0, 150, 299])
def test_nan_is_not_lost(at):
    z, targets = rows(3, 300)
    z[1, at] = math.nan
    found = row_stats(z, targets, 128)
    for column in (found.log_prob, found.entropy, found.sum_p2, found.residual, found.log_sum):
        assert column.isnan().tolist() == [False, True, False]
    dz = dz_row(z, found, targets, torch.ones(3, device=DEVICE))
    assert dz.isnan().any(-1).tolist() == [False, True, False]


@rows_without_a_number
def test_a_row_that_holds_nan_and_nothing_else():
    z, targets = rows(2, 300)
    z[1] = -math.inf
    z[1, 0] = math.nan
    found = row_stats(z, targets, 128)
    for column in (found.log_prob, found.entropy, found.sum_p2, found.residual, found.log_sum):
        assert column.isnan().tolist() == [False, True]


def test_a_target_outside_of_the_vocabulary_is_not_lost():
    z, targets = rows(2, 40)
    targets[1] = 40
    assert row_stats(z, targets).log_prob.isnan().tolist() == [False, True]


@rows_without_a_number
@pytest.mark.parametrize("dtype", [torch.float32, LOW])
def test_ignored_rows_are_zero_whatever_they_hold(dtype):
    z, targets = rows(5, 300, pad=20)
    targets[1] = targets[4] = -100
    z[4] = math.nan
    found, c = row_stats(z, targets, 128), torch.ones(5, device=DEVICE)
    assert found.log_prob[[1, 4]].tolist() == found.residual[[1, 4]].tolist() == [0, 0]
    c[1] = math.nan
    dz = dz_row(z, found, targets, c, dtype=dtype)
    assert (dz[[1, 4]] == 0).all()
    assert dz[[0, 2, 3]].isfinite().all()
    assert (dz[[0, 2, 3]] != 0).any(-1).all()


@pytest.mark.parametrize(("scale", "cap"), [(1.0, None), (0.0625, None), (2.0, 5.0)])
@pytest.mark.parametrize(("n", "V", "pad"), [(5, 33, 0), (2, 1, 3), (3, 4100, 12)])
def test_gradient(n, V, pad, scale, cap):
    z, targets = rows(n, V, pad=pad)
    z.copy_(z if cap is None else cap * torch.tanh(z / cap))
    c = torch.linspace(-2, 3, n, device=DEVICE)
    expected = gradient(z, targets, c, scale, cap)
    found = dz_row(z, row_stats(z, targets), targets, c, scale, cap)
    assert found.data_ptr() == z.data_ptr()
    assert relative(found, expected) <= GRADIENTS if V > 1 else (found == 0).all()


@pytest.mark.parametrize("V", [33, 4096, 9000])
def test_a_narrow_gradient_in_the_rows_of_the_logits(V):
    z, targets = rows(3, V, pad=-V % 16, size=1.0)
    c = torch.linspace(-2, 3, 3, device=DEVICE)
    stats, wide = row_stats(z, targets), z.clone()
    wide = dz_row(wide, stats, targets, c, 0.5, 20.0)
    found = dz_row(z, stats, targets, c, 0.5, 20.0, dtype=LOW)
    assert found.dtype == LOW
    assert found.data_ptr() == z.data_ptr()
    assert found.stride() == (2 * z.stride(0), 1)
    assert torch.equal(found, wide.to(LOW))  # rounded once


def test_low_precision_logits():
    z32, targets = rows(3, 300, size=1.0)
    z = z32.to(LOW)
    found, c = row_stats(z, targets, 128), torch.ones(3, device=DEVICE)
    assert found.entropy.dtype == LOW
    check(found, definition(z, targets), ROUNDINGS[LOW])
    expected = gradient(z, targets, c)
    assert relative(dz_row(z, found, targets, c), expected) <= LOW_GRADIENTS


def test_more_logits_than_32_bits_count(tmp_path):
    """Three rows so far apart that the last begins behind 2^31 entries."""
    V, stride = 300, 2**30 + 16
    if ON_GPU:
        whole = torch.empty(2 * stride + V, dtype=torch.float32, device=DEVICE)
    else:  # a file with holes, which takes no room
        whole = torch.from_file(
            str(tmp_path / "rows"), shared=True, size=2 * stride + V, dtype=torch.float32
        )
    z = whole.as_strided((3, V), (stride, 1))
    values, targets = rows(3, V)
    z.copy_(values)
    found, c = row_stats(z, targets), torch.ones(3, device=DEVICE)
    check(found, definition(values, targets))
    assert relative(dz_row(z, found, targets, c), gradient(values, targets, c)) <= GRADIENTS


def test_what_lies_between_the_rows_stays():
    buffer = torch.full((3, 320), 7.0, device=DEVICE)
    z, (values, targets) = buffer[:, :300], rows(3, 300)
    z.copy_(values)
    dz_row(z, row_stats(z, targets), targets, torch.ones(3, device=DEVICE))
    assert (buffer[:, 300:] == 7).all()


def test_no_twin_runs(monkeypatch):
    for name in ("row_stats", "dz_row"):
        monkeypatch.delattr(_rows, name)
    z, targets = rows(2, 33)
    dz_row(z, row_stats(z, targets), targets, torch.ones(2, device=DEVICE))
