"""The main stability claims on 100,000 random instances each, through the batched interface.

Predictions are written out here from the formulas of the claims; what is observed are differences
and orbits of the package's rules, which know nothing of the formulas.
"""

from typing import Any

import numpy as np
import pytest

from prefdyn import MRSDPO, MRSIPO, ensemble, fixed_point
from prefdyn.games import PreferenceMatrix
from prefdyn.policies.softmax import centre, log_softmax, softmax
from prefdyn.rules import Inexact

pytestmark = pytest.mark.slow

INSTANCES = 100_000
BATCH = 10_000
STEP = 1e-5


def batches(seed):
    """Random numbers for every batch, and the number of responses in it."""
    for number in range(INSTANCES // BATCH):
        yield np.random.default_rng((seed, number)), 3 + number % 4


def games(rng, K):
    """Win rates (BATCH, K, K), with entries anywhere in [0, 1]."""
    A = np.triu(rng.uniform(-0.5, 0.5, (BATCH, K, K)), 1)
    return PreferenceMatrix(0.5 + A - A.swapaxes(1, 2))


def recipes(rng, K) -> Any:
    """Rules of random games, references, samplers, alpha, lam and beta."""
    return MRSIPO(
        games(rng, K),
        beta=np.exp(rng.uniform(np.log(0.02), np.log(3), BATCH)),
        alpha=rng.uniform(0, 0.95, BATCH),
        lam=rng.uniform(0, 1, BATCH),
        reference=0.9 * rng.dirichlet(np.ones(K), BATCH) + 0.1 / K,
        offline=0.9 * rng.dirichlet(np.ones(K), BATCH) + 0.1 / K,
    )


def slopes(rule, theta):
    """The Jacobian (BATCH, K, K) of a round by central differences, without closed forms."""
    columns = [
        (rule.step(theta + STEP * e, 0, None) - rule.step(theta - STEP * e, 0, None)) / (2 * STEP)
        for e in np.eye(theta.shape[-1])
    ]
    J = np.stack(columns, -1)
    return J - J.mean(-2, keepdims=True)  # logits are known up to a constant


def sums(rule, theta):
    """Sums of the powers 1, ..., K - 1 of a round's multipliers, (BATCH, K - 1).

    They fix the multipliers, and are exact to rounding where these nearly coincide: there
    eigenvalues of a matrix keep half the digits.
    """
    K = theta.shape[-1]
    onto = np.eye(K) - 1 / K
    J = onto @ slopes(rule, theta) @ onto
    powers = [J]
    while len(powers) < K - 1:
        powers.append(powers[-1] @ J)
    return np.stack([np.trace(power, axis1=-2, axis2=-1) for power in powers], -1)


def sums_of(real, turning):
    """The same of the numbers real +- i turning (BATCH, K), of which one, a turning of 0, is left
    out, and of their sizes."""
    x = real[:, None] + 1j * turning
    k = np.arange(1, x.shape[-1])
    total = (x[..., None] ** k).sum(-2) - real[:, None] ** k
    return total.real, np.maximum(1, (np.abs(x)[..., None] ** k).sum(-2))


def turnings(A, policy):
    """Eigenvalues of R A R over i, with R the root of diag(pi) - pi pi', (BATCH, K)."""
    B = rooted(policy)
    return np.linalg.eigvals(B.swapaxes(-1, -2) @ A @ B).imag


def rooted(policy):
    """B with B B' = diag(pi) - pi pi'."""
    root = np.sqrt(policy)
    return np.eye(policy.shape[-1]) * root[..., None] - policy[..., :, None] * root[..., None, :]


def strength(A, policy):
    """Largest singular value s of R A R, (BATCH,)."""
    B = rooted(policy)
    return np.linalg.svd(B.swapaxes(-1, -2) @ A @ B, compute_uv=False)[..., 0]


def test_mrs_2_rounds_contract_with_the_constant_stated():
    worst = 0.0
    for rng, K in batches(2):
        rule = recipes(rng, K)
        norm = np.linalg.svd(rule.game.P - 0.5, compute_uv=False)[:, 0]
        bound = rule.alpha + rule.lam * norm / (2 * rule.beta)
        one, two = (centre(rng.normal(0, 3, (BATCH, K))) for _ in range(2))
        before = np.linalg.norm(one - two, axis=-1)
        after = np.linalg.norm(centre(rule.update(one)) - centre(rule.update(two)), axis=-1)
        worst = max(worst, float((after / before / bound).max()))
    assert worst <= 1 + 1e-9
    assert worst > 0.5  # and the bound is not idle


def test_mrs_4_and_7_multipliers_are_alpha_and_a_turning():
    for rng, K in batches(4):
        rule = recipes(rng, K)
        point = fixed_point(rule)
        drive = (rule.lam / rule.beta)[:, None]
        turning = drive * turnings(rule.game.P - 0.5, point.policy)
        predicted, size = sums_of(rule.alpha, turning)
        error = np.abs(sums(rule, point.log_policy) - predicted) / size
        assert error.max() < 1e-6


def test_lab_1_no_game_turns_faster_than_the_bound():
    largest = 0.0
    for rng, K in batches(1):
        A = games(rng, K).P - 0.5
        policy = rng.dirichlet(np.full(K, 0.7), BATCH)
        share = strength(A, policy) / (2 / np.pi * np.abs(A).max((-1, -2)))
        largest = max(largest, float(share.max()))
    assert largest <= 1 + 1e-12
    assert largest > 0.8


def test_mrs_9_the_divergence_shrinks_by_alpha_under_its_condition():
    for rng, K in batches(9):
        game = games(rng, K)
        alpha, lam = rng.uniform(0.05, 0.95, BATCH), rng.uniform(0, 1, BATCH)
        largest = np.abs(game.P - 0.5).max((-1, -2))
        least = lam * largest / np.sqrt(alpha * (1 - alpha))
        rule = MRSIPO(game, beta=least * rng.uniform(1, 3, BATCH) + 1e-9, alpha=alpha, lam=lam)
        log_star = fixed_point(rule).log_policy
        theta = log_softmax(rng.normal(0, 3, (BATCH, K)))

        def divergence(theta, log_star=log_star):
            return (np.exp(log_star) * (log_star - log_softmax(theta))).sum(-1)

        excess = divergence(rule.update(theta)) - alpha * divergence(theta)
        assert excess.max() < 1e-9


def test_rnd_2_part_of_a_round_has_the_stated_multipliers():
    for rng, K in batches(22):
        rule = recipes(rng, K)
        kappa = rng.uniform(0.01, 1, BATCH)
        point = fixed_point(rule)
        drive = (rule.lam / rule.beta)[:, None]
        turning = drive * turnings(rule.game.P - 0.5, point.policy)
        predicted, size = sums_of(1 - kappa * (1 - rule.alpha), kappa[:, None] * turning)
        error = np.abs(sums(Inexact(rule, kappa), point.log_policy) - predicted) / size
        assert error.max() < 1e-6


def turning_games(a):
    """Rock-paper-scissors of strengths a, (n, 3, 3)."""
    ring = np.array([[0.0, 1, -1], [-1, 0, 1], [1, -1, 0]])
    return PreferenceMatrix(0.5 + a[:, None, None] * ring)


@pytest.mark.parametrize(
    ("rule", "constant", "largest"),
    [(MRSIPO, 1.0, 0.5), (MRSDPO, 4.0, 0.35)],  # DPO: below the strengths where it is bistable
    ids=["MRS-5", "DPO-8"],
)
def test_rock_paper_scissors_settles_on_the_predicted_side(rule, constant, largest):
    # A disturbance of a thousandth grows or decays by 1.03 to the number of rounds, at least.
    wrong = decided = 0
    for rng, _ in batches(5):
        a, alpha = rng.uniform(0.02, largest, BATCH), rng.uniform(0, 0.9, BATCH)
        lam = rng.uniform(0.1, 1, BATCH) if rule is MRSIPO else np.ones(BATCH)
        ratio = np.exp(rng.choice([-1, 1], BATCH) * rng.uniform(0.1, 1, BATCH))
        beta = ratio * constant * lam * a / np.sqrt(3 * (1 - alpha**2))
        start = softmax(1e-3 * rng.normal(size=(BATCH, 3)))
        run = ensemble(
            rule(turning_games(a), beta=beta, alpha=alpha, lam=lam),
            start,
            1000,
            reducers=["last_policy"],
            progress=False,
        )
        moved = np.abs(run["last_policy"] - 1 / 3).max(-1)
        grew = moved > np.abs(start - 1 / 3).max(-1)
        wrong += int((grew != (ratio < 1)).sum())
        decided += BATCH
    assert decided == INSTANCES
    assert wrong == 0
