"""Rounds on votes that a rule draws as its algorithm does."""

import numpy as np
import pytest

from prefdyn import (
    EGPO,
    IPOMD,
    FiniteSample,
    Inexact,
    InputError,
    Momentum,
    NashMD,
    NashMDPG,
    OnlineIPO,
    SampledDPO,
    games,
    orbit,
    stability,
)
from prefdyn.rules._votes import voted
from prefdyn.rules.sampled_dpo import SAMPLERS
from prefdyn.testing import check_rule

GAME = games.random(3, 1, strength=0.4)
REFERENCE = np.array([0.25, 0.3, 0.45])
START = np.array([0.5, 0.3, 0.2])
GRADIENT_RULES = [
    OnlineIPO(GAME, 0.3, 0.5, reference=REFERENCE),
    OnlineIPO(GAME, 0.3, 0.5, "uniform", reference=REFERENCE),
    IPOMD(GAME, 0.3, 0.5, 0.4, reference=REFERENCE),
    NashMDPG(GAME, 0.8, 0.5, 0.4, reference=REFERENCE),
    *(SampledDPO(GAME, 0.5, 0.8, sampler, reference=REFERENCE) for sampler in SAMPLERS),
]
RULES = [EGPO(GAME, 0.5, 0.4, REFERENCE), NashMD(GAME, 0.5, 0.4, REFERENCE), *GRADIENT_RULES]


@pytest.mark.parametrize("rule", GRADIENT_RULES, ids=lambda rule: type(rule).__name__)
def test_the_mean_of_steps_on_votes_is_the_exact_step(rule):
    """Both are linear in the votes, so there is no bias; five standard errors are one in 10^6."""
    n, votes = 20_000, 7
    state = rule.init(START)
    copies = np.tile(state, (n, 1))
    noisy = FiniteSample(rule, votes).step(copies, 0, np.random.default_rng(0))
    error = noisy.std(axis=0) / np.sqrt(n)
    exact = rule.step(state, 0, None)
    assert np.all(np.abs(noisy.mean(axis=0) - exact) < 5 * error)
    # The test can fail: it would see a step that is 5 % too large.
    assert np.any(5 * error < 0.05 * np.abs(exact - state))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_many_votes_are_the_exact_round(rule):
    state = rule.init(START)
    noisy = FiniteSample(rule, 10**9).step(state, 0, np.random.default_rng(0))
    error = np.abs(noisy - rule.step(state, 0, None)).max()
    assert 0 < error < 1e-3


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_rounds_on_votes_keep_the_contract_and_the_skeleton(rule):
    noisy = FiniteSample(rule, 20)
    check_rule(noisy)
    assert noisy.skeleton is rule
    wrapped = FiniteSample(Inexact(Momentum(rule, 0.3), 0.5), 20)
    check_rule(wrapped)
    exact = stability(wrapped.rule).multipliers
    np.testing.assert_allclose(stability(wrapped).multipliers, exact, atol=1e-12)
    run = orbit(noisy, np.tile(START, (3, 1)), rounds=1)
    assert len(np.unique(run.policies[1, :, 0])) == 3  # each member draws its own votes


@pytest.mark.parametrize("rule", [RULES[0], *GRADIENT_RULES], ids=lambda rule: type(rule).__name__)
def test_votes_may_be_the_rules_own(rule):
    own, state = rule.replace(votes=20), rule.init(START)
    assert own.stochastic
    assert not rule.stochastic
    assert own.skeleton.fingerprint() == rule.fingerprint()
    assert own.backends == ("numpy",)
    found = own.step(state, 0, np.random.default_rng(3))
    expected = FiniteSample(rule, 20).step(state, 0, np.random.default_rng(3))
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(InputError, match="draws votes: pass a numpy Generator"):
        own.step(state, 0, None)


def test_a_single_pair_pushes_two_responses():
    """One vote moves the logits of the two that met, by beta rate (vote - sigmoid), only."""
    rule = SampledDPO(GAME, 0.5, 0.8, "uniform", votes=1)
    theta = np.zeros(3)
    rng = np.random.default_rng(0)
    moves = np.array([rule.step(theta, 0, rng) for _ in range(50)])
    moved = np.abs(moves) > 0
    assert set(moved.sum(axis=1)) == {0, 2}
    np.testing.assert_allclose(np.unique(np.abs(moves[moved])), 0.5 * 0.8 / 2)


def test_the_two_halves_of_an_extragradient_step_see_their_own_votes():
    """Among ties fresh votes mean no drift; votes seen twice would drive towards uniform."""
    ties = games.PreferenceMatrix(np.full((3, 3), 0.5))
    rule, n = EGPO(ties, 1.0, 0.0), 20_000
    state = rule.init(np.tile([0.8, 0.1, 0.1], (n, 1)))
    moves = FiniteSample(rule, 1).step(state, 0, np.random.default_rng(0)) - state
    same = games.PreferenceMatrix(voted(ties.P, 1, np.random.default_rng(0), (n,)))
    twice = EGPO(same, 1.0, 0.0).step(state, 0, None) - state
    bound = 5 * moves.std(axis=0) / np.sqrt(n)
    assert np.all(np.abs(moves.mean(axis=0)) < bound)
    assert np.any(np.abs(twice.mean(axis=0)) > bound)
