"""Where a log-linear policy ends when it learns one pair: SPO-4."""

import numpy as np

from analysis import Check
from analysis.stable_preference_optimisation.problems import by_problem, descent, log_linear, speed
from prefdyn import DPO, objectives, orbit
from prefdyn.policies import LogLinear
from prefdyn.rules import GradientStep

TOY = ((1.0, 0.0), (0.9, 0.0), (3.0, 0.0), (0.0, 1.0))
"""Chosen, rejected, the one that wins, and a bystander."""


def on_the_line(features, x):
    """Log-probabilities at ``theta = x (phi_w - phi_l)``, with responses 0 and 1 as the pair."""
    logits = x * features @ (features[0] - features[1])
    top = logits.max()
    return logits - top - np.log(np.exp(logits - top).sum())


def correlated(rng, V, d, cosine, size):
    """Features (size, V, d) of which the first two have this expected cosine."""
    features = rng.normal(size=(size, V, d))
    features[:, 1] = cosine * features[:, 0] + np.sqrt(1 - cosine**2) * features[:, 1]
    return features


class Toy(Check):
    """Four responses with two features, trained until the loss is .003."""

    claim = "SPO-4"
    part = "the toy: loss and log10 of chosen, rejected, third and fourth probability"
    tolerance = 1e-9
    cases = (TOY,)
    ROUNDS, RATE = 350, 100.0

    def predict(self, instance):
        """The scalar recursion of x, then the softmax on the line."""
        features, x = np.array(instance), 0.0
        square = np.sum((features[0] - features[1]) ** 2)
        for _ in range(self.ROUNDS):
            x += self.RATE / (1 + np.exp(square * x))
        return np.array([np.log1p(np.exp(-square * x)), *on_the_line(features, x) / np.log(10)])

    def observe(self, instance):
        rule = GradientStep(DPO(1.0), LogLinear(np.array(instance)), [(0, 1)], self.RATE)
        run = orbit(rule, rounds=self.ROUNDS, progress=False)
        return np.array([rule.loss(run.state), *run.log_policies[-1] / np.log(10)])


class ToyNumbers(Toy):
    """What the toy shows, as bounds."""

    claim = "SPO-4"
    part = "the toy: loss below .004, chosen and rejected below 1e-45, third above 1 - 1e-12"
    comparison = "at_most"
    tolerance = 0.0

    def predict(self, instance):
        return np.array([0.004, -45.0, -45.0, 1e-12])

    def observe(self, instance):
        loss, chosen, rejected, third, _ = super().observe(instance)
        return np.array([loss, chosen, rejected, 1 - 10**third])


class OneLine(Check):
    """Whatever the loss of the gap, features decide the direction."""

    claim = "SPO-4"
    part = "iterates stay on theta0 + x (phi_w - phi_l): distance to the line"
    tolerance = 1e-9
    instances = 30
    NAMES = ("dpo", "robust_dpo", "rso_hinge", "simpo", "exo_pair", "ipo")

    def draw(self, rng):
        features = rng.normal(size=(int(rng.integers(4, 12)), int(rng.integers(2, 6))))
        return features, rng.normal(size=features.shape[1]), str(rng.choice(self.NAMES))

    def predict(self, instance):
        return 0.0

    def observe(self, instance):
        features, theta, name = instance
        beta = 0.05 if name == "rso_hinge" else 0.5
        policy = LogLinear(features, theta)
        rule = GradientStep(objectives.get(name, beta=beta), policy, [(0, 1)], 0.05)
        moved = orbit(rule, rounds=10, progress=False).state - theta
        unit = features[0] - features[1]
        unit = unit / np.linalg.norm(unit)
        return np.linalg.norm(moved - (moved @ unit) * unit)


