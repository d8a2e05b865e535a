"""Rounds that learn the sampler from votes."""

import numpy as np
import pytest

from prefdyn import (
    MRSDPO,
    MRSIPO,
    InputError,
    LearnedSampler,
    PreferenceMatrix,
    fixed_point,
    max_margin_sampler,
    orbit,
    stability,
)
from prefdyn.games import condorcet_over_cycle, cycle, rock_paper_scissors
from prefdyn.rules import get
from prefdyn.testing import check_rule

START = np.full(4, 0.25)


def built_to_fail():
    """Response 0 beats all narrowly, 1 all others for certain: a uniform sampler prefers 1."""
    A = np.triu(np.full((4, 4), 0.1), 1)
    A[1, 2:] = 0.45
    return PreferenceMatrix(0.5 + A - A.T)


@pytest.mark.parametrize("kind", [MRSIPO, MRSDPO])
def test_rounds_come_to_prefer_the_condorcet_winner_that_a_fixed_sampler_loses(kind):
    rule = kind(built_to_fail(), beta=0.2, alpha=0.3, lam=0.0)
    assert np.argmax(orbit(rule, START, 30).policies[-1]) == 1
    learned = LearnedSampler(rule, votes=100)
    states = [learned.init(START)]
    for t in range(40):
        states.append(learned.step(states[-1], t, np.random.default_rng(t)))
    assert learned.evidence(states[-1]).certified
    policies = np.exp(learned.log_policy(np.array(states)))
    assert np.all(policies[-5:].argmax(axis=-1) == 0)
    votes = [learned.evidence(state).wins.sum() for state in states]
    np.testing.assert_allclose(np.diff(votes), 100)


def test_many_votes_lead_to_the_max_margin_sampler_of_the_true_game():
    rule = MRSIPO(built_to_fail(), beta=0.5, alpha=0.0, lam=0.0)
    learned = LearnedSampler(rule, votes=10**6)
    limit = learned.skeleton
    # The best sampler is not unique here, its margin is.
    margin = max_margin_sampler(rule.game).margin
    for policy in (fixed_point(limit).policy, orbit(learned, START, 30, seed=0).policies[-1]):
        lead = np.log(policy[0]) - np.log(policy[1:].max())
        assert lead == pytest.approx(margin / 0.5, rel=0.02)
    assert stability(learned).spectral_radius == pytest.approx(0, abs=1e-12)
    mu = max_margin_sampler(rule.game).policy
    np.testing.assert_allclose(limit.offline, mu)  # pyright: ignore[reportAttributeAccessIssue]


def test_where_all_are_in_the_smith_set_the_limit_samples_uniformly():
    rule = MRSIPO(cycle(3, 0.2), beta=1.0, alpha=0.0, lam=0.5, offline=[0.5, 0.3, 0.2])
    limit = LearnedSampler(rule, votes=10).skeleton
    np.testing.assert_allclose(limit.mu0, 1 / 3)  # pyright: ignore[reportAttributeAccessIssue]


def test_orbits_of_a_batch_ask_on_their_own():
    learned = LearnedSampler(MRSIPO(condorcet_over_cycle(0.1, 0.4), 0.5, 0.0, 0.5), votes=20)
    found = orbit(learned, np.tile(START, (3, 1)), 4, seed=1)
    assert found.policies.shape == (5, 3, 4)
    assert np.ptp(found.policies[-1], axis=0).max() > 1e-3


def test_the_rule_keeps_the_contract():
    check_rule(LearnedSampler(MRSIPO(rock_paper_scissors(0.3), 0.5, 0.2, 0.5), votes=10), seed=0)
    assert get("learned_sampler") is LearnedSampler


def test_what_it_cannot_wrap_or_run_is_said():
    rule = MRSIPO(rock_paper_scissors(0.3), 0.5, 0.2, 0.5)
    with pytest.raises(InputError, match="votes is 0"):
        LearnedSampler(rule, votes=0)
    with pytest.raises(InputError, match="delta is 1"):
        LearnedSampler(rule, votes=5, delta=1.0)
    learned = LearnedSampler(rule, votes=5)
    with pytest.raises(InputError, match="pass a numpy Generator"):
        learned.step(learned.init(np.full(3, 1 / 3)), 0, None)
