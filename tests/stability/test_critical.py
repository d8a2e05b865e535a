"""Thresholds against closed forms, windows against root finding, and simulated growth."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, root

from prefdyn import (
    EGPO,
    MRSDPO,
    MRSIPO,
    FiniteSample,
    Inexact,
    InputError,
    LogitRule,
    Momentum,
    NashMDPG,
    NoOptimum,
    PreferenceMatrix,
    critical,
    fixed_point,
    games,
    stability,
)
from prefdyn.policies import softmax
from prefdyn.testing import rules

ALPHA = np.array([0.0, 0.3, 0.6, 0.9])


def rps_threshold(a, alpha, lam=1.0, kappa=1.0, gain=1.0):
    """beta_c of rps(a) with uniform reference and sampler: MRS-5, RND-2, and 4 times it, DPO-8."""
    return gain * lam * a / np.sqrt(3 * (1 - alpha) * (2 / kappa - 1 + alpha))


@pytest.mark.parametrize(("cls", "gain"), [(MRSIPO, 1.0), (MRSDPO, 4.0)])
@given(a=st.floats(0.05, 0.45), alpha=st.floats(0.0, 0.95), lam=st.floats(0.2, 1.0))
@settings(max_examples=5)
def test_the_threshold_of_rock_paper_scissors(cls, gain, a, alpha, lam):
    rule = cls(games.rock_paper_scissors(a), 1.0, alpha, lam)
    found = critical(rule, "beta", samples=60)
    assert found.value == pytest.approx(rps_threshold(a, alpha, lam, gain=gain), rel=1e-9)
    assert found.intervals == ((found.value, 100.0),)
    assert (found.parameter, found.range) == ("beta", (1e-3, 1e2))


def test_the_published_thresholds():
    """The printed digits of MRS-5 and DPO-8."""
    table = {0.231: [0.1334, 0.1540, 0.3060, 0.5486], 0.5: [0.2887, 0.3333, 0.6623, 1.1875]}
    alpha = np.array([0.0, 0.5, 0.9, 0.97])
    for a, printed in table.items():
        rule = MRSIPO(games.rock_paper_scissors(a), 1.0, alpha, 1.0)
        np.testing.assert_allclose([c.value for c in critical(rule, "beta")], printed, atol=6e-5)
    rule = MRSDPO(games.rock_paper_scissors(0.231), 1.0, alpha[:3], 1.0)
    found = [c.value for c in critical(rule, "beta")]
    np.testing.assert_allclose(found, [0.533, 0.616, 1.224], atol=6e-4)


@pytest.mark.parametrize(("cls", "gain"), [(MRSIPO, 1.0), (MRSDPO, 4.0)])
@pytest.mark.parametrize("a", [0.231, 0.45])
@pytest.mark.parametrize("kappa", [1.0, 0.2])
def test_simulated_perturbations_grow_below_and_shrink_above(cls, gain, a, kappa):
    """Half a per cent on either side, from a perturbation of 1e-3 as an experiment would have."""
    beta = np.array([[0.995], [1.005]]) * rps_threshold(a, ALPHA, 0.7, kappa, gain)
    rule = Inexact(cls(games.rock_paper_scissors(a), beta, ALPHA, 0.7), kappa)
    # A round of kappa is an exact round of another recipe, which has a kernel.
    exact = cls(games.rock_paper_scissors(a), beta / kappa, 1 - kappa * (1 - ALPHA), 0.7)
    start = np.array([1e-3, -1e-3, 0.0])
    end = exact.compiled(3)(exact, np.broadcast_to(start, (2, 4, 3)), 4000).theta
    ratio = np.linalg.norm(end, axis=-1) / np.linalg.norm(start)
    assert np.all(ratio[0] > 1.2)
    assert np.all(ratio[1] < 0.9)
    assert np.all(stability(rule).spectral_radius[0] > 1)
    assert np.all(stability(rule).spectral_radius[1] < 1)


def test_thresholds_in_the_other_parameters():
    """alpha^2 + (lam s / beta)^2 = 1, solved for alpha and lam; RND-2 solved for kappa."""
    a, beta, alpha, lam = 0.4, 0.25, 0.5, 0.9
    s = a / np.sqrt(3)
    rule = MRSIPO(games.rock_paper_scissors(a), beta, alpha, lam)
    in_alpha, in_lam = critical(rule, "alpha"), critical(rule, "lam")
    assert in_alpha.value == pytest.approx(np.sqrt(1 - (lam * s / beta) ** 2), rel=1e-9)
    assert in_alpha.intervals == ((0.0, in_alpha.value),)
    assert in_lam.value == pytest.approx(beta * np.sqrt(1 - alpha**2) / s, rel=1e-9)
    strong = Inexact(MRSIPO(games.rock_paper_scissors(a), 0.1, alpha, 1.0), 1.0)
    x = s / 0.1
    in_kappa = critical(strong, "kappa")
    assert in_kappa.value == pytest.approx(2 * (1 - alpha) / ((1 - alpha) ** 2 + x**2), rel=1e-9)


def test_wrapped_rules_have_thresholds_of_their_own():
    rule = MRSIPO(games.rock_paper_scissors(0.4), 1.0, 0.5, 1.0)
    plain = critical(rule, "beta").value
    assert critical(FiniteSample(rule, 10), "beta").value == plain
    found = critical(Inexact(rule, 0.2), "beta").value
    assert found == pytest.approx(rps_threshold(0.4, 0.5, kappa=0.2), rel=1e-9)
    heavy = critical(Momentum(rule, 0.3), "beta").value
    assert stability(Momentum(rule.replace(beta=heavy), 0.3)).spectral_radius == pytest.approx(1)


WINDOWS = {0.02: (0.00850, 0.2301), 0.05: (0.02949, 0.2089)}  # claim MRS-14, printed digits


@pytest.mark.parametrize(("margin", "window"), WINDOWS.items())
def test_a_narrow_condorcet_winner_leaves_a_window(margin, window):
    game = games.condorcet_over_cycle(margin, 0.482)
    rule = MRSIPO(game, 1.0, 0.5, 1.0)
    found = critical(rule, "beta")
    (first, low), (high, last) = found.intervals
    assert (first, last) == found.range
    assert (low, high) == pytest.approx(window, rel=1e-3)
    assert found.value == high

    def excess(log_beta):
        """An independent route: scipy's root finder for the fixed point, then s of claim MRS-4."""
        beta = np.exp(log_beta)
        near = fixed_point(rule.replace(beta=1.001 * beta)).log_policy
        solved = root(lambda x: x - game.skew @ softmax(x) / (0.5 * beta), near, tol=1e-13)
        policy = softmax(solved.x)
        B = np.sqrt(policy)[:, None] * (np.eye(4) - np.sqrt(np.outer(policy, policy)))
        return 0.25 + (np.linalg.norm(B.T @ game.skew @ B, 2) / beta) ** 2 - 1

    for end in (low, high):
        crossing: Any = brentq(excess, np.log(0.97 * end), np.log(1.03 * end), xtol=1e-9)
        assert np.exp(crossing) == pytest.approx(end, rel=1e-7)


