"""What ranks displacement in a toy, and filtering by it: DISP-10 and DISP-11."""

import numpy as np
from scipy.stats import spearmanr

from analysis import Check
from prefdyn import DPO, orbit
from prefdyn.displacement import ToyPairs, ches, toy_pairs
from prefdyn.policies import log_softmax, softmax
from prefdyn.rules import GradientStep

PAIRS = 500
SUBSET, STEPS, RATE = 64, 8, 0.1
PERCENTILES = (0, 25, 50, 75, 100)
UNIFORM, HALF, ON_POLICY = 0.0, 0.5, 1.0


def exact_rates(pairs: ToyPairs) -> np.ndarray:
    """Brackets of DISP-6, (n,), for all pairs at once."""
    mask = pairs.mask[..., None]
    rows = np.eye(len(pairs.W))[pairs.tokens]
    residual = (rows - softmax(pairs.hidden @ pairs.W.T)) * mask
    hidden = pairs.hidden * mask
    by_states = np.zeros(len(pairs))
    for other, sign in ((0, 1), (1, -1)):
        c = residual[:, 0] @ residual[:, other].swapaxes(-1, -2)
        products = hidden[:, 0] @ hidden[:, other].swapaxes(-1, -2)
        by_states += sign * (c * products).sum((-1, -2))
    gradients = residual[:, 0] @ pairs.W
    difference = pairs.W[pairs.tokens[:, 0, 0]] - pairs.W[pairs.tokens[:, 1, 0]]
    by_rows = np.einsum("nd,nd->n", gradients[:, 0], difference)
    return by_rows + (gradients[:, 1:] ** 2).sum((-1, -2)) + by_states


class RatesOfTheToy(Check):
    """The vectorised formula on single pairs, against gradients of the policy they make."""

    claim = "DISP-10"
    part = "the exact rates of the toy are the policy's, <g_+, g_+ - g_->"
    instances = 40

    def draw(self, rng):
        return toy_pairs(1, rng, on_policy=rng.uniform(), vocabulary=8, width=5, lengths=(2, 6))

    def predict(self, instance):
        return exact_rates(instance)[0]

    def observe(self, instance):
        gradients = instance.policy().gradients()
        return gradients[0] @ (gradients[0] - gradients[1])


class _Ranking(Check):
    """A toy of 500 pairs for each arm."""

    arms: tuple[tuple[float, bool], ...] = ()
    """Share of tokens from the model, and whether lengths are equal."""

    def draw(self, rng):
        return [toy_pairs(PAIRS, rng, on_policy=on, equal_lengths=eq) for on, eq in self.arms]

    @staticmethod
    def correlation(instance, score):
        return float(spearmanr(score, -exact_rates(instance))[0])  # pyright: ignore

    @staticmethod
    def ches(instance):
        return ches(*np.swapaxes(instance.hidden, 0, 1), *np.swapaxes(instance.mask, 0, 1))


class ChesRanks(_Ranking):
    """Uniform tokens, both arms."""

    claim = "DISP-10"
    part = (
        "CHES has a rank correlation above .6 with the fall, uniform tokens, free or equal lengths"
    )
    comparison = "at_least"
    tolerance = 0.0
    arms = ((UNIFORM, False), (UNIFORM, True))
    instances, batch = 3, len(arms)

    def predict(self, instance):
        return 0.6

    def observe(self, instance):
        return np.array([self.correlation(toy, self.ches(toy)) for toy in instance])


class LengthRanksAsWell(_Ranking):
    """Free lengths, on and off policy."""

    claim = "DISP-10"
    part = "|CHES - length difference| < .1 in rank correlation, free lengths, on and off policy"
    comparison = "at_most"
    tolerance = 0.0
    arms = ((UNIFORM, False), (HALF, False), (ON_POLICY, False))
    instances, batch = 2, len(arms)

    def predict(self, instance):
        return 0.1

    def observe(self, instance):
        gaps = []
        for toy in instance:
            length = toy.lengths[:, 1] - toy.lengths[:, 0]
            gaps.append(self.correlation(toy, self.ches(toy)) - self.correlation(toy, length))
        return np.abs(gaps)


