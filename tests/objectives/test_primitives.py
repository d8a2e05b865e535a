"""The primitives against mpmath: value, first and second derivative, at 0 and in the tails."""

import mpmath
import numpy as np
import pytest
import sympy
import torch

from prefdyn.objectives import count_guards, get
from prefdyn.objectives._pair import Pair
from prefdyn.objectives._primitives import namespace, primitives

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


def log1mexp(x):
    return mpmath.log(-mpmath.expm1(x))


UNARY = {
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), [0.0, 1e-8, 40.0, -40.0, 700.0, -700.0]),
    "softplus": (lambda x: mpmath.log1p(mpmath.exp(x)), [0.0, -1e-8, 25.0, -40.0, 1e4, -700.0]),
    "log1mexp": (log1mexp, [-1e-12, -1e-3, -0.6931, -0.6932, -1.0, -40.0, -700.0]),
    "safe_exp": (mpmath.exp, [0.0, 1.0, -700.0, 699.0]),
    "relu": (lambda x: max(x, mpmath.mpf(0)), [1.0, -1.0, 1e4, -1e4]),
}


def derivatives(function, *points, dtype=torch.float64):
    """Value, gradient and diagonal of the Hessian, by torch."""
    leaves = [torch.tensor(x, dtype=dtype, requires_grad=True) for x in points]
    value = function(*leaves)
    firsts = torch.autograd.grad(value, leaves, create_graph=True, allow_unused=True)
    seconds = []
    for first, leaf in zip(firsts, leaves, strict=True):
        seconds.append(0.0)
        if first is not None and first.requires_grad:
            (second,) = torch.autograd.grad(first, leaf, retain_graph=True, allow_unused=True)
            seconds[-1] = 0.0 if second is None else second.item()
    return value.item(), [0.0 if f is None else f.item() for f in firsts], seconds


@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_variable_and_their_derivatives(name):
    function, points = UNARY[name]
    for x in points:
        with mpmath.workdps(400):
            exact = [float(mpmath.diff(function, mpmath.mpf(x), k)) for k in range(3)]
        value, (first,), (second,) = derivatives(getattr(namespace("torch"), name), x)
        np.testing.assert_allclose([value, first], exact[:2], rtol=1e-12, atol=0, err_msg=str(x))
        np.testing.assert_allclose(second, exact[2], rtol=1e-11, atol=1e-16, err_msg=str(x))
        np.testing.assert_allclose(getattr(namespace("numpy"), name)(x), exact[0], rtol=1e-12)


@pytest.mark.parametrize("name", [*UNARY, "log_sigmoid"])
def test_single_precision_stays_finite_and_right(name):
    points = np.array([-1e4, -87.0, -20.0, -1.0, -1e-9, 0.0, 20.0, 87.0, 1e4], dtype=np.float32)
    points = points[points < 0] if name == "log1mexp" else points
    single, double = (
        [derivatives(getattr(namespace("torch"), name), float(x), dtype=d) for x in points]
        for d in (torch.float32, torch.float64)
    )
    assert np.all(np.isfinite([entry[0] for entry in single]))
    for x, (value, (first,), (second,)), (*_, wanted) in zip(points, single, double, strict=True):
        assert np.isfinite([value, first, second]).all()
        guarded = (name == "safe_exp" and x > 80) or (name == "log1mexp" and x > -1e-7)
        if not guarded:
            np.testing.assert_allclose(second, wanted[0], rtol=1e-4, atol=1e-6)


def test_kinks_have_the_derivatives_that_are_promised():
    xp, sympy_xp = namespace("torch"), namespace("sympy")
    assert derivatives(xp.relu, 0.0) == (0.0, [0.0], [0.0])
    for x in (-2.0, 2.0, 5.0):
        assert derivatives(lambda y: xp.clip(y, -2.0, 2.0), x)[1] == [0.0]
    assert derivatives(lambda y: xp.clip(y, -2.0, 2.0), 1.9)[1] == [1.0]
    assert derivatives(xp.min2, 3.0, 3.0)[1] == [0.5, 0.5]
    x, y = sympy.symbols("x y", real=True)
    assert sympy_xp.relu(x).diff(x).subs(x, 0) == 0
    assert sympy_xp.clip(x, -2, 2).diff(x).subs(x, 2) == 0
    assert sympy_xp.min2(x, y).diff(x).subs({x: 3, y: 3}) == sympy.Rational(1, 2)
    assert sympy_xp.stop_gradient(x).diff(x) == 0
    assert sympy_xp.stop_gradient(x).subs(x, 3) == 3


@pytest.mark.parametrize(
    ("x", "y"), [(1.0, 1.0 - 1e-13), (30.0, 30.0), (-50.0, 2.0), (2.0, -800.0)]
)
def test_a_difference_of_exponentials_keeps_its_digits(x, y):
    with mpmath.workdps(60):
        a, b = mpmath.exp(mpmath.mpf(x)), mpmath.exp(mpmath.mpf(y))
        exact, slopes = float(a - b), [float(a), -float(b)]
    value, first, second = derivatives(namespace("torch").exp_difference, x, y)
    np.testing.assert_allclose(value, exact, rtol=1e-15)
    np.testing.assert_allclose(namespace("numpy").exp_difference(x, y), exact, rtol=1e-15)
    np.testing.assert_allclose([*first, *second], slopes * 2, rtol=1e-14)


def test_sorting_is_stable_and_gradients_go_back_to_the_rows():
    x = np.array([2.0, 1.0, 2.0, 0.0])
    for name, convert in (("numpy", np.asarray), ("torch", torch.tensor)):
        values, order = namespace(name).stable_sort(convert(x))
        np.testing.assert_array_equal(values, [0, 1, 2, 2])
        np.testing.assert_array_equal(order, [3, 1, 0, 2])
    leaf = torch.tensor(x, requires_grad=True)
    ranked = namespace("torch").stable_sort(leaf)[0] * torch.arange(4.0)
    np.testing.assert_array_equal(torch.autograd.grad(ranked.sum(), leaf)[0], [2, 1, 3, 0])


@pytest.mark.parametrize("convert", [np.asarray, torch.tensor])
def test_guards_are_counted_only_where_they_act(convert):
    pair = Pair(chosen=convert([-1.0, -1e4, -2e4]), rejected=convert([-1.0, -1.0, -1.0]))
    objective = get("f_dpo_forward_kl")
    with count_guards() as outer:
        with count_guards() as used:
            assert np.all(np.isfinite(np.asarray(objective.loss(pair))))
        assert dict(used) == {"safe_exp": 2}
        get("orpo").loss(Pair(chosen=convert([0.0]), rejected=convert([-1.0])))
        get("dpo").loss(pair)
    assert dict(used) == {"safe_exp": 2}
    assert dict(outer) == {"safe_exp": 2, "log1mexp": 1}
