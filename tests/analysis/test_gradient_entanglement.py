"""The checks of ENT-* can fail: an error in a loss, a policy or a prediction is caught."""

import numpy as np
import pytest

from analysis._check import judge
from analysis._harness import examine
from analysis.gradient_entanglement.conditions import EqualPushes, every_sequence
from analysis.gradient_entanglement.pushes import TABLE, PushesInTheTable
from prefdyn import objectives
from prefdyn.policies import ContextPolicy, LogLinear, Tabular
from prefdyn.policies._softmax_policy import SoftmaxPolicy


@pytest.mark.parametrize("id", [row.id for row in TABLE])
def test_a_wrong_push_of_any_loss_in_the_table_is_caught(id, monkeypatch):
    kind = objectives.classes()[id]
    right = kind.loss
    monkeypatch.setattr(kind, "loss", lambda self, *args, **kw: 1.0001 * right(self, *args, **kw))
    assert judge(PushesInTheTable(), scale=0.02)["verdict"] == "fails"


def test_the_table_is_that_of_the_claim():
    assert len({row.id for row in TABLE}) == 13


class SquareOfTheChosenTwice(EqualPushes):
    """The mistake the claim warns of."""

    def slack(self, instance):
        up, down = self.gradients(instance)
        return np.array([(up * up).sum(-1)] * 2) - (up * down).sum(-1)


def test_the_wrong_second_condition_is_refuted():
    assert judge(SquareOfTheChosenTwice(), scale=0.2)["verdict"] == "fails"
    assert judge(EqualPushes(), scale=0.2)["verdict"] == "holds"


@pytest.mark.parametrize(
    ("id", "kind", "method"),
    [
        ("ENT-1", SoftmaxPolicy, "direction"),
        ("ENT-2", LogLinear, "gram"),
        ("ENT-2", SoftmaxPolicy, "direction"),
        ("ENT-3", Tabular, "gram"),
        ("ENT-3", SoftmaxPolicy, "direction"),
        ("ENT-6", ContextPolicy, "direction"),
    ],
)
def test_a_wrong_policy_is_caught(id, kind, method, monkeypatch):
    right = getattr(kind, method)
    monkeypatch.setattr(kind, method, lambda *args: 1.01 * right(*args))
    assert examine(id, scale=0.1)["verdict"] == "fails"


def test_a_gradient_that_weighs_later_tokens_more_is_caught(monkeypatch):
    right = ContextPolicy.direction

    def weighted(self, params, pushes):
        return right(self, params, pushes * np.arange(pushes.shape[-1]))

    monkeypatch.setattr(ContextPolicy, "direction", weighted)
    assert examine("ENT-5", scale=0.1)["verdict"] == "fails"


def test_the_language_model_holds_sequences_that_end_early():
    responses = every_sequence(3, 4, 0).responses
    assert {len(response) for response in responses} == {1, 2, 3, 4}
    assert all(0 not in response[:-1] for response in responses)