def test_the_window_closes():
    """MRS-14: largest spectral radius 1.016 at margin .095, .977 at .1, where all is stable."""
    games_ = games.condorcet_over_cycle([0.095, 0.1], 0.482)
    narrow, closed = critical(MRSIPO(games_, 1.0, 0.5, 1.0), "beta")
    assert len(narrow.intervals) == 2
    assert closed.intervals == (closed.range,)
    assert closed.value is None
    beta = np.geomspace(0.05, 0.3, 400)[:, None]
    radius = np.max(stability(MRSIPO(games_, beta, 0.5, 1.0)).spectral_radius, axis=0)
    np.testing.assert_allclose(radius, [1.016, 0.977], atol=1e-3)


def test_a_window_narrower_than_the_grid_is_found():
    """The extrema near 1 are searched: 7 samples over five decades still see the window."""
    rule = MRSIPO(games.condorcet_over_cycle(0.095, 0.482), 1.0, 0.5, 1.0)
    fine = critical(rule, "beta")
    for samples in (40, 80):
        coarse = critical(rule, "beta", samples=samples)
        np.testing.assert_allclose(coarse.intervals, fine.intervals, rtol=1e-8)


@given(rewards=st.lists(st.floats(-3, 3), min_size=3, max_size=5), alpha=st.floats(0, 0.9))
@settings(max_examples=5)
def test_reward_models_of_a_few_responses_are_stable_everywhere(rewards, alpha):
    """No instability was ever seen for K <= 6 with uniform reference and sampler (MRS-13)."""
    found = critical(MRSIPO(games.bradley_terry(rewards), 1.0, alpha, 1.0), "beta", samples=40)
    assert found.intervals == (found.range,)
    assert found.value is None


