"""The segmented Gram matrix, as the dispatch runs it here, against gradients in float64."""

import pytest
import torch

from prefdyn.llm.kernels import _gram, segmented_gram
from tests.llm.kernels.suite.place import DEVICE, ON_GPU, draw, relative

HALVES = [torch.float16, torch.bfloat16] if ON_GPU else [torch.float16]
# Halves are multiplied exactly; what is lost is in sums, which tensor cores cut off.
TOLERANCE = {torch.float32: 1e-5} | dict.fromkeys(HALVES, 1e-4)


def segments_of(lengths, seed=0):
    """Segments of these lengths, in disorder."""
    numbers = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    order = torch.randperm(len(numbers), generator=torch.Generator().manual_seed(seed))
    return numbers[order].to(DEVICE)


def layer(lengths, d_in, d_out, seed=0, dtype=torch.float32):
    """Inputs, output gradients and segments; rows have a mean, so that sums do not cancel."""
    n = sum(lengths)
    a, d = (draw(n, width, seed=seed + k) + 0.3 for k, width in enumerate((d_in, d_out)))
    return a.to(dtype), d.to(dtype), segments_of(lengths, seed)


def gradients(a, d, segments, count):
    """Weight gradient of each segment, in float64 on the CPU."""
    a, d, segments = a.double().cpu(), d.double().cpu(), segments.cpu()
    parts = [(d[segments == r].T @ a[segments == r]).flatten() for r in range(count)]
    return torch.stack(parts)


def tokens(*operands, **others):
    """Over pairs of rows, whatever would be cheaper."""
    return segmented_gram(*operands, **others, via="rows")


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("lengths", "d_in", "d_out"),
    [
        ((70, 1, 0, 30, 29, 65), 40, 72),  # an empty segment, some across tiles
        ((150,), 33, 16),  # one long segment
        ((1,) * 70, 16, 50),  # every row by itself
        ((3,), 5, 7),  # less than a tile
        ((0, 0, 64, 64, 0), 64, 128),  # tiles and blocks filled exactly
    ],
)
def test_inner_products_of_weight_gradients(lengths, d_in, d_out, dtype):
    a, d, segments = layer(lengths, d_in, d_out, dtype=dtype)
    rows = gradients(a, d, segments, len(lengths))
    found = tokens(a, d, segments, len(lengths))
    assert found.dtype == torch.float64
    assert relative(found, rows @ rows.T) <= TOLERANCE[dtype]
    assert torch.equal(found, found.T)
    empty = [r for r, length in enumerate(lengths) if not length]
    assert (found[empty] == 0).all()


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_cross_terms(dtype):
    one, two = layer((40, 0, 30), 24, 40, dtype=dtype), layer((9, 90), 24, 40, 5, dtype)
    expected = gradients(*one, 3) @ gradients(*two, 3).T
    found = tokens(*one, 3, a2=two[0], d2=two[1], segments2=two[2])
    assert relative(found, expected) <= TOLERANCE[dtype]


def test_a_second_factor_given_in_part():
    a, d, segments = layer((20, 50), 16, 16)
    other = draw(70, 16, seed=9)
    expected = gradients(a, d, segments, 2) @ gradients(a, other, segments, 2).T
    assert relative(tokens(a, d, segments, 2, d2=other), expected) <= 1e-5


def test_columns_of_a_wider_array_and_of_a_transposed_one():
    a, d, segments = layer((33, 40), 30, 20)
    rows = gradients(a[:, 3:20], d, segments, 2)
    found = tokens(a[:, 3:20], d.T.contiguous().T, segments, 2)
    assert relative(found, rows @ rows.T) <= 1e-5


def test_rows_that_are_nothing_change_nothing():
    a, d, segments = layer((33, 40), 30, 20)
    d[::3] = 0
    kept = d.any(1)
    all_of_them = tokens(a, d, segments, 2)
    without = tokens(a[kept], d[kept], segments[kept], 2)
    assert relative(all_of_them, without) <= 1e-6


def test_the_same_bits_every_time():
    a, d, segments = layer((33, 100, 7), 40, 24)
    once = tokens(a, d, segments, 3)
    assert all(torch.equal(tokens(a, d, segments, 3), once) for _ in range(5 if ON_GPU else 1))


def test_operands_of_two_precisions():
    a, d, segments = layer((33, 40), 32, 32)
    low = a.to(torch.float16)
    rows = gradients(low, d, segments, 2)
    assert relative(tokens(low, d, segments, 2), rows @ rows.T) <= 1e-5


def test_no_rows():
    a, d, segments = layer((0, 0), 8, 8)
    assert (tokens(a, d, segments, 2) == 0).all()


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_over_gradients_as_over_rows(dtype):
    a, d, segments = layer((40, 25, 0), 24, 40, dtype=dtype)
    rows = gradients(a, d, segments, 3)
    found = segmented_gram(a, d, segments, 3, via="gradients")
    assert relative(found, rows @ rows.T) <= 1e-5
    assert torch.equal(found, found.T)


@pytest.mark.parametrize(("n", "apart"), [(4200, 2**19) if ON_GPU else (70, 2**25)])
def test_narrow_rows_that_lie_far_apart(n, apart, tmp_path):
    """Offsets beyond 2³¹ entries and, on a GPU, the large tiles."""
    dtype, size = HALVES[-1], (n - 1) * apart + 16
    if ON_GPU:
        whole = torch.empty(size, dtype=dtype, device=DEVICE)
    else:  # a file with holes, which takes no room
        whole = torch.from_file(str(tmp_path / "rows"), shared=True, size=size, dtype=dtype)
    a = whole.as_strided((n, 16), (apart, 1))
    a.copy_(draw(n, 16))
    d, segments = draw(n, 16, seed=1).to(dtype), segments_of([n // 3, n - n // 3])
    rows = gradients(a, d, segments, 2)
    assert relative(tokens(a, d, segments, 2), rows @ rows.T) <= TOLERANCE[dtype]


def test_no_twin_runs(monkeypatch):
    monkeypatch.delattr(_gram, "segmented_gram")
    tokens(*layer((3,), 5, 7), 1)
