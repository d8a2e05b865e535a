import pytest
import torch

from prefdyn.llm import kernels
from prefdyn.llm.kernels import _gram, segmented_gram


def layer(rows, seed, d_in=5, d_out=7, segments=4, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(rows, d_in, generator=g, dtype=torch.float64).to(dtype)
    d = torch.randn(rows, d_out, generator=g, dtype=torch.float64).to(dtype)
    return a, d, torch.randint(segments, (rows,), generator=g)


def weight_gradients(a, d, segments, count):
    each = torch.einsum("no,ni->noi", d.double(), a.double()).flatten(1)
    return torch.zeros(count, each.shape[1], dtype=torch.float64).index_add_(0, segments, each)


VIA = ["rows", "gradients"]


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_pairs_of_rows_in_blocks(block):
    a, d, segments = layer(50, 0)
    gradients = weight_gradients(a, d, segments, 4)
    gram = _gram.segmented_gram(a, d, segments, 4, block=block)
    torch.testing.assert_close(gram, gradients @ gradients.T, rtol=1e-12, atol=1e-12)
    assert torch.equal(gram, gram.T)


@pytest.mark.parametrize("entries", [1, 20, 47, 10**4])
def test_gradients_in_parts(entries, monkeypatch):
    monkeypatch.setattr(_gram, "_ENTRIES", entries)
    monkeypatch.setattr(_gram, "_TERMS", 5)
    a, d, segments = layer(50, 0)
    gradients = weight_gradients(a, d, segments, 4)
    gram = segmented_gram(a, d, segments, 4, via="gradients")
    torch.testing.assert_close(gram, gradients @ gradients.T, rtol=1e-12, atol=1e-12)
    assert torch.equal(gram, gram.T)


@pytest.mark.parametrize("via", VIA)
def test_cross_terms_of_two_uses_of_one_weight(via):
    one, two = layer(23, 1), layer(40, 2)
    expected = weight_gradients(*one, 4) @ weight_gradients(*two, 4).T
    gram = segmented_gram(*one, 4, *two, via=via)
    torch.testing.assert_close(gram, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("length", "via"), [(2, "rows"), (60, "gradients")])
def test_the_cheaper_way_is_taken(length, via, monkeypatch):
    taken = {"rows": "segmented_gram", "gradients": "through_gradients"}
    for name in taken.values():
        monkeypatch.setattr(_gram, name, lambda *given, name=name: name)
    a, d = torch.zeros(20 * length, 512), torch.zeros(20 * length, 512)
    segments = torch.arange(20).repeat_interleave(length)
    assert segmented_gram(a, d, segments, 20) == taken[via]


def test_an_order_that_is_none():
    with pytest.raises(ValueError, match="via is 'columns': choose one of"):
        segmented_gram(*layer(3, 0), 4, via="columns")


@pytest.mark.parametrize("via", VIA)
def test_no_rows(via):
    a, d, segments = layer(0, 0)
    assert torch.equal(segmented_gram(a, d, segments, 4, via=via), torch.zeros(4, 4).double())


@pytest.mark.parametrize("via", VIA)
def test_a_segment_without_rows_is_zero(via):
    a, d, segments = layer(10, 3, segments=2)
    gram = segmented_gram(a, d, segments + 1, 4, via=via)
    assert (gram[0] == 0).all()
    assert (gram[:, 3] == 0).all()
    assert (gram[1:3, 1:3] != 0).all()


@pytest.mark.parametrize("via", VIA)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lower_precision_against_float64(dtype, via):
    a, d, segments = layer(300, 4, d_in=64, d_out=96, dtype=dtype)
    gradients = weight_gradients(a, d, segments, 4)
    expected = gradients @ gradients.T
    error = (segmented_gram(a, d, segments, 4, via=via) - expected).norm() / expected.norm()
    assert error < 1e-6


@pytest.mark.parametrize("via", VIA)
def test_automatic_mixed_precision_leaves_it_alone(via):
    a, d, segments = layer(300, 4, dtype=torch.float32)
    expected = segmented_gram(a, d, segments, 4, via=via)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(segmented_gram(a, d, segments, 4, via=via), expected)


@pytest.mark.parametrize("wide", [0, 1])
def test_double_precision_in_either_factor_is_for_the_twin(wide, monkeypatch):
    monkeypatch.setattr(kernels, "takes_triton", lambda tensor: True)
    monkeypatch.setattr(_gram, "segmented_gram", lambda *given: "twin")
    factors = [layer(5, 0, dtype=torch.float32), layer(5, 1, dtype=torch.float32)]
    factors[wide] = layer(5, wide)
    assert segmented_gram(*factors[0], 4, *factors[1], via="rows") == "twin"
