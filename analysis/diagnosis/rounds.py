"""What the modes of measured rounds say about the rule that made them: DIAG-1."""

import numpy as np

from analysis import Check
from prefdyn import MRSIPO, FiniteSample, dynamic_modes, fixed_point, stability
from prefdyn.games import rock_paper_scissors
from prefdyn.policies import log_softmax

ROUNDS, STRENGTH = 40, 0.4


class ExactRounds(Check):
    """The rule's own orbit, near its fixed point."""

    claim = "DIAG-1"
    part = "rounds without noise near the fixed point: the multiplier of the rule"
    instances = 2
    tolerance = 1e-3

    def draw(self, rng):
        return {"alpha": rng.uniform(0, 0.8), "radius": rng.uniform(0.85, 0.98), "votes": None}

    def predict(self, instance):
        return abs(truth(rule_of(instance)))

    def observe(self, instance):
        rule = rule_of(instance)
        path = rounds(rule, rule, 0.02, 0.0, np.random.default_rng(0))
        return dynamic_modes(path).growth[0]


class Coverage(Check):
    """Intervals of growth and of angle over many noisy runs."""

    claim = "DIAG-1"
    part = "40 noisy rounds: 95 % intervals hold the rule's growth and angle in 85 % or more"
    cases = (
        {"alpha": 0.5, "radius": 0.92, "votes": 400, "noise": 0.0},
        {"alpha": 0.3, "radius": 0.95, "votes": None, "noise": 0.1},
        {"alpha": 0.7, "radius": 0.92, "votes": 400, "noise": 0.1},
    )
    batch = 8
    comparison = "at_least"
    tolerance = 0.0

    def predict(self, instance):
        return 0.85

    def observe(self, instance):
        return coverage(instance, self.batch)[0]


def coverage(instance, runs):
    """Share of runs whose intervals hold the truth, and how far estimates are off (mean, sd)."""
    rule = rule_of(instance)
    played = rule if instance["votes"] is None else FiniteSample(rule, instance["votes"])
    true = truth(rule)
    held, growths = [], []
    for seed in range(runs):
        rng = np.random.default_rng((seed, 7))
        path = rounds(rule, played, 0.3, instance["noise"], rng)
        modes = dynamic_modes(path, rank=2)
        k = int(np.argmax(modes.angle))
        growths.append(modes.growth[k] - abs(true))
        for got, error, value in (
            (modes.growth[k], modes.growth_error[k], abs(true)),
            (modes.angle[k], modes.angle_error[k], np.angle(true)),
        ):
            held.append(abs(got - value) <= modes.width * error)
    return float(np.mean(held)), float(np.mean(growths)), float(np.std(growths))


def rule_of(instance):
    """Rock-paper-scissors with the spectral radius asked for: alpha^2 + (lam s/beta)^2 (MRS-4)."""
    turn = np.sqrt(instance["radius"] ** 2 - instance["alpha"] ** 2)
    beta = STRENGTH / np.sqrt(3) / turn
    return MRSIPO(rock_paper_scissors(STRENGTH), beta=beta, alpha=instance["alpha"], lam=1.0)


def truth(rule):
    """Its multiplier above the real axis."""
    return max(stability(rule).multipliers, key=np.imag)


def rounds(rule, played, kick, noise, rng):
    """Log-probabilities at the ends of rounds, read with noise, from off the fixed point."""
    state = fixed_point(rule).log_policy + kick * rng.normal(size=3)
    path = []
    for t in range(ROUNDS):
        path.append(log_softmax(state))
        state = played.step(state, t, rng)
    return np.array(path) + noise * rng.normal(size=(ROUNDS, 3))
