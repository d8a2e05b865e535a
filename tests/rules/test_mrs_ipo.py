"""MRS-IPO: the optimum and the map, each from its definition."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from prefdyn import MRSIPO, games
from prefdyn.policies import centre, kl, log_softmax
from prefdyn.testing import games as any_game
from prefdyn.testing import policies, recipes, rules


@given(game=any_game(), data=st.data())
def test_the_optimum_solves_the_weighted_least_squares(game, data):
    """At alpha = 0 a round minimises sum mu_i mu_j P_ij (u_i - u_j - 1/(2 beta))^2 (IPO-1)."""
    recipe = data.draw(recipes(game.K)) | {"alpha": 0.0, "lam": 0.0}
    rule = MRSIPO(game, **recipe)
    mu, beta = recipe["offline"], recipe["beta"]
    u = centre(rule.update(np.zeros(game.K)) - np.log(recipe["reference"]))
    weights = np.sqrt(mu[:, None] * mu * game.P).ravel()
    rows = (np.eye(game.K)[:, None] - np.eye(game.K)).reshape(-1, game.K)
    solution = np.linalg.lstsq(weights[:, None] * rows, weights / (2 * beta), rcond=1e-14)[0]
    np.testing.assert_allclose(u, centre(solution), atol=1e-8 * max(1, np.abs(u).max()))


@given(game=any_game(), data=st.data())
def test_the_optimum_beats_mixtures_in_regularised_win_rate(game, data):
    """It maximises win rate against the sampler minus beta KL to the reference (IPO-1)."""
    recipe = data.draw(recipes(game.K)) | {"alpha": 0.0, "lam": 0.0}
    mu, log_ref, beta = recipe["offline"], np.log(recipe["reference"]), recipe["beta"]

    def value(log_policy):
        return np.exp(log_policy) @ game.P @ mu - beta * kl(log_policy, log_ref)

    best = log_softmax(MRSIPO(game, **recipe).update(np.zeros(game.K)))
    other = np.log(0.9 * np.exp(best) + 0.1 * data.draw(policies(game.K)))
    assert value(best) >= value(other) - 1e-12 * max(1.0, beta * np.abs(best).max())


@given(rule=rules(kinds=[MRSIPO], strength=0.5), data=st.data())
def test_a_round_is_the_optimum_for_the_mixed_reference_and_sampler(rule, data):
    """Mix reference and sampler as probabilities, then apply the one-shot optimum (MRS-1)."""
    policy = data.draw(policies(rule.K))
    reference = policy**rule.alpha * rule.reference ** (1 - rule.alpha)
    sampler = rule.lam * policy + (1 - rule.lam) * rule.offline
    optimum = reference * np.exp(rule.game.P @ sampler / rule.beta)
    found = rule.log_policy(rule.step(rule.init(policy), 0, None))
    np.testing.assert_allclose(found, np.log(optimum / optimum.sum()), atol=1e-11, rtol=1e-11)


def test_uniform_is_left_alone_by_rock_paper_scissors():
    rule = MRSIPO(games.rock_paper_scissors(0.5), 0.01, 0.3, 1.0)
    np.testing.assert_allclose(rule.step(rule.init(np.full(3, 1 / 3)), 0, None), 0, atol=1e-13)
