"""Long runs of MRS-IPO on rock-paper-scissors: RUN-1 to RUN-3."""

from functools import cache
from typing import Any

import numpy as np

from analysis import Check
from analysis.how_sampling_shapes._recipes import rps
from prefdyn import lyapunov, mode_locking, orbit, zero_one
from prefdyn.policies import softmax, softmax_jacobian

Array = np.ndarray

CURL = np.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])
"""Rock-paper-scissors of strength 1."""


def critical_beta(a: float, alpha: Any, lam: float = 1.0) -> Any:
    """Where the fixed point loses its stability (MRS-5)."""
    return lam * a / np.sqrt(3 * (1 - np.asarray(alpha) ** 2))


def driven(a: float, alpha: Any, drive: Any, lam: float = 1.0):
    """MRS-IPO on rps(a) at ``beta_c/beta = drive``."""
    return rps(a, critical_beta(a, alpha, lam) / drive, alpha, lam)


# ----------------------------------------------------------------------------------------- RUN-1


class YoungCycle(Check):
    """Both exponents next to onset."""

    claim = "RUN-1"
    part = "exponents over eps, eps = .005, .01: 0 and -2 (1 - alpha^2)"
    tolerance = 0.05
    cases = ((0.3, 0.7),)

    eps = np.array([0.005, 0.01])
    alphas = np.array([[0.3], [0.5], [0.8]])

    def predict(self, instance):
        second = np.broadcast_to(-2 * (1 - self.alphas**2), (3, 2))
        return np.stack([np.zeros((3, 2)), second], axis=-1)

    def observe(self, instance):
        a, lam = instance
        rule = driven(a, self.alphas, 1 + self.eps, lam)
        found = lyapunov(rule, rounds=2500, settle=20_000)
        return found.exponents / self.eps[:, None]


class LeastSum(Check):
    """The sum of both exponents against its bound, from calm to chaotic."""

    claim = "RUN-1"
    part = "the sum of both exponents is the mean of ln(alpha^2 + (lam s/beta)^2), >= 2 ln alpha"
    tolerance = 1e-9
    cases = ((0.4, 0.5), (0.2, 0.8))

    drives = np.array([0.7, 1.5, 4.0, 8.5, 40.0])
    rounds = 300

    def predict(self, instance):
        rule = driven(instance[0], instance[1], self.drives)
        policies = orbit(rule, rounds=self.rounds - 1, tolerance=0).policies
        rotation = np.sqrt(policies.prod(axis=-1)) * 3 * instance[0] / rule.beta  # MRS-6
        sums = np.log(instance[1] ** 2 + rotation**2).mean(axis=0)
        return np.append(sums, [1.0, 1.0])

    def observe(self, instance):
        found = lyapunov(
            driven(instance[0], instance[1], self.drives), rounds=self.rounds, settle=0
        )
        sums = found.exponents.sum(axis=-1)
        least = 2 * np.log(instance[1])
        return np.append(sums, [np.all(sums >= least - 1e-9), sums[-1] < least + 0.05])


# ----------------------------------------------------------------------------------------- RUN-2


@cache
def fold(alpha: float) -> float:
    """``beta_c/beta`` at which a cycle is born that one round turns into itself, relabelled.

    Fixed points of the round followed by a cyclic relabelling, with a multiplier 1, by Newton's
    method on the equations.
    """
    from scipy.optimize import fsolve

    basis = np.linalg.svd(np.ones((3, 1)))[0][:, 1:]
    critical = np.sqrt(3 * (1 - alpha**2))

    def equations(x: Array) -> Array:
        theta, gain = basis @ x[:2], x[2] * critical
        policy = softmax(theta)
        moved = np.roll(alpha * theta + gain * CURL @ policy, 1)
        slope = np.roll(alpha * np.eye(3) + gain * CURL @ softmax_jacobian(policy), 1, axis=0)
        singular = np.linalg.det(np.eye(2) - basis.T @ slope @ basis)
        return np.array([*(basis.T @ (moved - theta)), singular])

    # The pair is looked for next to its strongly driven member: a best response to each winner.
    theta = np.array([3.0, 0.0, -3.0])
    for _ in range(200):
        theta = np.roll(alpha * theta + 2.6 * critical * CURL @ softmax(theta), 1)
    found, _, success, message = fsolve(
        equations, [*(basis.T @ theta), 2.6], xtol=1e-13, full_output=True
    )
    if success != 1:
        raise ArithmeticError(message)
    return float(found[2])


class FoldOfThreeCycles(Check):
    """Where the locked interval begins, by bisection of simulations."""

    claim = "RUN-2"
    part = "alpha = 0, .1, .2: the rotation number is 1/3 from the derived fold on"
    comparison = "relative"
    tolerance = 1e-4
    cases = (0.0, 0.1, 0.2)

    def predict(self, instance):
        return fold(instance)

    def observe(self, instance):
        rule = driven(0.4, instance, 1.0)
        critical = critical_beta(0.4, instance)
        values = critical / np.array([3.4, 1.6])
        found = mode_locking(rule, "beta", values, rounds=160, largest_period=8, refine=15)
        (locked,) = (p for p in found.plateaus if (p.turns, p.period) == (1, 3))
        return critical / locked.high


class FoldAsStated(Check):
    """The printed numbers."""

    claim = "RUN-2"
    part = "the folds are at 1.7912, 2.3552 and 3.1845"
    comparison = "relative"
    tolerance = 5e-5
    cases = ((0.0, 1.7912), (0.1, 2.3552), (0.2, 3.1845))

    def predict(self, instance):
        return instance[1]

    def observe(self, instance):
        return fold(instance[0])


# ----------------------------------------------------------------------------------------- RUN-3


class Chaos(Check):
    """Exponent and 0-1 test where both say chaos."""

    claim = "RUN-3"
    part = "beta_c/beta = 8.2, 8.45, 8.7: exponent within .31 +- .03, 0-1 test within 1 +- .05"
    tolerance = 0.05
    cases = (0.5,)

    drives = np.array([8.2, 8.45, 8.7])

    def predict(self, instance):
        # Exponents in units of .6, so that the tolerance is theirs as well.
        return np.stack([np.full(3, 0.31 / 0.6), np.ones(3)])

    def observe(self, instance):
        rule = driven(instance, 0.5, self.drives)
        exponent = lyapunov(rule, rounds=2500).maximal
        return np.stack([exponent / 0.6, zero_one(rule, rounds=2000).value])


class LockedBetween(Check):
    """Locked intervals around the chaotic windows."""

    claim = "RUN-3"
    part = "beta_c/beta = 4, 7, 9, 12: locked to 1/5, 2/9, 1/6, 1/6"
    comparison = "agree"
    tolerance = 0.0
    cases = (0.5,)

    def predict(self, instance):
        return np.array([[1, 6], [1, 6], [2, 9], [1, 5]])

    def observe(self, instance):
        rule = driven(instance, 0.5, 1.0)
        values = critical_beta(instance, 0.5) / np.array([12.0, 9.0, 7.0, 4.0])
        found = mode_locking(rule, "beta", values, rounds=300, settle=6000, refine=0)
        return np.stack([found.turns, found.periods], axis=-1)
