"""Extremes of beta, alpha, K and P: finite numbers or an error that says why there are none."""

import numpy as np
import pytest

from prefdyn import MRS, MRSDPO, MRSIPO, NoOptimum, PreferenceMatrix, ensemble, games, orbit
from prefdyn.policies import centre, log_softmax

BETAS = np.array([[1e-6], [1e-3], [1.0], [1e3], [1e6]])
ALPHAS = np.array([0.0, 0.5, 1.0])
FAST = {"ipo": MRSIPO, "dpo": MRSDPO}


def certain(K, seed=0):
    """A tournament of certain wins in which every response is reached from every other."""
    rng = np.random.default_rng(seed)
    A = np.triu(rng.choice([-0.5, 0.5], size=(K, K)), 1)
    A[np.arange(K - 1), np.arange(1, K)] = 0.5  # a path through all ...
    A[0, -1] = -0.5  # ... and the way back
    return PreferenceMatrix(0.5 + A - A.T)


def spread(K):
    return np.exp(log_softmax(np.linspace(1.0, -1.0, K)))


@pytest.mark.parametrize("K", [2, 3, 20, 200])
def test_orbits_stay_finite(K):
    uncertain = games.random(K, 1, strength=0.499)
    for cls, game in ((MRSIPO, uncertain), (MRSIPO, certain(max(K, 3))), (MRSDPO, uncertain)):
        betas = BETAS if K < 200 else BETAS[::2]
        rule = cls(game, betas, ALPHAS, 1.0)  # all recipes side by side
        run = orbit(rule, spread(rule.K), rounds=5)
        assert run.policies.shape == (6, len(betas), 3, rule.K)
        assert np.isfinite(run.log_policies).all()
        np.testing.assert_allclose(run.policies.sum(axis=-1), 1, atol=1e-12)
        reduced = ensemble(rule, spread(rule.K), rounds=15)
        assert all(np.isfinite(value).all() for value in reduced.values())
        assert np.all((reduced["entropy"] >= 0) & (reduced["entropy"] <= np.log(rule.K) + 1e-12))
        assert np.all((reduced["cycle_strength"] >= 0) & (reduced["cycle_strength"] <= 0.25))


@pytest.mark.parametrize("beta", BETAS.ravel())
@pytest.mark.parametrize("K", [3, 20])
def test_dpo_on_certain_wins_is_finite_or_says_why_not(K, beta):
    """Off-policy the optimum exists; on-policy the share of a response, hence it, may vanish."""
    off_policy = MRSDPO(certain(K), beta, 0.5, 0.0)
    assert np.isfinite(orbit(off_policy, spread(K), rounds=20).log_policies).all()
    on_policy = off_policy.replace(lam=1.0)
    last_policy = [
        lambda: orbit(on_policy, spread(K), rounds=20).policies[-1],
        lambda: ensemble(on_policy, spread(K), rounds=20)["last_policy"],
    ]
    for simulate in last_policy:
        try:
            assert simulate().sum() == pytest.approx(1)
        except NoOptimum as error:
            assert "too close to 0 or 1" in str(error)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize("simulate", [orbit, ensemble])
def test_dpo_that_runs_off_to_the_boundary_ends_in_an_error_not_a_crash(simulate):
    """rps(1/2), beta 1, alpha 1/2: log-odds grow without end until probabilities underflow."""
    rule = MRSDPO(games.rock_paper_scissors(0.5), 1.0, 0.5, 1.0)
    with pytest.raises(NoOptimum, match="too close to 0 or 1"):
        simulate(rule, [0.4, 0.3, 0.3], rounds=100)


@pytest.mark.parametrize("id", ["ipo", "dpo"])
@pytest.mark.parametrize("K", [2, 6, 30])
def test_the_loss_core_agrees_at_all_betas(K, id):
    game = games.random(K, 2, strength=0.49)
    slow, fast = MRS(game, id, BETAS, ALPHAS, 0.7), FAST[id](game, BETAS, ALPHAS, 0.7)
    theta = fast.init(spread(K))
    expected = fast.step(theta, 0, None)
    error = np.abs(slow.step(theta, 0, None) - expected) / np.maximum(1, np.abs(expected))
    assert error.max() < 1e-9


def test_the_loss_core_refuses_a_game_without_optimum():
    beaten = PreferenceMatrix([[0.5, 1.0], [0.0, 0.5]])
    with pytest.raises(NoOptimum, match="the population loss of dpo has no minimum"):
        MRS(beaten, "dpo", 0.5, 0.5, 1.0).update(np.zeros(2))
    expected = MRSIPO(beaten, 0.5, 0.5, 1.0).update(np.zeros(2))
    found = MRS(beaten, "ipo", 0.5, 0.5, 1.0).update(np.zeros(2))
    np.testing.assert_allclose(centre(found), centre(expected), atol=1e-12)


@pytest.mark.parametrize("rare", [1e-30, 1e-300])
@pytest.mark.parametrize("cls", [MRSIPO, MRSDPO])
def test_policies_that_almost_exclude_a_response(cls, rare):
    policy = np.array([0.5, 0.5, rare])
    rule = cls(games.rock_paper_scissors(0.4), 0.5, 0.5, 1.0, reference=policy, offline=policy)
    state = rule.init(policy)
    assert rule.log_policy(state)[2] == pytest.approx(np.log(rare), rel=1e-14)
    run = orbit(rule, policy, rounds=50)
    assert np.isfinite(run.log_policies).all()
    # The reference holds it down: log ref is some hundred nats, the drive only a few.
    assert run.log_policies[-1, 2] < np.log(rare) + 20
    core = MRS(rule.game, "ipo" if cls is MRSIPO else "dpo", 0.5, 0.5, 1.0, policy, policy)
    expected = rule.step(state, 0, None)
    np.testing.assert_allclose(core.step(state, 0, None), expected, rtol=1e-10)


def test_log_probabilities_far_below_the_smallest_float_keep_moving():
    """alpha = 1 collapses linearly in log-odds, for ever: 2,000 rounds of -10 nats each."""
    game = games.bradley_terry([2.0, 0.0, -1.0])
    rule = MRSIPO(game, 0.02, 1.0, 1.0)
    run = orbit(rule, rounds=2000)
    odds = run.log_policies[:, 0] - run.log_policies[:, 1]
    slope = 0.5 - game.P[1, 0]  # (1/beta)(1/2 - P_10): all opponents are response 0 by then
    assert run.log_policies[-1].min() < -20_000
    assert odds[-1] - odds[-2] == pytest.approx(slope / 0.02, rel=1e-9)
