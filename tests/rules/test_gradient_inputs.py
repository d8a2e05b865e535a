"""What gradient rules refuse: each wrong input in one sentence."""

from typing import Any

import numpy as np
import pytest

from prefdyn import (
    InputError,
    objectives,
    orbit,
    stability,
)
from prefdyn.policies import (
    KernelPolicy,
    LogLinear,
    Tabular,
)
from prefdyn.rules import (
    Adam,
    GradientFlow,
    GradientStep,
    Momentum,
    RMSprop,
)

TABLE = Tabular([0.0, 0.0, 0.0])
WRONG: Any = "wrong"
WRONG_LIST: Any = [1.0, 2.0]
WRONG_ROWS: Any = [(0, 1), (2,)]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GradientStep("dop", TABLE, [(0, 1)], 0.1), "nearest: .*dpo"),
        (lambda: GradientStep("dpo", WRONG, [(0, 1)], 0.1), "policy is a str"),
        (lambda: GradientStep("dpo", TABLE, [(0, 3)], 0.1), r"pairs\[0\] names response 3"),
        (lambda: GradientStep("dpo", TABLE, [(0, 1), (2, 2)], 0.1), r"pairs\[1\].*itself"),
        (lambda: GradientStep("dpo", TABLE, [], 0.1), "at least one"),
        (lambda: GradientStep("dpo", TABLE, [(0.5, 1)], 0.1), "whole|numbers of responses"),
        (lambda: GradientStep("dpo", Tabular([[0, 0], [0, 0]]), [(0, 2)], 0.1), "one prompt"),
        (lambda: GradientStep("dpo", TABLE, [(0, 1)], -0.1), "rate is -0.1"),
        (lambda: GradientStep("dpo", TABLE, [(0, 1)], 0.1, weights=[1, 2]), "each of 1 pairs"),
        (lambda: GradientStep("dpo", TABLE, [(0, 1)], 0.1, reference=[0.0, 0.0]), "reference"),
        (
            lambda: GradientStep("dpo", TABLE, [(0, 1)], 0.1, reference=[0.0, 1.0, 0.0]),
            r"reference\[1, 0\] is 1",
        ),
        (
            lambda: GradientStep(
                "slime", KernelPolicy([-3.0, -4.0], np.eye(2), lengths=[2, 3]), [(0, 1)], 0.1
            ),
            "single tokens",
        ),
        (
            lambda: GradientStep("dpo", TABLE, [(0, 1)], 0.1, extra={"length": [1]}),
            "extra has 'length'",
        ),
        (
            lambda: GradientStep("dpo", TABLE, [(0, 1)], 0.1, extra={"chosen_length": [1, 2]}),
            "one entry for each of 1 pairs",
        ),
        (lambda: GradientStep("kto", TABLE, [(0, 1)], 0.1), "mismatched="),
        (lambda: GradientStep("dpo", TABLE, [(0, 1)], 0.1, optimiser=WRONG), "optimiser is a str"),
        (lambda: GradientFlow("bco", TABLE, [(0, 1)]), "a flow has none|which a flow"),
        (lambda: GradientFlow("dpo", TABLE, [(0, 1)], duration=0), "duration"),
        (lambda: GradientFlow("dpo", TABLE, [(0, 1)], duration=WRONG_LIST), "for one time"),
        (lambda: GradientStep("dpo", TABLE, WRONG_ROWS, 0.1), "different lengths"),
        (lambda: GradientStep("dpo", TABLE, [(0, 1)], 0.1, weights=WRONG), "weights is not"),
        (lambda: GradientStep("dpo", TABLE, [(0, 1)], 0.1, reference=WRONG), "reference is not"),
        (lambda: GradientStep("dpo", TABLE, [(0, 1)], 0.1, extra=WRONG_LIST), "extra is a list"),
        (
            lambda: GradientStep(
                objectives.get("dpo", beta=np.array([0.1, 0.2])), TABLE, [(0, 1)], [0.1, 0.2, 0.3]
            ),
            r"do not broadcast \(objective.beta \(2,\), rate \(3,\)\)",
        ),
        (lambda: orbit(GradientStep("dpo", TABLE, [(0, 1)], 0.1), [0.2, 0.3, 0.4]), "sums to 0.9"),
        (lambda: orbit(GradientStep("dpo", TABLE, [(0, 1)], 0.1), [2.0, 3.0, 4.0]), "at most 1"),
        (lambda: orbit(GradientStep("dpo", TABLE, [(0, 1)], 0.1), WRONG), "start is no array"),
        (
            lambda: orbit(GradientStep("dpo", TABLE, [(0, 1)], 0.1), log_start=[-1.0]),
            "log_start has shape",
        ),
        (
            lambda: orbit(GradientStep("dpo", TABLE, [(0, 1)], 0.1), log_start=[np.nan] * 3),
            "not finite",
        ),
        (lambda: Adam(beta1=WRONG), "beta1 is wrong"),
        (lambda: GradientFlow("dpo", TABLE, [(0, 1)], rtol=-1.0), "rtol is -1"),
        (lambda: Adam(beta1=1.0), "beta1 is 1"),
        (lambda: RMSprop(eps=0), "eps is 0"),
        (
            lambda: orbit(
                GradientStep("dpo", LogLinear(np.eye(3)), [(0, 1)], 0.1), start=[0.5] * 3
            ),
            "policy.at",
        ),
        (
            lambda: GradientStep(
                "dpo", KernelPolicy([-1.0, -2.0], np.eye(2)), [(0, 1)], 0.1, optimiser=Adam()
            ),
            "from_gradients",
        ),
        (
            lambda: stability(GradientStep("ipo", TABLE, [(0, 1)], 0.1, optimiser=Adam())),
            "no derivative",
        ),
        (
            lambda: Momentum(GradientStep("dpo", TABLE, [(0, 1)], 0.1, optimiser=Adam()), 0.5),
            "without optimiser",
        ),
    ],
)
def test_bad_input_is_one_sentence(make, words):
    with pytest.raises(InputError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)
