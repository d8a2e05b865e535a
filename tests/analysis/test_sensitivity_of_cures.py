"""The checks of cures can fail: a small error in a shipped rule is caught."""

import numpy as np
import pytest

from analysis._harness import examine
from prefdyn import AdaptiveBeta, Averaged, Extragradient, Inexact, Optimistic


def fails(id):
    return examine(id, scale=0.1)["verdict"] == "fails"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("id", "kind"), [("CURE-2", Optimistic), ("CURE-3", Extragradient), ("CURE-4", Averaged)]
)
def test_a_step_that_is_slightly_too_long_is_caught(id, kind, monkeypatch):
    step = kind.step

    def wrong(self, state, t, rng):
        after = step(self, state, t, rng)
        K = self.K
        now, rest = after[..., :K], after[..., K:]
        longer = state[..., :K] + 1.01 * (now - state[..., :K])
        return np.concatenate([longer, rest], axis=-1)

    monkeypatch.setattr(kind, "step", wrong)
    assert fails(id)


@pytest.mark.slow
def test_an_estimate_of_the_wrong_fraction_is_caught(monkeypatch):
    updated = AdaptiveBeta._updated
    monkeypatch.setattr(AdaptiveBeta, "_updated", lambda self, *state: updated(self, *state) - 0.3)
    assert fails("CURE-5")


@pytest.mark.slow
def test_a_fraction_beyond_the_proof_is_caught(monkeypatch):
    def wrong(self, state, t, rng):
        kappa = np.minimum(5 * np.asarray(self.kappa)[..., None], 1.0)
        return state + kappa * (self.rule.step(state, t, rng) - state)

    monkeypatch.setattr(Inexact, "step", wrong)
    assert fails("CURE-1")
    assert fails("CURE-6")
