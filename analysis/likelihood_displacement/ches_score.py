"""The CHES score itself: DISP-9."""

import numpy as np

from analysis import Check
from analysis.likelihood_displacement.sequences import (
    CHOSEN,
    REJECTED,
    from_states,
    sequences,
)
from prefdyn.displacement import ches, length_normalised_ches
from prefdyn.policies import UnconstrainedFeatures

PROMPT, AFTER_A, AFTER_AB = np.array([1.0, 2.0]), np.array([0.0, 1.0]), np.array([-1.0, 0.0])
AFTER_C = np.array([3.0, -1.0])


class ByHand(Check):
    """Three tokens A B A against two, C B: S+ = (0, 3), S- = (4, 1)."""

    claim = "DISP-9"
    part = "A B A over C B by hand: CHES 3 - 9, normalised 3/6 - 9/9"
    cases = ("chosen A B A",)
    tolerance = 1e-12

    def predict(self, instance):
        return np.array([3 - 9, 3 / 6 - 9 / 9])

    def observe(self, instance):
        responses = [(0, 1, 0), (2, 1)]
        states = {(): PROMPT, (0,): AFTER_A, (0, 1): AFTER_AB, (2,): AFTER_C}
        h = [states[prefix] for _, prefix in UnconstrainedFeatures.contexts(responses)]
        policy = UnconstrainedFeatures(np.eye(3, 2), np.stack(h), responses)
        pair = policy.hidden_states(0), policy.hidden_states(1)
        return np.array([ches(*pair), length_normalised_ches(*pair)])


class Padding(Check):
    """The definition on states cut to length, against masked, padded batches."""

    claim = "DISP-9"
    part = "right padding of any content leaves both scores alone"
    tolerance = 1e-12

    def draw(self, rng):
        states = [rng.normal(size=(n, 5)) for n in rng.integers(1, 9, size=2)]
        return states, int(rng.integers(9, 12)), float(rng.choice([0, 1e3, np.nan]))

    def predict(self, instance):
        (plus, minus), *_ = instance
        S, R = plus.sum(0), minus.sum(0)
        n, r = len(plus), len(minus)
        return np.array([S @ R - S @ S, S @ R / (n * r) - S @ S / n**2])

    def observe(self, instance):
        states, length, filling = instance
        padded = np.full((2, length, 5), filling)
        mask = np.zeros((2, length))
        for row, (state, kept) in enumerate(zip(states, mask, strict=True)):
            padded[row, : len(state)], kept[: len(state)] = state, 1
        return np.array([score(*padded, *mask) for score in (ches, length_normalised_ches)])


class PartOfTheRate(Check):
    """Coefficients of DISP-6 set to 1."""

    claim = "DISP-9"
    part = "CHES is minus the terms in hidden states of DISP-6 with every coefficient 1"

    def draw(self, rng):
        return sequences(rng)

    def predict(self, instance):
        return -from_states(instance, CHOSEN, weights=lambda *_: 1.0)

    def observe(self, instance):
        policy = instance.policy()
        return ches(policy.hidden_states(CHOSEN), policy.hidden_states(REJECTED))
