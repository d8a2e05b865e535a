"""The word on a recipe: what it rests on, and which far starts were tried."""

import numpy as np
import pytest

from prefdyn import MRSDPO, MRSIPO, InputError, NoOptimum, PreferenceMatrix, stability, verdict
from prefdyn._stability.verdict import ASTRAY, astray, far_policies, follow_far_starts
from prefdyn.games import random, rock_paper_scissors
from prefdyn.policies import softmax

RPS = rock_paper_scissors(0.4)


def tops(log_policies):
    """Responses whose vertices were tried."""
    policies = np.exp(log_policies)
    held = np.isclose(policies.max(axis=-1), 0.98, rtol=1e-12)
    return policies.argmax(axis=-1)[held]


@pytest.mark.parametrize(("K", "number"), [(3, 6), (3, 64), (8, 16)])
def test_every_vertex_is_tried_where_there_are_starts_enough(K, number):
    starts = far_policies(K, number, seed=0)
    assert starts.shape == (number, K)
    assert sorted(tops(starts)) == list(range(K))
    np.testing.assert_allclose(np.exp(starts).sum(axis=-1), 1, rtol=1e-12)


@pytest.mark.parametrize(("K", "number", "vertices"), [(8, 8, 4), (8, 15, 8), (40, 16, 8)])
def test_of_many_responses_a_random_half_of_the_starts_are_vertices(K, number, vertices):
    tried = [tuple(sorted(tops(far_policies(K, number, seed)))) for seed in range(5)]
    assert {len(set(found)) for found in tried} == {vertices}
    assert far_policies(K, number, 0).shape == (number, K)
    if vertices < K:
        assert len(set(tried)) > 1
        assert set().union(*tried) - set(range(vertices))


def test_far_starts_repeat_with_their_seed():
    np.testing.assert_array_equal(far_policies(5, 20, 3), far_policies(5, 20, 3))
    assert not np.array_equal(far_policies(5, 20, 3), far_policies(5, 20, 4))


@pytest.mark.parametrize(
    ("radius", "first", "second", "lost"),
    [
        (0.9, 0.3, 0.3, True),  # stays away
        (0.9, 0.3, 0.2, False),  # nearer than before: on its way
        (0.9, 0.3, 1e-4, False),  # came home
        (0.99999, 0.3, 0.3, False),  # too few rounds to tell
        (1.0, 0.3, 0.3, False),
        (40.0, 0.3, 0.3, False),  # nowhere to come home to
    ],
)
def test_astray_is_away_no_nearer_and_given_time(radius, first, second, lost):
    linear = stability(MRSIPO(RPS, 1.0, 0.5, 1.0))
    linear = type(linear)(**{**vars(linear), "spectral_radius": np.asarray(radius)})
    assert bool(astray(linear, np.array([first]), np.array([second]), 1000)[0]) is lost


def test_a_batch_follows_each_game_to_its_own_fixed_point():
    batch = PreferenceMatrix(np.stack([RPS.P, random(3, 1).P]))
    rule = MRSIPO(batch, 0.5, 0.5, 1.0)
    first, second, rounds = follow_far_starts(rule, stability(rule), 8, seed=0)
    assert first.shape == second.shape == (8, 2)
    assert rounds >= 1000
    assert second.max() < ASTRAY


def test_the_number_in_the_word_is_of_those_that_came_home():
    for beta, alpha in ((0.3, 0.5), (200.0, 0.999999)):
        judged = verdict(MRSIPO(RPS, beta, alpha, 1.0), far_starts=7)
        far = judged.far_starts
        assert far is not None
        assert (far.number, far.astray, far.distance) == (7, 0, 0.0)
        home = far.number - far.slow
        assert judged.word == f"locally stable, not refuted by {home} far starts"


def test_far_starts_see_an_attractor_that_linear_analysis_does_not():
    rule = MRSDPO(rock_paper_scissors(0.47), 1.005 * 4 * 0.47 / np.sqrt(3), 0.0, 1.0)  # NS-4
    judged = verdict(rule, far_starts=8)
    assert judged.word == "bistable"
    far = judged.far_starts
    assert far is not None
    assert far.astray > 0
    assert 0.1 < far.distance < 0.8
    assert judged.stability.spectral_radius < 1


@pytest.mark.parametrize("cls", [MRSIPO, MRSDPO])
def test_a_sampler_that_never_moves_is_certified(cls):
    rule = cls(RPS, 0.01, 0.6, 0.0, offline=[0.6, 0.3, 0.1])
    judged = verdict(rule)
    assert (judged.word, judged.far_starts) == ("certified", None)
    holding = {c.name: c.value for c in judged.certificates if c.holds and c.proves == "global"}
    assert pytest.approx(0.6) in holding.values()  # contracts by alpha
    one, two = rule.init_log(np.log([0.8, 0.1, 0.1])), rule.init_log(np.log([0.1, 0.2, 0.7]))
    before, after = two - one, rule.update(two) - rule.update(one)
    np.testing.assert_allclose(after - after.mean(), 0.6 * before, atol=1e-10)
    assert verdict(rule.replace(lam=0.3)).word != "certified"


def test_the_fixed_point_in_the_evidence_is_one():
    judged = verdict(MRSIPO(random(4, 2), 0.5, 0.3, 0.5))
    policy = judged.stability.point.policy
    rule = MRSIPO(random(4, 2), 0.5, 0.3, 0.5)
    np.testing.assert_allclose(softmax(rule.update(np.log(policy))), policy, atol=1e-12)


def test_questions_without_an_answer():
    with pytest.raises(InputError, match="pass a rule without batch"):
        verdict(MRSIPO(RPS, [0.1, 0.2], 0.5, 1.0))
    with pytest.raises(InputError, match="far_starts is 0"):
        verdict(MRSIPO(RPS, 0.3, 0.5, 1.0), far_starts=0)
    with pytest.raises(NoOptimum):
        verdict(MRSIPO(random(3, 5), 0.3, 1.0, 0.0))
