"""The compiled kernels are the rules, orbit by orbit."""

import subprocess
import sys

import mpmath
import numpy as np
import pytest

from prefdyn.games import PreferenceMatrix, cycle, random
from prefdyn.rules import MRSDPO, MRSIPO, _lanes, _simd
from prefdyn.rules._simd import WIDTH
from tests.rules.stepwise import stepped

KERNELS = [(MRSIPO, _lanes.advance_ipo), (MRSDPO, _lanes.advance_dpo)]
each_kernel = pytest.mark.parametrize(("Rule", "advance"), KERNELS, ids=["ipo", "dpo"])


def assert_same(advanced, theta, policies, tolerance=1e-11):
    scale = np.maximum(1.0, np.abs(theta))
    np.testing.assert_array_less(np.abs(advanced.theta - theta), tolerance * scale)
    np.testing.assert_allclose(advanced.mean, policies.mean(axis=0), atol=tolerance)
    squares = ((policies - policies.mean(axis=0)) ** 2).sum(axis=0)
    np.testing.assert_allclose(advanced.deviations, squares, atol=tolerance * len(policies))


@each_kernel
@pytest.mark.parametrize("K", [2, 3, 5, 12])
@pytest.mark.parametrize("size", [1, 8, 65])
def test_same_as_step(Rule, advance, K, size):
    rng = np.random.default_rng(K)
    rule = Rule(
        random(K, rng),
        beta=rng.uniform(0.3, 2, size),
        alpha=rng.uniform(0, 1, size),
        lam=rng.uniform(0, 1, size),
        reference=rng.dirichlet(np.ones(K)),
        offline=rng.dirichlet(np.ones(K)),
    )
    theta = rule.init(rng.dirichlet(np.ones(K), size=size))
    before = theta.copy()
    assert_same(advance(rule, theta, 12), *stepped(rule, theta, 12))
    np.testing.assert_array_equal(theta, before)


@each_kernel
def test_without_moments_the_orbits_are_the_same_bits(Rule, advance):
    rule = Rule(cycle(3, 0.4), beta=0.2, alpha=0.5, lam=1.0)
    theta = rule.init(np.random.default_rng(0).dirichlet(np.ones(3), size=20))
    found = advance(rule, theta, 50, moments=False)
    np.testing.assert_array_equal(found.theta, advance(rule, theta, 50).theta)
    assert found.mean is None
    assert found.deviations is None


@each_kernel
def test_games_parameters_and_starts_broadcast(Rule, advance):
    rng = np.random.default_rng(0)
    games = PreferenceMatrix(np.stack([cycle(4, a).P for a in (0.1, 0.2, 0.3)])[:, None])
    rule = Rule(games, beta=0.7, alpha=rng.uniform(size=(2, 1, 1)), lam=0.9)
    theta = rule.init(rng.dirichlet(np.ones(4), size=5))
    assert theta.shape == (2, 3, 5, 4)
    assert_same(advance(rule, theta, 10), *stepped(rule, theta, 10))


@each_kernel
@pytest.mark.parametrize("beta", [1e-6, 1e6])
def test_extreme_beta(Rule, advance, beta):
    rule = Rule(cycle(3, 0.4), beta=beta, alpha=0.5, lam=0.8)
    theta = rule.init([0.5, 0.3, 0.2])
    assert_same(advance(rule, theta, 20), *stepped(rule, theta, 20))


@pytest.mark.parametrize("edge", [1e-3, 1e-9, 1e-14])
def test_near_certain_wins(edge):
    rule = MRSDPO(cycle(3, 0.5 - edge), beta=5.0, alpha=0.2, lam=0.9)
    theta = rule.init([0.5, 0.3, 0.2])
    assert_same(_lanes.advance_dpo(rule, theta, 10), *stepped(rule, theta, 10), tolerance=1e-9)


@each_kernel
def test_rounds_after_settling_count(Rule, advance):
    rule = Rule(cycle(3, 0.2), beta=2.0, alpha=0.3, lam=0.5)
    theta = rule.init([0.7, 0.2, 0.1])
    assert_same(advance(rule, theta, 5000), *stepped(rule, theta, 5000), tolerance=1e-13)


