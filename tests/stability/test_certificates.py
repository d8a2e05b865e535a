"""No certificate is ever false: what it promises is simulated, at the bound and inside it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from prefdyn import (
    MRSDPO,
    MRSIPO,
    Inexact,
    LogitRule,
    Momentum,
    certificates,
    ensemble,
    fixed_point,
    games,
    orbit,
    stability,
)
from prefdyn.policies import centre, kl, softmax
from prefdyn.testing import games as any_game
from prefdyn.testing import policies, rules


def named(rule):
    return {certificate.name: certificate for certificate in certificates(rule)}


@given(rule=rules(kinds=[MRSIPO], min_K=3, strength=0.5), data=st.data(), value=st.floats(0.5, 1.0))
def test_a_contraction_contracts(rule, data, value):
    """MRS-2 at the stated factor, between any two policies."""
    alpha, lam = float(rule.alpha), float(rule.lam)
    norm = np.linalg.norm(rule.game.skew, 2)
    assume(value > alpha + 1e-3 and lam * norm > 1e-6)
    rule = rule.replace(beta=lam * norm / (2 * (value - alpha)))
    certificate = named(rule)["contraction"]
    assert certificate.value == pytest.approx(value, rel=1e-12)
    assert certificate.holds == (certificate.value < 1)
    one, two = (rule.init(data.draw(policies(rule.K))) for _ in range(2))
    apart = np.linalg.norm(one - two)
    assume(apart > 1e-6)
    after = np.linalg.norm(rule.step(one, 0, None) - rule.step(two, 0, None))
    assert after <= certificate.value * apart * (1 + 1e-9)


@given(rule=rules(kinds=[MRSIPO], min_K=3, strength=0.5), data=st.data(), value=st.floats(0.5, 1.0))
def test_mirror_descent_shrinks_the_divergence_by_alpha(rule, data, value):
    """MRS-9: KL(pi*, pi_t+1) <= alpha KL(pi*, pi_t) from every interior start."""
    alpha, lam = float(rule.alpha), float(rule.lam)
    largest = np.abs(rule.game.skew).max()
    assume(alpha > 0.01 and lam * largest > 1e-6)
    rule = rule.replace(beta=lam * largest / np.sqrt(value * alpha * (1 - alpha)))
    certificate = named(rule)["mirror_descent"]
    assert certificate.value == pytest.approx(value, rel=1e-9)
    home = fixed_point(rule).log_policy
    run = orbit(rule, data.draw(policies(rule.K)), rounds=20, tolerance=0)
    divergence = kl(home, run.log_policies)
    clear = divergence[:-1] > 1e-10  # below, rounding of the fixed point is all there is
    assert np.all(divergence[1:][clear] <= alpha * divergence[:-1][clear] * (1 + 1e-6))


@settings(max_examples=60)
@given(rule=rules(strength=0.49, min_beta=0.02))
def test_a_global_certificate_is_never_given_to_an_unstable_recipe(rule):
    radius = stability(rule).spectral_radius
    for certificate in certificates(rule):
        if certificate.proves == "global" and certificate.holds:
            assert radius < 1
        if certificate.name == "local_boundary":
            assert certificate.value == pytest.approx(radius**2, rel=1e-9)
            assert certificate.holds == (radius < 1)


@settings(max_examples=15)
@given(
    game=any_game(min_K=2, max_K=5, kind="strongly_transitive"),
    alpha=st.floats(0.0, 0.9),
    lam=st.floats(0.0, 1.0),
    log_beta=st.floats(-3, 2),
    data=st.data(),
)
def test_the_collapse_bound_holds_at_the_fixed_point_and_along_orbits(
    game, alpha, lam, log_beta, data
):
    """MRS-11 and DPO-4: at most the stated mass is left outside the top response."""
    reference = data.draw(policies(game.K, spread=2.0))
    for cls in (MRSIPO, MRSDPO):
        if cls is MRSDPO and (game.P == 0).any():
            continue
        rule = cls(game, float(np.exp(log_beta)), alpha, lam, reference)
        bound = named(rule).get("collapse")
        if bound is None:
            continue
        top = int(np.argmax(game.P.sum(axis=-1)))
        outside = 1 - fixed_point(rule).policy[top]
        assert outside <= bound.value + 1e-9
        start = rule.init(data.draw(policies(game.K)))
        last = softmax(rule.compiled(game.K)(rule, start, 400).theta)
        assert 1 - last[top] <= bound.value + alpha**400 * 20 + 1e-9


def test_values_from_the_published_example():
    """MRS-9: rps(.5), alpha = .5, lam = 1: contraction above .866, mirror descent from 1."""
    game = games.rock_paper_scissors(0.5)
    for beta, holds in ((0.85, (False, False)), (0.88, (True, False)), (1.0, (True, True))):
        known = named(MRSIPO(game, beta, 0.5, 1.0))
        found = (bool(known["contraction"].holds), bool(known["mirror_descent"].holds))
        assert found == holds
    boundary = named(MRSIPO(game, 1 / 3, 0.5, 1.0))["local_boundary"]
    assert boundary.value == pytest.approx(1, rel=1e-12)


def test_every_certificate_states_itself_and_its_claim():
    rules_ = [
        MRSIPO(games.bradley_terry([2.0, 0.0, -1.0]), 0.5, 0.5, 1.0),
        MRSDPO(games.bradley_terry([2.0, 0.0, -1.0]), 0.5, 0.5, 1.0),
    ]
    for rule in rules_:
        for certificate in certificates(rule):
            assert certificate.statement
            assert certificate.claim.startswith(("MRS-", "DPO-"))
            assert certificate.proves in ("global", "local", "collapse")
    assert set(named(rules_[0])) == {"contraction", "mirror_descent", "local_boundary", "collapse"}
    assert set(named(rules_[1])) == {"contraction", "local_boundary", "collapse"}


@given(rule=rules(kinds=[MRSDPO], max_K=4), data=st.data())
def test_dpo_is_certified_for_a_fixed_sampler_only(rule, data):
    """At lam = 0 a round contracts by alpha exactly; no global condition is known beyond."""
    assert not named(rule.replace(lam=0.5))["contraction"].holds
    fixed = rule.replace(lam=0.0)
    certificate = named(fixed)["contraction"]
    assert certificate.holds
    one, two = (fixed.init(data.draw(policies(rule.K))) for _ in range(2))
    after = fixed.step(one, 0, None) - fixed.step(two, 0, None)
    np.testing.assert_allclose(after, certificate.value * (one - two), atol=1e-9)


class Weakened(MRSIPO):
    """Another map, for which the proofs about MRS-IPO say nothing."""

    def drive(self, mu):
        return 3 * super().drive(mu)


def test_a_subclass_inherits_neither_proof_nor_kernel():
    rule = Weakened(games.rock_paper_scissors(0.4), 1.0, 0.5, 1.0)
    assert set(named(rule)) == {"local_boundary"}
    found = ensemble(rule, [0.5, 0.3, 0.2], rounds=20)["last_policy"]
    expected = orbit(rule, [0.5, 0.3, 0.2], rounds=20, tolerance=0).policies[-1]
    np.testing.assert_allclose(found, expected, atol=1e-12)


class Contrarian(LogitRule):
    """Flips the logits, half."""

    K = 3  # pyright: ignore[reportAssignmentType]

    def update(self, theta):
        return -0.5 * theta


def test_rules_without_certificates_of_their_own_have_the_local_one():
    assert set(named(Contrarian())) == {"local_boundary"}
    rule = MRSIPO(games.rock_paper_scissors(0.4), 1.0, 0.5, 1.0)
    assert set(named(Momentum(rule, 0.5))) == {"local_boundary"}


@settings(max_examples=50)
@given(rule=rules(kinds=[MRSIPO]), kappa=st.floats(0.05, 1.0))
def test_inexact_rounds_have_the_certificates_of_their_twin(rule, kappa):
    twin = rule.replace(alpha=1 - kappa * (1 - rule.alpha), beta=rule.beta / kappa)
    mine, theirs = named(Inexact(rule, kappa)), named(twin)
    assert set(mine) == set(theirs)
    for name, certificate in theirs.items():
        assert mine[name].value == pytest.approx(certificate.value, rel=1e-6, abs=1e-9)


def test_batches_have_arrays_of_certificates():
    beta = np.array([0.1, 0.9, 3.0])
    known = named(MRSIPO(games.rock_paper_scissors(0.5), beta, 0.5, 1.0))
    np.testing.assert_array_equal(known["contraction"].holds, [False, True, True])
    np.testing.assert_array_equal(known["local_boundary"].holds, [False, True, True])


def draws(K, n, seed) -> tuple[Any, np.random.Generator]:
    """Recipes in bulk: games, beta still free, and two far-apart starts each."""
    rng = np.random.default_rng(seed)
    reference, offline = rng.dirichlet(np.ones(K), size=(2, n)) * 0.9 + 0.1 / K
    return {
        "game": games.random(K, rng, size=n),
        "alpha": rng.uniform(0.0, 0.95, n),
        "lam": rng.uniform(0.05, 1.0, n),
        "reference": reference,
        "offline": offline,
    }, rng


@pytest.mark.slow
@pytest.mark.parametrize("K", [2, 3, 4, 6, 12])
def test_no_false_contraction_in_many_draws(K):
    """20,000 recipes at 50 % to 100 % of the bound, 20 pairs of starts near and far."""
    n = 20_000
    recipe, rng = draws(K, n, seed=K)
    norm = np.linalg.norm(recipe["game"].skew, 2, axis=(-2, -1))
    value = recipe["alpha"] + (1 - recipe["alpha"]) * rng.uniform(0.5, 1.0, n)
    rule = MRSIPO(beta=recipe["lam"] * norm / (2 * (value - recipe["alpha"])), **recipe)
    factor = rule.certificates()[0].value
    np.testing.assert_allclose(factor, value, rtol=1e-12)
    for trial in range(20):
        size = 10.0 ** rng.uniform(-2, 1)
        one, two = size * rng.normal(size=(2, n, K))
        if trial % 2:  # near pairs look at the derivative
            two = one + 1e-3 * two
        one, two = centre(one), centre(two)
        apart = np.linalg.norm(one - two, axis=-1)
        after = np.linalg.norm(rule.step(one, 0, None) - rule.step(two, 0, None), axis=-1)
        assert np.all(after <= factor * apart * (1 + 1e-9) + 1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("K", [2, 3, 4, 6, 12])
def test_no_false_mirror_descent_in_many_draws(K):
    """20,000 recipes at the bound, 30 rounds from random starts: the divergence always shrinks."""
    n = 20_000
    recipe, rng = draws(K, n, seed=100 + K)
    recipe["alpha"] = rng.uniform(0.02, 0.98, n)
    largest = np.abs(recipe["game"].skew).max(axis=(-2, -1))
    room = np.sqrt(recipe["alpha"] * (1 - recipe["alpha"]))
    rule = MRSIPO(beta=recipe["lam"] * largest / room, **recipe)
    home = fixed_point(rule).log_policy
    state = centre(rng.normal(size=(n, K)) * 10.0 ** rng.uniform(-1, 1, (n, 1)))
    before = kl(home, rule.log_policy(state))
    for t in range(30):
        state = rule.step(state, t, None)
        after = kl(home, rule.log_policy(state))
        clear = before > 1e-10
        assert np.all(after[clear] <= recipe["alpha"][clear] * before[clear] * (1 + 1e-6))
        before = after


@pytest.mark.slow
@pytest.mark.parametrize("K", [3, 4, 6])
def test_certified_recipes_converge_from_far_starts(K):
    """10,000 recipes that hold one of the two global certificates: every one comes home."""
    n = 10_000
    recipe, rng = draws(K, n, seed=200 + K)
    recipe["alpha"] = rng.uniform(0.02, 0.9, n)
    norm = np.linalg.norm(recipe["game"].skew, 2, axis=(-2, -1))
    largest = np.abs(recipe["game"].skew).max(axis=(-2, -1))
    contracting = recipe["lam"] * norm / (2 * (1 - recipe["alpha"]))
    descending = recipe["lam"] * largest / np.sqrt(recipe["alpha"] * (1 - recipe["alpha"]))
    rule = MRSIPO(beta=1.02 * np.minimum(contracting, descending), **recipe)
    assert np.all(rule.certificates()[0].holds | rule.certificates()[1].holds)
    state = centre(rng.normal(size=(n, K)) * 5)
    end = rule.compiled(K)(rule, state, 3000).theta
    np.testing.assert_allclose(rule.log_policy(end), fixed_point(rule).log_policy, atol=1e-6)