@settings(max_examples=10)
@given(rule=rules(kinds=[MRSIPO], min_K=3, max_K=4, strength=0.5, max_alpha=0.8))
def test_intervals_say_where_the_spectral_radius_is_below_one(rule):
    found = critical(rule, "beta", range=(0.02, 20.0))
    beta = np.geomspace(0.02, 20.0, 60)
    radius = stability(rule.replace(beta=beta)).spectral_radius
    inside = np.zeros(60, dtype=bool)
    for low, high in found.intervals:
        assert low < high
        inside |= (beta >= low) & (beta <= high)
    clear = np.abs(radius - 1) > 1e-6
    np.testing.assert_array_equal(inside[clear], radius[clear] < 1)
    if found.value is not None and found.value < 20.0:
        edge = stability(rule.replace(beta=found.value)).spectral_radius
        assert edge == pytest.approx(1, abs=1e-9)


def test_a_batch_of_games_gives_a_list_like_a_loop():
    batch = games.random(4, 7, size=5)
    found = critical(MRSIPO(batch, 1.0, 0.5, 1.0), "beta", samples=60)
    assert len(found) == 5
    for game, together in zip(batch, found, strict=True):
        alone = critical(MRSIPO(game, 1.0, 0.5, 1.0), "beta", samples=60)
        assert len(alone.intervals) == len(together.intervals)
        np.testing.assert_allclose(together.intervals, alone.intervals, rtol=1e-6)


def test_a_recipe_unstable_throughout_has_no_interval():
    rule = MRSIPO(games.rock_paper_scissors(0.5), 1.0, 0.5, 1.0)
    found = critical(rule, "beta", range=(0.01, 0.1))
    assert found.intervals == ()
    assert found.value == 0.1


class Hedge(LogitRule):
    """A user's rule with a rate: decays to uniform, turned by the game."""

    def __init__(self, P, rate):
        self.P, self.rate = P, rate

    @property
    def K(self):
        return len(self.P)

    def update(self, theta):
        return 0.5 * theta + self.rate * softmax(theta) @ self.P.T


def test_a_users_parameter_is_scanned_in_its_range():
    rule = Hedge(games.rock_paper_scissors(0.4).P, 1.0)
    found = critical(rule, "rate", range=(0.1, 10.0))
    assert found.value == pytest.approx(np.sqrt(0.75) * np.sqrt(3) / 0.4, rel=1e-6)
    with pytest.raises(InputError, match=r"no default range is known for 'rate': give range="):
        critical(rule, "rate")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gamma",), "MRSIPO has no parameter 'gamma'"),
        (("game",), "'game' is not a number that can be varied"),
        (("beta", 3.0), "range is 3.0: give two numbers, (low, high)"),
        (("beta", (2.0, 1.0)), "range (2, 1) is empty"),
        (("beta", (0.0, 1.0)), "range starts at 0: beta must be above 0 throughout"),
        (("beta", (0.1, 1.0), 2), "samples is 2: it must be a whole number of at least 3"),
        (("alpha", (0.0, 1.5)), "alpha is 1.5: it is a share"),
    ],
)
def test_bad_questions_are_refused_in_one_sentence(arguments, message):
    rule = MRSIPO(games.rock_paper_scissors(0.4), 1.0, 0.5, 1.0)
    with pytest.raises(InputError) as error:
        critical(rule, *arguments)
    assert message in str(error.value)
    assert str(error.value).endswith(".")


def test_at_alpha_one_there_is_no_threshold_to_find():
    rule = MRSIPO(games.bradley_terry([1.0, 0.0]), 1.0, 1.0, 1.0)
    with pytest.raises(NoOptimum, match="at alpha = 1 a rule may have none"):
        critical(rule, "beta")


def test_a_game_without_skew_part_is_always_stable():
    found = critical(MRSIPO(PreferenceMatrix(np.full((3, 3), 0.5)), 1.0, 0.5, 1.0), "beta")
    assert found.intervals == (found.range,)


def test_steps_and_pulls_of_game_rules():
    """GAME-3 and GAME-4 on rock-paper-scissors: s = a/sqrt 3, EGPO's critical step at tau = 0."""
    game, s = games.rock_paper_scissors(0.4), 0.4 / np.sqrt(3)
    found = critical(EGPO(game, 1.0, 0.0), "eta", range=(0.1, 20.0), samples=20)
    assert found.value == pytest.approx(1 / s, rel=1e-6)
    # (1 - eta tau)^2 + (eta (1 - m) s)^2 < 1 with eta = rate/3: the pull must be above its root.
    rule = NashMDPG(game, 3.0, 0.2, 0.5)
    pull = critical(rule, "tau", range=(0.001, 0.5), samples=20)
    assert pull.value == pytest.approx(1 - np.sqrt(1 - (0.5 * s) ** 2), rel=1e-6)
    assert pull.intervals[-1][1] == 0.5
