"""A threshold for every game, and how far certificates are from the truth: LAB-1, LAB-2."""

import numpy as np

from analysis import Check
from analysis._draws import game, interior, log_uniform
from analysis.how_sampling_shapes._recipes import spectral_norm
from analysis.laboratory._games import collection, cyclic_games, regular_tournament
from prefdyn import MRSIPO, certificates, critical, stability

ALPHAS = (0.1, 0.5, 0.9)
CYCLIC = tuple((K, alpha) for K in (3, 4, 5, 6) for alpha in ALPHAS)
NUMBER = 250
"""Games of each K: a thousand for every alpha, less the few that no beta makes unstable."""


class RadiusBound(Check):
    """Multipliers of random recipes."""

    claim = "LAB-1"
    part = "random games, references, samplers: radius^2 <= alpha^2 + (2 lam max|A|/(pi beta))^2"
    comparison = "at_most"
    instances = 200
    batch = 20

    def draw(self, rng):
        K = int(rng.integers(3, 13))
        return MRSIPO(
            game(rng, K, self.batch),
            log_uniform(rng, 0.02, 1, self.batch),
            rng.uniform(0, 0.95, self.batch),
            rng.uniform(0, 1, self.batch),
            interior(rng, K, self.batch),
            interior(rng, K, self.batch),
        )

    def predict(self, instance):
        strongest = np.abs(instance.game.skew).max((-2, -1))
        return instance.alpha**2 + (2 * instance.lam * strongest / (np.pi * instance.beta)) ** 2

    def observe(self, instance):
        return stability(instance).spectral_radius ** 2


class RegularTournaments(Check):
    """The games that come nearest to the bound."""

    claim = "LAB-1"
    part = "regular tournaments: beta_c is (pi/2K) cot(pi/2K) of the bound, .91 at 3, .9997 at 51"
    comparison = "relative"
    cases = tuple((K, alpha) for K in (3, 5, 9, 21, 51) for alpha in (0.0, 0.5))

    def predict(self, instance):
        K, alpha = instance
        bound = 1 / (np.pi * np.sqrt(1 - alpha**2))
        return np.pi / (2 * K) / np.tan(np.pi / (2 * K)) * bound

    def observe(self, instance):
        K, alpha = instance
        return critical(MRSIPO(regular_tournament(K), 1.0, alpha, 1.0), "beta", samples=40).value


def certified_beta(A: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Least beta of the two global certificates, contraction (MRS-2) and mirror descent (MRS-9)."""
    strongest = np.abs(A).max((-2, -1))
    return spectral_norm(A) / (2 * (1 - alpha)), strongest / np.sqrt(alpha * (1 - alpha))


class CertificatesOvershoot(Check):
    """How much more beta a certificate asks for than local stability needs, at the least."""

    claim = "LAB-2"
    part = "cyclic games: contraction asks for >= sqrt((1 + a)/(1 - a)) beta_c, mirror descent for "
    part += ">= (pi/2) sqrt((1 + a)/a) beta_c"
    comparison = "at_least"
    cases = CYCLIC

    def predict(self, instance):
        _, alpha = instance
        return np.array(
            [np.sqrt((1 + alpha) / (1 - alpha)), np.pi / 2 * np.sqrt((1 + alpha) / alpha)]
        )

    def observe(self, instance):
        K, alpha = instance
        drawn, beta_c = collection(K, NUMBER, alpha)
        return np.array([np.min(beta / beta_c) for beta in certified_beta(drawn.skew, alpha)])


class CertifiedAsShipped(Check):
    """The formulas above are those that the package evaluates."""

    claim = "LAB-2"
    part = "at the least beta of either certificate its value is 1"
    cases = tuple((K, alpha) for K in (3, 6) for alpha in ALPHAS)

    def predict(self, instance):
        return 1.0

    def observe(self, instance):
        K, alpha = instance
        one = cyclic_games(np.random.default_rng(K), K, 1)[0]
        values = []
        for name, beta in zip(
            ("contraction", "mirror_descent"), certified_beta(one.skew, alpha), strict=True
        ):
            (stated,) = (
                certificate
                for certificate in certificates(MRSIPO(one, float(beta), alpha, 1.0))
                if certificate.name == name
            )
            values.append(stated.value)
        return np.array(values)


def overshoot(K: int, alpha: float) -> np.ndarray:
    """Least beta that either certificate proves, over beta_c, of every game."""
    drawn, beta_c = collection(K, NUMBER, alpha)
    return np.min(certified_beta(drawn.skew, alpha), axis=0) / beta_c


class OvershootInTheMedian(Check):
    """The stated range of medians."""

    claim = "LAB-2"
    part = "a thousand cyclic games: the better certificate asks for 2 to 6 beta_c in the median"
    comparison = "agree"
    tolerance = 0.0
    cases = CYCLIC

    def predict(self, instance):
        return True

    def observe(self, instance):
        return bool(2 <= np.median(overshoot(*instance)) <= 6)


class Overshoot(Check):
    """The distribution over a thousand cyclic games."""

    claim = "LAB-2"
    part = "a thousand cyclic games: least certified beta over beta_c"
    comparison = "report"
    cases = CYCLIC

    def observe(self, instance):
        return np.quantile(overshoot(*instance), (0.1, 0.5, 0.9))

    def summary(self, observations):
        low, middle, high = np.transpose(observations)
        return (
            f"K = 3 to 6 and alpha = .1, .5, .9: {middle.min():.2g} to {middle.max():.2g} in the "
            f"median game, {low.min():.2g} and {high.max():.2g} in the lowest and highest tenth"
        )
