import math

import pytest
import torch

from prefdyn.llm.kernels import RowStats, _rows, add_product, dz_row, row_stats

SHAPES = [(7, 33), (64, 50), (5, 257), (3, 1), (1, 2)]  # rows and vocabulary, none a round number
BLOCKS = [None, 1, 16, 100]


def draw(rows, V, seed=0, size=3.0, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    z = (size * torch.randn(rows, V, generator=g, dtype=torch.float64)).to(dtype)
    return z, torch.randint(V, (rows,), generator=g)


def definition(z, targets):
    """Statistics in float64, by their formulas."""
    log_p = z.double().log_softmax(-1)
    p, ignored = log_p.exp(), targets < 0
    picked = log_p.gather(1, targets.clamp(min=0)[:, None])[:, 0]
    dz = -p
    dz[torch.arange(len(z)), targets] = -torch.expm1(picked)
    top = z.double().amax(-1)
    return RowStats(
        maximum=top,
        log_sum=(z.double() - top[:, None]).exp().sum(-1).log(),
        log_prob=picked.masked_fill(ignored, 0),
        entropy=-(p * log_p.clamp(min=-1e300)).sum(-1),
        sum_p2=p.square().sum(-1),
        residual=dz.square().sum(-1).masked_fill(ignored, 0),
        argmax=z.argmax(-1),
        argmax_prob=p.amax(-1),
    )


def gradient(z, targets, c, scale=1.0, cap=None):
    """Of sum c log p by u in z = cap tanh(scale u / cap), in float64, rows with a target."""
    z, c = z.double(), c.double()
    u = z / scale if cap is None else cap / scale * torch.atanh(z / cap)
    u.requires_grad_()
    again = u * scale if cap is None else cap * torch.tanh(scale * u / cap)
    picked = again.log_softmax(-1).gather(1, targets.clamp(min=0)[:, None])[:, 0]
    return torch.autograd.grad((c * picked * (targets >= 0)).sum(), u)[0]


def relative(found, expected):
    return float((found.double() - expected).norm() / expected.norm())


def check(found, expected, tolerance=1e-6):
    assert torch.equal(found.argmax, expected.argmax)
    for name in set(RowStats._fields) - {"argmax"}:
        one, other = getattr(found, name), getattr(expected, name)
        if other.norm() == 0:  # a vocabulary of one token
            assert (one == 0).all(), name
        else:
            assert relative(one, other) <= tolerance, name


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(("rows", "V"), SHAPES)
def test_statistics_against_float64(rows, V, block):
    z, targets = draw(rows, V)
    before = z.clone()
    check(row_stats(z, targets, block), definition(z, targets))
    assert torch.equal(z, before)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("offset", [-1e3, 1e4])
def test_far_from_zero(offset, block):
    z, targets = draw(9, 41)
    z = z + offset  # rounded here, to the logits that both sides get
    found = row_stats(z, targets, block)
    check(found, definition(z, targets))
    c = torch.ones(9)
    assert relative(dz_row(z.clone(), found, targets, c), gradient(z, targets, c)) <= 1e-5


@pytest.mark.parametrize("gap", [8.0, 15.0, 30.0, 40.0])
@pytest.mark.parametrize("block", [None, 8])
def test_a_target_that_is_almost_certain(gap, block):
    z, targets = draw(6, 37, size=0.5)
    z[torch.arange(6), targets] += gap
    found, z64 = row_stats(z, targets, block), z.double()
    others = z64.masked_fill(torch.nn.functional.one_hot(targets, 37).bool(), -math.inf)
    at_target = z64.gather(1, targets[:, None])[:, 0]
    missing = torch.sigmoid(others.logsumexp(-1) - at_target)  # 1 - p, without cancellation
    assert relative(-torch.expm1(found.log_prob.double()), missing) <= 1e-5
    log_p = others - z64.logsumexp(-1, keepdim=True)
    entropy = -torch.log1p(-missing) * (1 - missing) - (log_p.exp() * log_p).nansum(-1)
    assert relative(found.entropy, entropy) <= 1e-5
    dz = dz_row(z.clone(), found, targets, torch.ones(6))
    assert relative(dz.gather(1, targets[:, None])[:, 0], missing) <= 1e-5
    assert relative(found.residual, dz.double().square().sum(-1)) <= 1e-5


@pytest.mark.parametrize(("scale", "cap"), [(1.0, None), (0.0625, None), (1.0, 5.0), (2.0, 5.0)])
@pytest.mark.parametrize(("rows", "V"), SHAPES)
def test_gradient_against_float64(rows, V, scale, cap):
    z, targets = draw(rows, V)
    z = z if cap is None else cap * torch.tanh(z / cap)
    c = torch.linspace(-2, 3, rows)
    found = dz_row(z.clone(), row_stats(z, targets), targets, c, scale, cap)
    expected = gradient(z, targets, c, scale, cap)
    assert relative(found, expected) <= 1e-5 if V > 1 else (found == 0).all()


def test_in_double_precision():
    z, targets = draw(20, 30, dtype=torch.float64)
    found = row_stats(z, targets, 7)
    check(found, definition(z, targets), 1e-14)
    c = torch.linspace(-2, 3, 20, dtype=torch.float64)
    assert relative(dz_row(z.clone(), found, targets, c), gradient(z, targets, c)) <= 1e-13


def test_an_empty_part_of_the_vocabulary_changes_nothing():
    z, _ = draw(4, 9)
    part, nothing = _rows._of_block(z, 0), _rows._nothing(z)
    for merged in (_rows._merge(nothing, part), _rows._merge(part, nothing)):
        assert all(torch.equal(one, other) for one, other in zip(merged, part, strict=True))


def test_a_part_of_the_vocabulary_that_is_masked_out():
    z, targets = draw(6, 30)
    z[:, :10] = z[:, 25:] = -math.inf
    targets = 10 + targets % 15
    whole = row_stats(z[:, 10:25], targets - 10)
    for block in BLOCKS:
        found = row_stats(z, targets, block)
        assert torch.equal(found.argmax, whole.argmax + 10)
        for name in ("log_prob", "entropy", "sum_p2", "residual"):
            torch.testing.assert_close(getattr(found, name), getattr(whole, name))


@pytest.mark.parametrize(("rows", "V"), [(0, 10), (0, 0), (3, 0)])
def test_nothing_to_read(rows, V):
    found = row_stats(torch.empty(rows, V), torch.full((rows,), -1))
    assert all(part.shape == (rows,) for part in found)
    assert (found.maximum == -math.inf).all()


def test_equal_logits_name_the_first():
    found = row_stats(torch.zeros(2, 200), torch.tensor([0, 199]), 64)
    assert found.argmax.tolist() == [0, 0]
    torch.testing.assert_close(found.entropy, torch.full((2,), math.log(200)))


def test_ignored_rows_are_zero_whatever_they_hold():
    z, targets = draw(5, 12)
    targets[[1, 4]] = -100
    z[4] = math.nan
    found = row_stats(z, targets)
    assert found.log_prob[[1, 4]].tolist() == [0, 0]
    dz = dz_row(z.clone(), found, targets, torch.ones(5))
    assert (dz[[1, 4]] == 0).all()
    assert (dz[[0, 2, 3]] != 0).all()


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("at", [0, 20, 32])
def test_nan_is_not_lost(block, at):
    z, targets = draw(3, 33)
    z[1, at] = math.nan
    found = row_stats(z, targets, block)
    assert found.log_prob.isnan().tolist() == [False, True, False]
    assert found.entropy.isnan().tolist() == [False, True, False]


@pytest.mark.parametrize("size", [40, 100, 10**6])
def test_pieces_of_rows_that_do_not_divide_them(monkeypatch, size):
    z, targets = draw(11, 33)
    monkeypatch.setattr(_rows, "_PIECE", size)
    found = row_stats(z, targets, 20)
    check(found, definition(z, targets))
    c = torch.ones(11)
    assert relative(dz_row(z.clone(), found, targets, c), gradient(z, targets, c)) <= 1e-5


@pytest.mark.parametrize("low", [torch.float32, torch.bfloat16, torch.float64])
def test_products_in_the_precision_of_the_result(monkeypatch, low):
    from prefdyn.llm.kernels import _products

    monkeypatch.setattr(_products, "_BLOCK", 30)
    g = torch.Generator().manual_seed(0)
    a, b = (torch.randn(*shape, generator=g).to(low) for shape in ((5, 7), (7, 11)))
    exact = torch.promote_types(low, torch.float32)
    expected = a.double() @ b.double()
    out = add_product(torch.full((5, 11), math.nan, dtype=exact), a, b, fresh=True)
    assert relative(out, expected) <= 1e-6
    assert relative(add_product(out, a, b), 2 * expected) <= 1e-6


@pytest.mark.parametrize("low", [torch.float16, torch.bfloat16])
def test_a_narrow_gradient_in_the_rows_of_the_logits(low):
    z, targets = draw(9, 41)
    targets[4] = -1
    stats, c = row_stats(z, targets), torch.linspace(-2, 3, 9)
    wide = dz_row(z.clone(), stats, targets, c, 0.5, 20.0)
    buffer = torch.full((9, 48), math.nan)
    buffer[:, :41] = z
    narrow = dz_row(buffer[:, :41], stats, targets, c, 0.5, 20.0, dtype=low)
    assert narrow.data_ptr() == buffer.data_ptr()
    assert narrow.stride() == (96, 1)
    assert torch.equal(narrow, wide.to(low))


def test_a_wider_gradient_is_refused():
    z, targets = draw(2, 5)
    with pytest.raises(ValueError, match=r"dtype is torch.float64, wider than"):
        dz_row(z, row_stats(z, targets), targets, torch.ones(2), dtype=torch.float64)
