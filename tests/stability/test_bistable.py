"""Recipes that linear analysis calls stable and that cycle from far starts (NS-4, NS-5)."""

import numpy as np
import pytest

from prefdyn import MRSIPO, PreferenceMatrix, advise, critical, verdict
from prefdyn.games import rock_paper_scissors

MISLEADING = (-0.070, 0.340, 0.035, 0.457, -0.023, 0.359)
WINDOW = (-0.228, 0.195, -0.126, 0.005, -0.047, 0.199)
ONE, TWO = (0.5 * np.tanh(gap / 2) for gap in (1, 2))
SCORES = (0.0, TWO, -TWO, ONE, 0.0, ONE)  # integer scores, one attribute per pair (MRS-16)


def four(upper):
    A = np.zeros((4, 4))
    A[np.triu_indices(4, 1)] = upper
    return PreferenceMatrix(0.5 + A - A.T)


@pytest.mark.parametrize(
    ("upper", "alpha", "beta"),
    [
        (MISLEADING, 0.3, 1.01 * 0.029492),
        (MISLEADING, 0.3, 1.05 * 0.029492),
        (WINDOW, 0.3, 0.95 * 0.017334),
        (WINDOW, 0.3, 0.98 * 0.017334),
        (WINDOW, 0.3, 0.998 * 0.017334),
        (SCORES, 0.5, 1.01 * 0.036792),
        (SCORES, 0.5, 1.03 * 0.036792),
    ],
)
def test_ipo_beside_a_large_cycle_is_called_bistable(upper, alpha, beta):
    found = verdict(MRSIPO(four(upper), beta, alpha, 1.0))
    assert found.word == "bistable"
    assert found.stability.spectral_radius < 1
    assert found.stability.kind == "stable"
    assert found.far_starts is not None
    assert found.far_starts.astray > 0


def test_advice_says_bistable_in_words():
    advice = advise(four(SCORES), alpha=0.5, lam=1.0, beta=1.03 * 0.036792)
    assert any("bistable" in sentence for sentence in advice.sentences)


@pytest.mark.parametrize(
    ("a", "ratio", "word"),
    [
        (0.47, 1.005, "bistable"),
        (0.47, 1.02, "locally stable, not refuted by 64 far starts"),
        (0.40, 1.005, "locally stable, not refuted by 64 far starts"),
        (0.47, 1 / 1.002, "unstable"),
    ],
)
def test_dpo_is_bistable_for_strong_preferences_only(a, ratio, word):
    beta = ratio * 4 * a / np.sqrt(3)
    advice = advise(rock_paper_scissors(a), "dpo", alpha=0.0, lam=1.0, beta=beta)
    assert advice.verdict is not None
    assert advice.verdict.word == word


def test_the_cycle_is_gone_well_above_the_threshold():
    advice = advise(four(MISLEADING), alpha=0.3, lam=1.0, beta=3 * 0.029492)
    assert advice.verdict is not None
    assert advice.verdict.word == "locally stable, not refuted by 64 far starts"
    certified = advise(four(MISLEADING), alpha=0.3, lam=1.0, beta=1.0)
    assert certified.verdict is not None
    assert certified.verdict.word == "certified"


def test_stability_can_be_lost_by_raising_beta():
    found = critical(MRSIPO(four(WINDOW), 1.0, 0.3, 1.0), "beta", range=(0.005, 1.0))
    (low, end), (above, high) = found.intervals
    assert (low, high) == pytest.approx((0.0066779, 1.0), rel=1e-4)
    assert (end, above) == pytest.approx((0.017334, 0.078943), rel=1e-4)