class AllScores(_Ranking):
    """The table, arm by arm; nothing is asserted."""

    claim = "DISP-10"
    part = "rank correlations of all scores in all arms"
    comparison = "report"
    cases = tuple((on, equal) for equal in (False, True) for on in (UNIFORM, HALF, ON_POLICY))
    labels = {UNIFORM: "uniform", HALF: "half on-policy", ON_POLICY: "on-policy"}  # noqa: RUF012

    def observe(self, instance):
        on_policy, equal = instance
        pairs = toy_pairs(PAIRS, 0, on_policy=on_policy, equal_lengths=equal)
        found = {
            name: self.correlation(pairs, score)
            for name, score in pairs.scores().items()
            if np.ptp(score) > 0
        }
        return f"{self.labels[on_policy]}, {'equal' if equal else 'free'} lengths", found

    def summary(self, observations):
        arms = [
            f"{arm}: " + ", ".join(f"{name} {value:+.2f}" for name, value in found.items())
            for arm, found in observations
        ]
        return "; ".join(arms)


def at_percentiles(pairs: ToyPairs, score: np.ndarray) -> list[float]:
    """Mean change of ln pi(y+) after 8 steps on subsets at the percentiles of a score."""
    order = np.argsort(score, kind="stable")
    firsts = [round(q / 100 * (len(pairs) - SUBSET)) for q in PERCENTILES]
    return [trained(pairs[order[first : first + SUBSET]])[0] for first in firsts]


def trained(pairs: ToyPairs) -> tuple[float, float]:
    """Mean changes of ln pi(y+), and of the first tokens' mass outside the pairs, in 8 steps."""
    policy = pairs.policy()
    indices = np.arange(2 * len(pairs)).reshape(-1, 2)
    rule = GradientStep(DPO(0.1), policy, indices, RATE)
    run = orbit(rule, rounds=STEPS, save=STEPS, tolerance=0, progress=False)
    fall = (run.log_policies[-1] - run.log_policies[0])[indices[:, 0]].mean()
    return float(fall), _outside(pairs, policy, run.state) - _outside(pairs, policy, policy.params)


def _outside(pairs: ToyPairs, policy, params) -> float:
    """Mean probability, as the first token, of all tokens but the pair's own two."""
    W, h = policy.split(params)
    pi = np.exp(log_softmax(h[policy.positions[::2, 0]] @ W.T))
    own = np.take_along_axis(pi, pairs.tokens[:, :, 0], axis=-1)
    return float(1 - own.sum(-1).mean())


class Subsets(Check):
    """Mean over three toys of 600 pairs; subsets of 64."""

    claim = "DISP-10"
    part = "change of ln pi(y+) after 8 steps falls with the percentile: CHES, length difference"
    comparison = "agree"
    tolerance = 0.0
    cases = (("ches", False), ("length_difference", False), ("ches", True))
    seeds = range(3)

    def predict(self, instance):
        return np.array([True, True])

    def observe(self, instance):
        name, equal = instance
        toys = [toy_pairs(600, seed, equal_lengths=equal) for seed in self.seeds]
        mean = np.mean([at_percentiles(toy, toy.scores()[name]) for toy in toys], axis=0)
        spread = np.ptp(mean)
        falls = np.all(np.diff(mean) < 0.05 * spread)  # equal lengths: nearly flat in the middle
        return np.array([falls, mean[0] > 0 > mean[-1]])


class Filtering(Check):
    """Lowest against highest length-normalised CHES, at the start of training."""

    claim = "DISP-11"
    part = "first-token mass moved outside the pairs: lowest against highest normalised CHES"
    comparison = "report"
    cases = tuple(range(4))

    def observe(self, instance):
        pairs = toy_pairs(600, instance, on_policy=HALF)
        order = np.argsort(pairs.scores()["ln_ches"])
        low, high = trained(pairs[order[:SUBSET]]), trained(pairs[order[-SUBSET:]])
        return [*low, *high]

    def summary(self, observations):
        fall_low, out_low, fall_high, out_high = np.mean(observations, axis=0)
        return (
            f"after {STEPS} steps the mass outside the pairs changed by {out_low:+.3f} (lowest) "
            f"and {out_high:+.3f} (highest scores), ln pi(y+) by {fall_low:+.2f} and "
            f"{fall_high:+.2f} nats; means of {len(observations)} toys, half on-policy"
        )
