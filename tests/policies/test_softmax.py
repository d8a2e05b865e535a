"""The softmax policy in numpy and torch, far into the tails."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf

from prefdyn.policies import centre, entropy, kl, log_softmax, softmax, softmax_jacobian
from prefdyn.testing import policies

logits = st.lists(st.floats(-800, 800), min_size=2, max_size=6).map(np.array)


@given(logits)
def test_log_softmax_against_mpmath(theta):
    with mp.workdps(700):  # e^-1600 must be visible beside 1
        total = mp.log(sum(mp.exp(mpf(float(x))) for x in theta))
        exact = [float(mpf(float(x)) - total) for x in theta]
    np.testing.assert_allclose(log_softmax(theta), exact, rtol=1e-14, atol=3e-13)
    np.testing.assert_allclose(softmax(theta), np.exp(exact), rtol=1e-12, atol=1e-320)


@given(logits)
def test_numpy_and_torch_agree(theta):
    for function in (log_softmax, softmax, centre):
        found = function(torch.tensor(theta))
        assert isinstance(found, torch.Tensor)
        rounding = 1e-15 * max(1.0, np.abs(theta).max())
        np.testing.assert_allclose(found.numpy(), function(theta), rtol=1e-14, atol=rounding)
    policy = softmax(theta)
    jacobian = softmax_jacobian(torch.tensor(policy)).numpy()
    np.testing.assert_allclose(jacobian, softmax_jacobian(policy), atol=1e-16)
    log_policy = log_softmax(theta)
    assert entropy(torch.tensor(log_policy)).item() == pytest.approx(entropy(log_policy), abs=1e-14)


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=5).map(np.array))
def test_the_jacobian_is_the_derivative_of_softmax(theta):
    x = torch.tensor(theta, requires_grad=True)
    by_autodiff = torch.autograd.functional.jacobian(softmax, x)
    np.testing.assert_allclose(softmax_jacobian(softmax(theta)), by_autodiff, atol=1e-15)
    assert np.linalg.norm(softmax_jacobian(softmax(theta)), 2) <= 0.5 + 1e-15


@given(policies(5), policies(5))
def test_entropy_and_divergence(p, q):
    log_p, log_q = np.log(p), np.log(q)
    assert entropy(log_p) == pytest.approx(-(p * log_p).sum())
    assert 0 <= entropy(log_p) <= np.log(5) + 1e-12
    assert kl(log_p, log_q) == pytest.approx((p * (log_p - log_q)).sum(), abs=1e-12)
    assert kl(log_p, log_q) >= -1e-14
    assert kl(log_p, log_p) == 0


def test_entropy_of_a_collapsed_policy_is_zero_not_nan_nor_minus_zero():
    for log_policy in (log_softmax(np.array([0.0, -5000.0])), np.array([0.0, -np.inf])):
        assert entropy(log_policy) == 0
        assert not np.signbit(entropy(log_policy))


def test_batches_are_rows():
    theta = np.random.default_rng(0).normal(size=(2, 3, 4))
    for function in (log_softmax, softmax, centre):
        np.testing.assert_allclose(function(theta)[1, 2], function(theta[1, 2]), rtol=1e-15)
    assert softmax_jacobian(softmax(theta)).shape == (2, 3, 4, 4)
    assert entropy(log_softmax(theta)).shape == (2, 3)