class Limit(Check):
    """Which response ends with all the mass; a small beta keeps the push up for long."""

    claim = "SPO-4"
    part = "after 60 long steps: the most likely response, and its probability"
    tolerance = 1e-6
    instances = 10
    batch = 20
    BETA, RATE, ROUNDS = 0.05, 800.0, 60

    def draw(self, rng):
        """Pairs at distance 1, with a winner that x of about 90 makes certain."""
        K, d = int(rng.integers(4, 30)), int(rng.integers(2, 8))
        features = correlated(rng, K, d, 0.9, 60 * self.batch)
        distance = np.linalg.norm(features[:, 0] - features[:, 1], axis=-1)
        features = features / distance[:, None, None]
        best = np.sort(self.scores(features), axis=-1)
        return features[best[:, -1] - best[:, -2] > 0.4][: self.batch]

    def scores(self, features):
        gap = features[:, 0] - features[:, 1]
        return (features @ gap[..., None])[..., 0]

    def predict(self, instance):
        return np.stack([self.scores(instance).argmax(axis=-1), np.ones(len(instance))])

    def observe(self, instance):
        rule = descent(log_linear(instance), DPO(self.BETA), self.RATE)
        run = orbit(rule, rounds=self.ROUNDS, save=self.ROUNDS, progress=False)
        final = by_problem(rule, run.policies[-1])
        return np.stack([final.argmax(axis=-1), final.max(axis=-1)])


class Winners(Check):
    """One pair each among thirty responses; one huge step reaches the limit's argmax."""

    claim = "SPO-4"
    part = "the limit's winner is the largest <phi_k, phi_w - phi_l>, and never the rejected"
    comparison = "agree"
    tolerance = 0.0
    instances = 20
    batch = 50
    V, D, COSINE = 30, 6, 0.9

    def draw(self, rng):
        return correlated(rng, self.V, self.D, self.COSINE, self.batch)

    def predict(self, instance):
        gap = instance[:, 0] - instance[:, 1]
        scores = np.einsum("nkd,nd->nk", instance, gap)
        scores[:, 1] = -np.inf
        return scores.argmax(axis=1)

    def observe(self, instance):
        rule = descent(log_linear(instance), DPO(1.0), rate=1e6)
        moved = rule.step(rule.policy.params, 0, None)
        return by_problem(rule, rule.policy.log_probs(moved)).argmax(axis=1)


class WinnersOutside(Winners):
    """How often neither response of the pair wins, with a cosine of .9 between their features."""

    claim = "SPO-4"
    part = "a response outside the pair wins in 91.5 % of draws (V = 30, d = 6, c = .9)"
    comparison = "close"
    tolerance = 0.02
    instances = 1
    batch = 4000

    def predict(self, instance):
        return 0.915

    def observe(self, instance):
        chunks = np.split(instance, self.batch // 50)
        winners = np.concatenate([super(WinnersOutside, self).observe(part) for part in chunks])
        return np.mean(winners > 1)


class FirstStep(Check):
    """Uniform start; the sign of the first change of the chosen response."""

    claim = "SPO-4"
    part = "chosen falls in the first step iff <phi_w - phibar, phi_l - phi_w> > 0"
    comparison = "agree"
    tolerance = 0.0
    instances = 36
    batch = 25
    V = 50

    def draw(self, rng):
        d, cosine = int(rng.choice((4, 16, 64))), float(rng.choice((0.0, 0.5, 0.9, 0.99)))
        return correlated(rng, self.V, d, cosine, self.batch)

    def predict(self, instance):
        centred = instance[:, 0] - instance.mean(axis=1)
        return np.einsum("nd,nd->n", centred, instance[:, 1] - instance[:, 0]) > 0

    def observe(self, instance):
        return speed(descent(log_linear(instance), DPO(1.0)))[:, 0] < 0


class ShareOfFalls(FirstStep):
    """Falls are common where the features are few and alike."""

    claim = "SPO-4"
    part = "share of first-step falls, V = 50: 44/38/27 % at cos .99, 5/0/0 % at 0 (d = 4/16/64)"
    comparison = "close"
    tolerance = 0.04
    cases = (
        (4, 0.99, 0.44),
        (16, 0.99, 0.38),
        (64, 0.99, 0.27),
        (4, 0.0, 0.05),
        (16, 0.0, 0.0),
        (64, 0.0, 0.0),
    )
    batch = 1000

    def predict(self, instance):
        return instance[2]

    def observe(self, instance):
        d, cosine, _ = instance
        draws = correlated(np.random.default_rng(0), self.V, d, cosine, self.batch)
        together = max(160 // d, 5)  # a policy over n problems has n^2 d numbers per response
        chunks = np.split(draws, range(together, self.batch, together))
        falls = [super(ShareOfFalls, self).observe(chunk) for chunk in chunks]
        return float(np.mean(np.concatenate(falls)))
