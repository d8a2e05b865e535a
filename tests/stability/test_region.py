"""The stability region as a property: small perturbations shrink or grow at the predicted rate."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from prefdyn import MRSDPO, MRSIPO, Inexact, Momentum, fixed_point, games, stability
from prefdyn.policies import log_softmax, softmax, softmax_jacobian
from prefdyn.rules import bradley_terry_scores
from prefdyn.testing import games as any_game
from prefdyn.testing import policies


def square_root(policy):
    """B with B B^T = J(pi) = diag(pi) - pi pi^T, accurate where J^(1/2) loses half the digits."""
    root = np.sqrt(policy)
    return root[..., :, None] * (np.eye(policy.shape[-1]) - root[..., :, None] * root[..., None, :])


def strength(A, policy):
    """The singular value s of claim MRS-4: multipliers are alpha +- i lam s_k / beta."""
    B = square_root(policy)
    return np.linalg.norm(np.swapaxes(B, -1, -2) @ A @ B, 2, axis=(-2, -1))


def recipe_with_fixed_point(game, policy, beta, alpha, lam, offline, drive):
    """Reference that makes `policy` the fixed point: solve the fixed-point equation for it."""
    sampler = lam * policy + (1 - lam) * offline
    log_reference = log_softmax(np.log(policy) - drive(sampler) / (beta * (1 - alpha)))
    return {
        "beta": beta,
        "alpha": alpha,
        "lam": lam,
        "offline": offline,
        "log_reference": log_reference,
    }


def tangent(neutral):
    """Orthonormal basis of the directions orthogonal to the columns of `neutral`."""
    n, m = neutral.shape
    return np.linalg.qr(np.concatenate([neutral, np.eye(n)], axis=1))[0][:, m:]


def log_slope(rule, state, size=1e-6):
    """Rate per round of the leading mode: slope of log |p^H (x_t - x*)|, p the left eigenvector.

    The projection on a left eigenvector follows its own multiplier alone, however close the others.
    """
    basis = tangent(rule.neutral)
    step = 1e-5  # an own Jacobian, so that a wrong one in the rule cannot agree with itself
    jacobian = np.stack(
        [
            (rule.step(state + step * e, 0, None) - rule.step(state - step * e, 0, None)) @ basis
            for e in basis.T
        ],
        axis=1,
    ) / (2 * step)
    values, vectors = np.linalg.eig(jacobian.T)
    left = vectors[:, np.argmax(np.abs(values))]
    rate = np.log(np.abs(values).max())
    rounds = int(np.clip(np.ceil(5 / abs(rate)), 3, 1000))
    kick = max(np.real(left), np.imag(left), key=np.linalg.norm)
    x = state + size * min(1.0, np.exp(-rate * rounds)) * basis @ kick
    sizes = []
    for t in range(rounds + 1):
        sizes.append(np.log(abs((x - state) @ basis @ left)))
        x = rule.step(x, t, None)
    return np.polyfit(np.arange(rounds + 1), sizes, 1)[0]


def assert_grows_as_predicted(rule):
    linear = stability(rule)
    rate = np.log(linear.spectral_radius)
    assert log_slope(rule, linear.point.state) == pytest.approx(rate, rel=5e-3)
    return linear


# alpha^2 + (lam s / beta)^2: from 1 % on either side of the boundary to far from it.
sides = st.one_of(st.floats(0.3, 0.99), st.floats(1.01, 2.0))


@given(
    game=any_game(min_K=3, max_K=6),
    data=st.data(),
    alpha=st.floats(0.0, 0.9),
    lam=st.floats(0.1, 1.0),
    value=sides,
)
def test_ipo_on_both_sides_of_the_exact_boundary(game, data, alpha, lam, value):
    """MRS-4 for any P, ref and mu0; the fixed point is chosen first, so that every side is met."""
    policy = data.draw(policies(game.K, spread=2.0))
    offline = data.draw(policies(game.K, spread=2.0))
    s = strength(game.skew, policy)
    assume(s > 1e-3)
    assume(value > alpha**2 + 1e-2)
    beta = lam * s / np.sqrt(value - alpha**2)
    recipe = recipe_with_fixed_point(
        game, policy, beta, alpha, lam, offline, lambda mu: game.skew @ mu
    )
    assume(np.ptp(recipe["log_reference"]) < 100)
    rule = MRSIPO(game, **recipe)
    linear = assert_grows_as_predicted(rule)
    np.testing.assert_allclose(linear.point.policy, policy, rtol=1e-8)  # unique: MRS-3
    assert linear.spectral_radius == pytest.approx(np.sqrt(value), rel=1e-7)
    assert linear.kind == ("stable" if value < 1 else "neimark_sacker")
    np.testing.assert_allclose(np.real(linear.multipliers), alpha, atol=1e-7)


@settings(max_examples=25)
@given(
    game=any_game(min_K=3, max_K=5, strength=0.45),
    data=st.data(),
    alpha=st.floats(0.0, 0.9),
    lam=st.floats(0.1, 1.0),
    log_beta=st.floats(-2.0, 1.0),
)
def test_dpo_on_both_sides(game, data, alpha, lam, log_beta):
    """Jacobian alpha I + (lam / beta) M^+ B J of claim DPO-6, written out here once more."""
    policy = data.draw(policies(game.K, spread=1.5))
    offline = data.draw(policies(game.K, spread=1.5))
    beta = float(np.exp(log_beta))
    recipe = recipe_with_fixed_point(
        game, policy, beta, alpha, lam, offline, lambda mu: bradley_terry_scores(game.P, mu)
    )
    assume(np.ptp(recipe["log_reference"]) < 100)
    mu = lam * policy + (1 - lam) * offline
    r = bradley_terry_scores(game.P, mu)
    win = 1 / (1 + np.exp(r[None, :] - r[:, None]))
    weights = mu * win * (1 - win)
    laplacian = np.diag(weights.sum(axis=1)) - weights
    response = np.linalg.pinv(laplacian) @ (game.P - win) @ softmax_jacobian(policy)
    basis = tangent(np.ones((game.K, 1)))
    expected = np.abs(alpha + lam / beta * np.linalg.eigvals(basis.T @ response @ basis)).max()
    point = fixed_point(MRSDPO(game, **recipe), policy)
    linear = stability(MRSDPO(game, **recipe), point)
    np.testing.assert_allclose(point.policy, policy, rtol=1e-8)
    assert linear.spectral_radius == pytest.approx(expected, rel=1e-5)
    assume(abs(linear.spectral_radius - 1) > 0.005 and linear.spectral_radius > 0.05)
    rate = np.log(linear.spectral_radius)
    slope = log_slope(MRSDPO(game, **recipe), point.state)
    assert slope == pytest.approx(rate, rel=5e-3)


@settings(max_examples=25)
@given(
    game=any_game(min_K=3, max_K=4),
    data=st.data(),
    alpha=st.floats(0.0, 0.9),
    kappa=st.floats(0.05, 1.0),
    momentum=st.floats(0.0, 0.8),
    value=sides,
)
def test_wrapped_rules_on_both_sides(game, data, alpha, kappa, momentum, value):
    policy = data.draw(policies(game.K, spread=1.5))
    s = strength(game.skew, policy)
    assume(s > 1e-3)
    assume(value > alpha**2 + 1e-2)
    beta = s / np.sqrt(value - alpha**2)
    recipe = recipe_with_fixed_point(
        game, policy, beta, alpha, 1.0, policy, lambda mu: game.skew @ mu
    )
    assume(np.ptp(recipe["log_reference"]) < 100)
    rule = MRSIPO(game, **recipe)
    for wrapped in (Inexact(rule, kappa), Momentum(rule, momentum)):
        radius = stability(wrapped).spectral_radius
        assume(abs(radius - 1) > 0.003)
        assert_grows_as_predicted(wrapped)


@pytest.mark.slow
@pytest.mark.parametrize("K", [3, 4, 6, 10])
def test_the_boundary_of_ipo_in_many_draws(K):
    """25,000 recipes at once, 1 % to 30 % from the boundary: the sign of growth is never wrong."""
    rng = np.random.default_rng(K)
    n = 25_000
    game = games.random(K, rng, size=n)
    policy, offline = rng.dirichlet(np.ones(K), size=(2, n)) * 0.9 + 0.1 / K
    alpha, lam = rng.uniform(0, 0.9, n), rng.uniform(0.1, 1, n)
    side = rng.choice([-1.0, 1.0], n)
    value = 1 + side * rng.uniform(0.01, 0.3, n)
    value = np.maximum(value, alpha**2 + 0.02)
    side = np.sign(value - 1)
    s = strength(game.skew, policy)
    beta = lam * s / np.sqrt(value - alpha**2)
    mu = lam[:, None] * policy + (1 - lam[:, None]) * offline
    drive = (game.skew @ mu[..., None])[..., 0] / (beta * (1 - alpha))[:, None]
    log_reference = log_softmax(np.log(policy) - drive)
    rule = MRSIPO(game, beta, alpha, lam, offline=offline, log_reference=log_reference)
    home = rule.init(policy)
    np.testing.assert_allclose(rule.step(home, 0, None), home, atol=1e-9, rtol=1e-9)
    # Leading left eigenvector of alpha I + (lam / beta) A J: its projection grows by the radius.
    jacobian = game.skew @ softmax_jacobian(softmax(home))
    values, vectors = np.linalg.eig(np.swapaxes(jacobian, -1, -2))
    lead = np.argmax(np.abs(np.imag(values)), axis=-1)
    left = np.take_along_axis(vectors, lead[:, None, None], axis=-1)[..., 0]
    kick = np.real(left)
    x = home + 1e-6 * kick
    sizes = []
    for t in range(40):
        sizes.append(np.abs(((x - home) * left).sum(axis=-1)))
        x = rule.step(x, t, None)
    slope = (np.log(sizes[-1]) - np.log(sizes[0])) / (len(sizes) - 1)
    clear = np.linalg.norm(kick, axis=-1) > 0.3
    assert clear.mean() > 0.5
    wrong = clear & (np.sign(slope) != side)
    assert not wrong.any(), f"{wrong.sum()} of {n}"
