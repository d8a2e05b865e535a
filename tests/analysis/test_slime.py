"""The checks of SLIME-* can fail: an error in the loss or in what drives it is caught."""

import pytest

from analysis._check import judge
from analysis._harness import examine
from analysis.slime.balance import SharedPrefixRises
from analysis.slime.formulas import margin_force, pull
from analysis.slime.loss import LossTokenByToken, PaddingChangesNothing
from prefdyn.objectives import SLIME, _tokens
from prefdyn.policies import ContextPolicy


@pytest.mark.slow
@pytest.mark.parametrize(
    ("id", "part"),
    [
        ("SLIME-1", "lambda_w"),
        ("SLIME-1", "m_s"),
        ("SLIME-2", "lambda_d"),
        ("SLIME-2", "delta"),
        ("SLIME-3", "lambda_l"),
        ("SLIME-4", "lambda_l"),
    ],
)
def test_a_wrong_part_of_the_loss_is_caught(id, part, monkeypatch):
    right = SLIME.loss

    def wrong(self, *args, **kwargs):
        return right(self.replace(**{part: 1.02 * getattr(self, part)}), *args, **kwargs)

    monkeypatch.setattr(SLIME, "loss", wrong)
    assert examine(id, scale=0.05)["verdict"] == "fails"


def test_a_mean_over_the_padding_is_caught(monkeypatch):
    def over_all(self, values, xp):
        return self.sum(values, xp) / values.shape[-1]

    monkeypatch.setattr(_tokens.Tokens, "mean", over_all)
    for check in (LossTokenByToken(), PaddingChangesNothing()):
        assert judge(check, scale=0.1)["verdict"] == "fails"


def test_a_policy_that_moves_too_far_is_caught(monkeypatch):
    right = ContextPolicy.direction
    monkeypatch.setattr(ContextPolicy, "direction", lambda *args: 1.01 * right(*args))
    assert judge(SharedPrefixRises(), scale=0.1)["verdict"] == "fails"


def test_the_formulas_of_the_forces():
    paper = SLIME()
    assert margin_force(1.5 - 1e-12, paper) == pytest.approx(0.2227, abs=1e-4)
    assert margin_force(1.5, paper) == 0
    assert pull(-1e3, paper) == pytest.approx(0.25 * 998.75**1.5)  # softplus is linear there
