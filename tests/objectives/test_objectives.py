"""DPO and IPO against their formulas; one loss in numpy, torch and sympy; adding an objective."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import mpmath
import numpy as np
import pytest
import sympy
import torch
from hypothesis import given
from hypothesis import strategies as st

from prefdyn import InputError, objectives
from prefdyn.objectives import DPO, IPO, Objective, Pair
from prefdyn.objectives import _objective as core
from prefdyn.testing import check_objective

log_probs = st.floats(-50, 0)
pairs = st.tuples(log_probs, log_probs, log_probs, log_probs)
betas = st.floats(0.01, 10)


def float64(value):
    return torch.tensor(value, dtype=torch.float64)


def pair_of(values, convert: Callable = np.float64):
    names = ("chosen", "rejected", "ref_chosen", "ref_rejected")
    return Pair(**{name: convert(value) for name, value in zip(names, values, strict=True)})


@given(pairs, betas)
def test_dpo_is_a_logistic_loss_with_equal_pushes(values, beta):
    c, r, ref_c, ref_r = values
    h = (c - ref_c) - (r - ref_r)
    objective, pair = DPO(beta), pair_of(values)
    scale = max(1, abs(beta * h))
    assert objective.loss(pair) == pytest.approx(np.logaddexp(0, -beta * h), abs=1e-12 * scale)
    pushes = np.array(objective.pushes(pair))
    np.testing.assert_allclose(pushes, beta * np.exp(-np.logaddexp(0, beta * h)), rtol=1e-9)


@given(pairs, betas)
def test_ipo_regresses_the_gap_on_its_target(values, beta):
    c, r, ref_c, ref_r = values
    missing = 1 / (2 * beta) - ((c - ref_c) - (r - ref_r))
    objective, pair = IPO(beta), pair_of(values)
    assert objective.loss(pair) == pytest.approx(missing**2, rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(objective.pushes(pair), 2 * missing, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("beta", [1e-3, 0.1, 1.0, 5.0])
@pytest.mark.parametrize("cls", [DPO, IPO])
def test_objectives_and_their_derivatives_against_400_digits(cls, beta):
    check_objective(cls(beta))


@pytest.mark.parametrize("id", ["dpo", "ipo"])
@given(values=pairs, beta=betas)
def test_numpy_torch_and_sympy_agree(id, values, beta):
    objective = objectives.get(id, beta=beta)
    in_numpy, in_torch = pair_of(values), pair_of(values, float64)
    form, symbols = formula(id)
    arguments = {**in_numpy.given(), "beta": beta}
    with mpmath.workdps(50):
        exact = [float(part(*(mpmath.mpf(arguments[name]) for name in symbols))) for part in form]
    for loss in (objective.loss(in_numpy), objective.loss(in_torch)):
        np.testing.assert_allclose(loss, exact[0], rtol=1e-9, atol=1e-12)
    pushes = objective.pushes(in_torch)
    assert all(isinstance(push, torch.Tensor) for push in pushes)
    np.testing.assert_allclose(pushes, exact[1:], rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(pushes, objective.pushes(in_numpy))


@cache
def formula(id):
    """Loss and pushes of `symbolic` as mpmath functions, and the names of their arguments."""
    form = objectives.get(id).symbolic()
    symbols = sorted(form.loss.free_symbols, key=str)
    parts = [form.loss, form.chosen_push, form.rejected_push]
    return [sympy.lambdify(symbols, part, "mpmath") for part in parts], [str(s) for s in symbols]


def test_the_larger_beta_the_smaller_the_gap_that_satisfies():
    """Larger beta stays closer to the reference: IPO rests at 1/(2 beta), DPO pushes less there."""
    gap = pair_of([3.0, 0.0, 0.0, 0.0])
    assert IPO(0.1).pushes(gap)[0] > 0 > IPO(1.0).pushes(gap)[0]
    relative = [DPO(beta).pushes(gap)[0] / beta for beta in (0.1, 1.0, 10.0)]
    assert relative[0] > relative[1] > relative[2]


def test_pushes_broadcast():
    pair = Pair(chosen=np.zeros((3, 1)), rejected=np.zeros(4), ref_chosen=np.ones((2, 1, 1)))
    assert IPO().loss(pair).shape == (2, 3, 4)
    assert all(push.shape == (3, 4) for push in IPO().pushes(pair))


@pytest.mark.parametrize(
    ("bad", "names"),
    [({"chosen": np.zeros(3), "rejected": np.zeros(4)}, "Pair.rejected has shape (4,)")],
)
def test_fields_that_do_not_broadcast_are_named(bad, names):
    with pytest.raises(InputError, match="does not broadcast") as error:
        Pair(**bad)
    assert names in str(error.value)


def test_unknown_ids_and_parameters_are_named():
    with pytest.raises(
        InputError, match=r"'dop' is not known: choose one of .*dpo.*nearest: .*dpo"
    ):
        objectives.get("dop")
    with pytest.raises(InputError, match=r"'dpo' has no parameter 'tau': it has \['beta'\]"):
        objectives.get("dpo", tau=0.1)


@pytest.fixture
def registry(monkeypatch):
    """Objectives defined by a test are forgotten after it."""
    monkeypatch.setattr(core, "_REGISTRY", dict(core._REGISTRY))


def test_an_objective_is_added_by_its_loss_alone(registry):
    @dataclass(frozen=True)
    class ConservativeDPO(Objective, id="mine"):
        beta: float = 0.1
        smoothing: float = 0.1

        def loss(self, pair, xp=None, stats=None):
            xp = xp or self.primitives(pair)
            x = self.beta * pair.log_ratio_gap
            return -(1 - self.smoothing) * xp.log_sigmoid(x) - self.smoothing * xp.log_sigmoid(-x)

    objective = objectives.get("mine", smoothing=0.2)
    assert "mine" in objectives.names()
    check_objective(objective)
    rest = Pair(chosen=np.log(0.8 / 0.2) / 0.1, rejected=0.0)  # where the label noise is matched
    np.testing.assert_allclose(objective.pushes(rest), 0, atol=1e-15)


def test_check_objective_notices_a_second_derivative_that_is_wrong_at_zero(registry):
    @dataclass(frozen=True)
    class Kinked(Objective, id="kinked"):
        beta: float = 1.0

        def loss(self, pair, xp=None, stats=None):
            x = self.beta * pair.log_ratio_gap
            if isinstance(x, torch.Tensor):  # the textbook form, whose second derivative at 0 is 0
                return torch.log1p(torch.exp(-x.abs())) - torch.minimum(x, torch.zeros_like(x))
            return -self.primitives(pair).log_sigmoid(x)

    with pytest.raises(AssertionError, match="derivative by cc is off"):
        check_objective(Kinked(), gaps=[0.0])


def test_check_objective_notices_back_ends_that_differ(registry):
    @dataclass(frozen=True)
    class Saturated(Objective, id="saturated"):
        beta: float = 1.0

        def loss(self, pair, xp=None, stats=None):
            x = self.beta * pair.log_ratio_gap
            if isinstance(x, torch.Tensor):  # rounds to 0 beyond 37
                return torch.log1p(torch.exp(-x))
            return -self.primitives(pair).log_sigmoid(x)

    with pytest.raises(AssertionError, match="the loss in torch is off"):
        check_objective(Saturated(), gaps=[-1e4])
