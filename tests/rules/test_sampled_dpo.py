"""DPO on pairs from a sampler: weights, gradients, rates, and where it goes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefdyn import MRSDPO, InputError, SampledDPO, fixed_point, games
from prefdyn.policies import centre, softmax
from prefdyn.rules.sampled_dpo import MATCHED, SAMPLERS
from prefdyn.testing import check_rule, policies
from prefdyn.testing import games as drawn_games

quick = settings(max_examples=4)
REWARDS = np.array([0.9, 0.5, 0.4, 0.0])
BT = games.bradley_terry(REWARDS)


def weights(sampler, P, pi, reference, beta, clip=1.0):
    """From the definitions, pair by pair."""
    h = beta * np.log(pi / reference)
    w = np.ones(P.shape)
    for i, j in np.ndindex(P.shape):
        slope = {
            "mix_r": P[i, j] * P[j, i],
            "mix_p_clipped": sigmoid_slope(np.clip(h[i] - h[j], -clip, clip)),
        }.get(sampler, sigmoid_slope(h[i] - h[j]))
        w[i, j] = 1 / slope if sampler.startswith(("mix", "pilaf")) else 1.0
        w[i, j] *= pi[i] * pi[j] if sampler in ("on_policy", "pilaf") else 1.0
    return w


def sigmoid_slope(x):
    return 1 / (2 + np.exp(x) + np.exp(-x))


@pytest.mark.parametrize("sampler", SAMPLERS)
@quick
@given(data=st.data(), seed=st.integers(0, 99))
def test_contract_weights_and_gradient(sampler, data, seed):
    game = data.draw(drawn_games(2, 4, strength=0.45))
    reference, pi = (data.draw(policies(game.K, spread=2.0)) for _ in range(2))
    beta, rate = data.draw(st.floats(0.1, 2.0)), 0.3
    rule = SampledDPO(game, rate, beta, sampler, reference=reference)
    check_rule(rule, seed=seed)
    w = weights(sampler, game.P, pi, reference, beta)
    np.testing.assert_allclose(rule.pair_sampler(np.log(pi)), w / w.sum(), rtol=1e-9)

    def loss(x):
        h = beta * np.log(softmax(x) / reference)
        gap = h[:, None] - h
        either = game.P * np.log1p(np.exp(-gap)) + game.P.T * np.log1p(np.exp(gap))
        return (w / w.sum() * either).sum()

    theta = centre(np.log(pi))
    steps = 1e-5 * np.eye(game.K)
    slope = np.array([(loss(theta + h) - loss(theta - h)) / 2e-5 for h in steps])
    np.testing.assert_allclose(rule.step(theta, 0, None), theta - rate * slope, atol=1e-8)


@pytest.mark.parametrize("sampler", ["mix_r", "mix_p", "mix_p_clipped"])
def test_the_matched_rate_squares_the_error(sampler):
    """Near the solution an error of size e becomes one of e^2; half the rate leaves half of it."""
    beta = 2.0
    rule = SampledDPO(BT, None, beta, sampler)
    noise = np.array([1.0, -0.5, 0.7, 0.3])
    for size, allowed in ((1e-2, 1e-4), (1e-4, 1e-8)):
        theta = rule.step(centre((REWARDS + size * noise) / beta), 0, None)
        assert np.abs(beta * centre(theta) - centre(REWARDS)).max() < 2 * allowed
    theta = centre((REWARDS + 1e-4 * noise) / beta)
    half = rule.replace(rate=float(rule.matched_rate(theta)) / 2).step(theta, 0, None)
    np.testing.assert_allclose(
        beta * half - centre(REWARDS), 0.5e-4 * centre(noise), rtol=0, atol=1e-8
    )


def test_samplers_agree_on_reward_models_and_part_ways_on_cycles():
    cyclic = games.random(4, 0, strength=0.4)
    for game, together in ((BT, True), (cyclic, False)):
        found = [fixed_point(SampledDPO(game, 0.5, 1.0, s)).log_policy for s in SAMPLERS]
        spread = np.ptp(found, axis=0).max()
        assert (spread < 1e-9) == together
        assert spread > 0.01 or together


def test_fixed_and_current_pairs_rest_at_the_exact_optimum():
    game = games.rock_paper_scissors(0.3)
    reference = np.array([0.2, 0.3, 0.5])
    for sampler, lam in (("uniform", 0.0), ("on_policy", 1.0)):
        rule = SampledDPO(game, 0.5, 0.8, sampler, reference=reference)
        exact = MRSDPO(game, 0.8, 0.0, lam, reference)
        np.testing.assert_allclose(fixed_point(rule).policy, fixed_point(exact).policy, atol=1e-10)


def test_parameters_broadcast_as_a_loop_would():
    beta, clip = np.array([0.5, 2.0]), np.array([[0.2], [1.0]])
    theta = np.log([0.4, 0.3, 0.2, 0.1])
    together = SampledDPO(BT, None, beta, "mix_p_clipped", clip)
    found = together.step(together.init_log(theta), 0, None)
    for i, j in np.ndindex(2, 2):
        alone = SampledDPO(BT, None, beta[j], "mix_p_clipped", clip[i, 0])
        np.testing.assert_allclose(found[i, j], alone.step(centre(theta), 0, None), atol=1e-14)


def test_far_policies_give_finite_weights():
    for sampler in SAMPLERS:
        rule = SampledDPO(BT, 0.1, 1e3, sampler)
        assert np.all(np.isfinite(rule.step(np.array([300.0, 0.0, -300.0, 0.0]), 0, None)))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SampledDPO(BT, 0.1, 1.0, "mix_q"), "sampler 'mix_q' is not known"),
        (lambda: SampledDPO(BT, None, 1.0, "pilaf"), "has no matched rate"),
        (lambda: SampledDPO(BT, 0.0, 1.0), "rate is 0: it must be a finite number above 0"),
        (
            lambda: SampledDPO(games.rock_paper_scissors(0.5), 0.1, 1.0, "mix_r"),
            "draws a pair with a certain win with infinite weight",
        ),
    ],
)
def test_bad_parameters_are_refused_in_one_sentence(build, message):
    with pytest.raises(InputError, match=message) as error:
        build()
    assert str(error.value).endswith(".")


def test_the_matched_samplers_are_those_on_a_uniform_base():
    assert set(MATCHED) == set(SAMPLERS) - {"on_policy", "pilaf"}
