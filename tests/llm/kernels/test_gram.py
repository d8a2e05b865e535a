import pytest
import torch

from prefdyn.llm.kernels import segmented_gram


def layer(rows, seed, d_in=5, d_out=7, segments=4, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(rows, d_in, generator=g, dtype=torch.float64).to(dtype)
    d = torch.randn(rows, d_out, generator=g, dtype=torch.float64).to(dtype)
    return a, d, torch.randint(segments, (rows,), generator=g)


def weight_gradients(a, d, segments, count):
    each = torch.einsum("no,ni->noi", d.double(), a.double()).flatten(1)
    return torch.zeros(count, each.shape[1], dtype=torch.float64).index_add_(0, segments, each)


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_inner_products_of_weight_gradients(block):
    a, d, segments = layer(50, 0)
    gradients = weight_gradients(a, d, segments, 4)
    gram = segmented_gram(a, d, segments, 4, block)
    torch.testing.assert_close(gram, gradients @ gradients.T, rtol=1e-12, atol=1e-12)
    assert torch.equal(gram, gram.T)


def test_cross_terms_of_two_uses_of_one_weight():
    one, two = layer(23, 1), layer(40, 2)
    expected = weight_gradients(*one, 4) @ weight_gradients(*two, 4).T
    gram = segmented_gram(*one, 4, 8, *two)
    torch.testing.assert_close(gram, expected, rtol=1e-12, atol=1e-12)


def test_a_segment_without_rows_is_zero():
    a, d, segments = layer(10, 3, segments=2)
    gram = segmented_gram(a, d, segments + 1, 4)
    assert (gram[0] == 0).all()
    assert (gram[:, 3] == 0).all()
    assert (gram[1:3, 1:3] != 0).all()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-6)])
def test_lower_precision_against_float64(dtype, tolerance):
    a, d, segments = layer(300, 4, d_in=64, d_out=96, dtype=dtype)
    gradients = weight_gradients(a, d, segments, 4)
    expected = gradients @ gradients.T
    error = (segmented_gram(a, d, segments, 4, 128) - expected).norm() / expected.norm()
    assert error < tolerance
