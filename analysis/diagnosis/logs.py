"""How often a log is accused, and how often rightly: DIAG-2."""

import numpy as np

from analysis import Check
from analysis.diagnosis._logs import noise, run
from prefdyn import diagnose


class LogsOfNoise(Check):
    """Logs in which nothing happens, some with noise that sticks."""

    claim = "DIAG-2"
    part = "no more than one in eight logs of noise meets an alarm or a warning"
    cases = (
        {"readings": 20, "stickiness": 0.0, "split": "train"},
        {"readings": 20, "stickiness": 0.4, "split": "eval"},
    )
    batch = 8
    comparison = "at_most"

    def predict(self, instance):
        return 1 / self.batch

    def observe(self, instance):
        return np.mean([accused(noise(generator(i), **instance)) for i in range(self.batch)])


class HealthyRuns(Check):
    """DPO on the pairs of lowest CHES, whose chosen responses rise (DISP-10)."""

    claim = "DIAG-2"
    part = "runs whose chosen responses rise are not accused"
    cases = ({"split": "eval"}, {"split": "train"})
    batch = 3
    comparison = "agree"
    displaced = False

    def predict(self, instance):
        return [self.displaced] * self.batch

    def observe(self, instance):
        found = (run(generator(i), self.displaced, 20, **instance) for i in range(self.batch))
        return [displacement(log) for log in found]


class DisplacedRuns(HealthyRuns):
    """DPO on the pairs of highest CHES, whose chosen responses fall (DISP-10)."""

    claim = "DIAG-2"
    part = "runs whose chosen responses fall meet an alarm of displacement"
    displaced = True


def generator(seed):
    return np.random.default_rng((seed, 11))


def accused(log):
    return any(one.severity != "info" for one in diagnose(log).findings)


def displacement(log):
    return any(
        one.kind == "displacement" and one.severity == "alarm" for one in diagnose(log).findings
    )