def powers(values):
    """``2**x`` by the kernels' own exponential, (n,)."""
    x = np.full((-(-len(values) // WIDTH), WIDTH), 0.0)
    x.ravel()[: len(values)] = values
    out = np.empty_like(x)
    _simd.powers(x, out, 1)
    return out.ravel()[: len(values)]


def test_exponential_is_exact_to_rounding():
    """In units in the last place, against mpmath: near 0, near halves, anywhere, and at the end."""
    x = -np.concatenate(
        [
            np.linspace(0, 1022, 4001),
            np.logspace(-20, 1, 500),
            np.arange(200) + 0.5,
            np.nextafter(np.arange(100) + 0.5, 0),
            np.random.default_rng(0).uniform(0, 2, 2000),
        ]
    )
    with mpmath.workprec(100):
        exact = [mpmath.mpf(2) ** float(value) for value in x]
        errors = [
            abs(float(ours) - truth) / float(np.spacing(float(truth)))
            for ours, truth in zip(powers(x), exact, strict=True)
        ]
    assert max(errors) <= 0.9


def test_exponential_at_the_edges():
    smallest = _simd.SMALLEST
    below = np.nextafter(smallest, -np.inf)
    x = [0.0, -0.0, smallest, below, -1074.0, -1e9, -1e300, -np.inf, np.nan]
    expected = [1.0, 1.0, 2.0**-1022, 0.0, 0.0, 0.0, 0.0, 0.0, np.nan]
    np.testing.assert_array_equal(powers(np.array(x)), expected)


@pytest.mark.parametrize(
    ("Rule", "advance", "K"), [(*KERNELS[0], 33), (*KERNELS[0], 100), (*KERNELS[1], 30)]
)
def test_many_responses(Rule, advance, K):
    rng = np.random.default_rng(K)
    rule = Rule(random(K, rng, strength=0.4), beta=0.5, alpha=0.4, lam=0.7)
    theta = rule.init(rng.dirichlet(np.ones(K), size=3))
    assert_same(advance(rule, theta, 3), *stepped(rule, theta, 3))


@each_kernel
def test_a_lane_may_hold_several_games(Rule, advance):
    """Orbits that share a game and orbits that do not take two paths; the map is the same."""
    rng = np.random.default_rng(1)
    games = random(5, rng, size=20, strength=0.4)
    rule = Rule(games, beta=0.7, alpha=0.5, lam=0.9)
    theta = rule.init(rng.dirichlet(np.ones(5), size=20))
    together = advance(rule, theta, 20)
    for i in (0, 7, 19):
        alone = advance(rule.replace(game=PreferenceMatrix(games.P[i])), theta[i], 20)
        np.testing.assert_allclose(together.theta[i], alone.theta, rtol=0, atol=1e-12)


@each_kernel
def test_threads_change_no_bit(Rule, advance, monkeypatch):
    rng = np.random.default_rng(2)
    rule = Rule(cycle(3, 0.4), beta=rng.uniform(0.05, 3, 300), alpha=0.5, lam=0.9)
    theta = rule.init(rng.dirichlet(np.ones(3), size=300))
    alone = advance(rule, theta, 40)
    monkeypatch.setattr(_lanes, "WORTH_THREADS", 0)
    monkeypatch.setattr(_lanes, "THREADS", 3)
    for ours, before in zip(advance(rule, theta, 40), alone, strict=True):
        np.testing.assert_array_equal(ours, before)


COUNT_CACHE = """
import numpy as np
from prefdyn.games import cycle
from prefdyn.rules import MRSDPO, MRSIPO, _lanes

for rule in (MRSIPO(cycle(3, 0.4), 1.0, 0.5, 0.9), MRSDPO(cycle(3, 0.4), 1.0, 0.5, 0.9)):
    rule.compiled(3)(rule, np.zeros(3), 1)
for responses in (3, 0):
    stats = _lanes._kernel(responses, _lanes._checksum()).stats
    print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


@pytest.mark.slow
def test_a_second_process_compiles_nothing():
    """The first process may have to; numba counts what it found on its disk cache."""
    for rule in (MRSIPO(cycle(3, 0.4), 1.0, 0.5, 0.9), MRSDPO(cycle(3, 0.4), 1.0, 0.5, 0.9)):
        rule.compiled(3)(rule, np.zeros(3), 1)
    second = subprocess.run(
        [sys.executable, "-c", COUNT_CACHE], capture_output=True, text=True, check=True
    )
    assert second.stdout.split() == ["1", "0", "1", "0"]
