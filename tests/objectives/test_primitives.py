"""The primitives against mpmath: value, first and second derivative, at 0 and in the tails."""

import mpmath
import numpy as np
import pytest
import sympy
import torch

from prefdyn.objectives._primitives import primitives

POINTS = [0.0, 1e-8, -1e-8, 1.0, -1.0, 20.0, -20.0, 40.0, -40.0, 700.0, 1e4, -1e4]


def truth(x):
    """log sigmoid and its two derivatives, correctly rounded (they underflow, as float64 does)."""
    with mpmath.workdps(4_500):  # exp(-1e4) must be visible beside 1
        tail = mpmath.exp(-mpmath.mpf(x))
        falling = tail / (1 + tail)  # sigmoid(-x)
        return [float(-mpmath.log1p(tail)), float(falling), float(-falling * (1 - falling))]


def by_torch(x):
    point = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    value = primitives(point).log_sigmoid(point)
    (first,) = torch.autograd.grad(value, point, create_graph=True)
    (second,) = torch.autograd.grad(first, point)
    return [value.item(), first.item(), second.item()]


def by_sympy(x):
    symbol = sympy.Symbol("x")
    form = primitives(symbol).log_sigmoid(symbol)
    with mpmath.workdps(4_500):
        parts = [sympy.lambdify(symbol, form.diff(symbol, k), "mpmath") for k in range(3)]
        return [float(part(mpmath.mpf(x))) for part in parts]


@pytest.mark.parametrize("x", POINTS)
@pytest.mark.parametrize("route", [by_torch, by_sympy])
def test_log_sigmoid_and_its_derivatives(route, x):
    # Relative accuracy: log sigmoid(40) is -4e-18, and rounding it to 0 would be an error of 100 %.
    # Torch's second derivative alone is accurate to rounding of its largest value, 1/4.
    absolute = [0, 0, 1e-16 if route is by_torch else 0]
    for found, exact, slack in zip(route(x), truth(x), absolute, strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-14, atol=slack)


@pytest.mark.parametrize("x", POINTS)
def test_log_sigmoid_in_numpy(x):
    np.testing.assert_allclose(primitives(x).log_sigmoid(x), truth(x)[0], rtol=1e-14, atol=0)


def test_numpy_and_torch_agree_elementwise_in_any_shape():
    x = np.array(POINTS).reshape(3, 4)
    found = primitives(torch.tensor(x)).log_sigmoid(torch.tensor(x))
    np.testing.assert_allclose(primitives(x).log_sigmoid(x), found.numpy(), rtol=1e-14)


@pytest.mark.parametrize(
    ("arrays", "name"),
    [
        ((0.0, np.zeros(2)), "numpy"),
        ((np.zeros(2), torch.zeros(2)), "torch"),
        ((1, sympy.Symbol("x")), "sympy"),
        ((1, 2 * sympy.Symbol("x")), "sympy"),
    ],
)
def test_the_namespace_follows_the_arguments(arrays, name):
    assert primitives(*arrays).name == name
