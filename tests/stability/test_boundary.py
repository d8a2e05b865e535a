"""Boundaries as curves, against closed forms and maps with known answers."""

import numpy as np
import pytest

from prefdyn import MRSDPO, MRSIPO, Inexact, InputError, boundary, continuation, games, stability
from tests.known_maps import Henon, KnownMap
from tests.stability.test_continuation import at

RPS = games.rock_paper_scissors(0.4)


@pytest.mark.parametrize(("cls", "gain"), [(MRSIPO, 1.0), (MRSDPO, 4.0)])
def test_the_boundary_of_rock_paper_scissors(cls, gain):
    """MRS-5 and DPO-8; at onset the pair turns by arccos alpha (MRS-7)."""
    rule = cls(RPS, gain * 0.5, 0.5, 0.9)
    curve = boundary(rule, ("beta", "alpha"), ((0.05, 10.0), (0.0, 0.9)), step=0.3)
    beta, alpha = curve.values.T
    np.testing.assert_allclose(beta, gain * 0.9 * 0.4 / np.sqrt(3 * (1 - alpha**2)), rtol=1e-10)
    np.testing.assert_allclose(curve.angles, np.arccos(alpha), atol=1e-9)
    assert (alpha.min(), alpha.max()) == (0.0, 0.9)
    assert curve.kind == "neimark_sacker"
    assert curve.outermost.all()
    assert set(curve.criticality[alpha > 0.01]) == {"supercritical"}
    assert "the range ends at" in curve.reason


def test_the_boundary_of_inexact_rounds():
    """RND-2, through a wrapper."""
    rule = Inexact(MRSIPO(RPS, 0.15, 0.5, 1.0), 0.5)
    curve = boundary(rule, ("kappa", "beta"), ((0.05, 1.0), (0.01, 1.0)), step=0.3)
    kappa, beta = curve.values.T
    np.testing.assert_allclose(beta, 0.4 / np.sqrt(1.5 * (2 / kappa - 0.5)), rtol=1e-10)


def test_the_onset_turns_abrupt_at_a_chenciner_point():
    """NS-4 and BIF-1: at lam a = sqrt(3)/4."""
    rule = MRSDPO(games.rock_paper_scissors(0.482), 1.5, 0.5, 0.95)
    curve = boundary(rule, ("beta", "lam"), ((0.8, 3.0), (0.8, 1.0)), step=0.5)
    beta, lam = curve.event("Chenciner").values
    assert lam == pytest.approx(np.sqrt(3) / 4 / 0.482, rel=1e-9)
    assert beta == pytest.approx(1 / np.sqrt(0.75), rel=1e-9)
    expected = np.where(curve.values[:, 1] < lam, "supercritical", "subcritical")
    np.testing.assert_array_equal(curve.criticality, expected)


def test_flips_and_folds_have_curves_too():
    """Henon's, on both sides of b = 0, with numerical derivatives."""
    branch = continuation(Henon(0.1, 0.3), "a", (-0.5, 1.0), start=at(0.8, 0.24), step=0.1)
    for kind, factor in (("flip", 0.75), ("fold", -0.25)):
        curve = boundary(
            Henon(0.1, 0.3), ("a", "b"), ((-1.0, 2.0), (-0.5, 0.8)), start=branch.at(kind), step=0.3
        )
        a, b = curve.values.T
        np.testing.assert_allclose(a, factor * (1 - b) ** 2, atol=1e-9)
        assert (b.min(), b.max()) == (-0.5, 0.8)
        assert set(curve.criticality) == {"" if kind == "fold" else "supercritical"}


class Plane(KnownMap):
    """x' = M x + cubic terms, with half-trace c and determinant d of M: its whole diagram is known.

    Neimark-Sacker at d = 1, flip at d = -2c - 1, fold at d = 2c - 1.
    """

    size = 2

    def __init__(self, c, d):
        self.c, self.d = c, d

    def step(self, state, t, rng):
        x, y = state[..., 0], state[..., 1]
        return np.stack([2 * self.c * x - self.d * y - x**3, x + x**2 * y], axis=-1)


def test_resonances_and_ends_of_a_neimark_sacker_curve():
    """d = 1 from the 1:1 to the 1:2 resonance, through 1:4 and 1:3."""
    curve = boundary(Plane(0.3, 0.9), ("d", "c"), ((0.5, 1.5), (-1.5, 1.5)), step=0.2)
    np.testing.assert_allclose(curve.values[:, 0], 1, atol=1e-9)
    found = {event.kind: event.values[1] for event in curve.events if "resonance" in event.kind}
    expected = {"1:1": 1.0, "1:4": 0.0, "1:3": -0.5, "1:2": -1.0}
    assert set(found) == {f"{name} resonance" for name in expected}
    for name, c in expected.items():
        assert found[f"{name} resonance"] == pytest.approx(c, abs=1e-6)
    assert "the pair meets at -1, a 1:2 resonance" in curve.reason
    np.testing.assert_allclose(
        curve.angles, np.arccos(np.clip(curve.values[:, 1], -1, 1)), atol=1e-3
    )


def test_a_flip_curve_passes_its_double_point():
    """d = -2c - 1 meets Neimark-Sacker at c = -1, where stability stops ending at the flip."""
    curve = boundary(
        Plane(-0.5, 0.2), ("c", "d"), ((-2.0, 0.0), (-0.5, 2.0)), kind="flip", step=0.2
    )
    c, d = curve.values.T
    np.testing.assert_allclose(d, -2 * c - 1, atol=1e-8)
    assert curve.event("1:2 resonance").values == pytest.approx((-1.0, 1.0), abs=1e-6)
    clear = np.abs(c + 1) > 1e-3
    np.testing.assert_array_equal(curve.outermost[clear], c[clear] > -1)


class Island(Plane):
    """Unstable inside the circle ``p^2 + q^2 = 1/4`` only, where the pair turns by pi/3."""

    def __init__(self, p, q):
        super().__init__(0.5, 1.25 - p**2 - q**2)
        self.p, self.q = p, q

    def replace(self, **changes):
        return Island(**{"p": self.p, "q": self.q, **changes})


@pytest.mark.slow
def test_an_island_within_the_plane_is_a_closed_curve():
    curve = boundary(Island(0.1, 0.1), ("p", "q"), ((0.0, 1.0), (-1.0, 1.0)), step=0.1)
    assert "the range ends at p = 0" in curve.reason
    curve = boundary(Island(0.6, 0.1), ("p", "q"), ((-1.0, 1.0), (-1.0, 1.0)), step=0.1)
    assert curve.reason == "The curve closes on itself."
    np.testing.assert_allclose(np.sum(curve.values**2, axis=1), 0.25, atol=1e-9)
    np.testing.assert_array_equal(curve.values[0], curve.values[-1])
    assert set(curve.criticality) <= {"supercritical", "subcritical"}


@pytest.mark.slow
def test_an_island_is_one_arch():
    """The boundary of MRS-14's game comes back to alpha = 0: two thresholds of one curve."""
    rule = MRSIPO(games.condorcet_over_cycle(0.08, 0.482), 0.1, 0.1, 1.0)
    curve = boundary(rule, ("beta", "alpha"), ((1e-2, 1.0), (0.0, 0.9)), step=0.3)
    beta, alpha = curve.values.T
    assert (alpha[0], alpha[-1]) == (0.0, 0.0)
    radius = stability(rule.replace(beta=beta, alpha=alpha)).spectral_radius
    np.testing.assert_allclose(radius, 1, atol=1e-9)


def test_starts_of_every_kind_lead_to_the_same_curve():
    rule = MRSIPO(RPS, 0.5, 0.5, 1.0)
    ranges = ((0.1, 1.0), (0.2, 0.7))
    turn = continuation(rule, "beta", (0.1, 1.0), step=0.3).bifurcations[0]
    for start in (turn, (0.3, 0.4), None):
        curve = boundary(rule, ("beta", "alpha"), ranges, start=start, step=0.3)
        assert sorted(curve.values[[0, -1], 1]) == [0.2, 0.7]


def test_bad_questions_are_refused_in_one_sentence():
    rule = MRSIPO(RPS, 0.5, 0.5, 1.0)
    ranges = ((0.1, 1.0), (0.2, 0.7))
    with pytest.raises(InputError, match="name two different ones"):
        boundary(rule, ("beta", "beta"), ranges)
    with pytest.raises(InputError, match="give one, or None, for each"):
        boundary(rule, ("beta", "alpha"), ranges[:1])  # pyright: ignore
    for step in (0, np.nan, "long"):
        with pytest.raises(InputError, match="step"):
            boundary(rule, ("beta", "alpha"), ranges, step=step)  # pyright: ignore
    with pytest.raises(InputError, match=r"start has beta = 5, outside the range \(0.1, 1\)"):
        boundary(rule, ("beta", "alpha"), ranges, start=(5, 0.5))
    with pytest.raises(InputError, match="kind 'hopf' is not known"):
        boundary(rule, ("beta", "alpha"), ranges, kind="hopf")
    with pytest.raises(InputError, match=r"no flip for beta in \[0.1, 1\] at alpha = 0.5"):
        boundary(rule, ("beta", "alpha"), ranges, kind="flip")
    with pytest.raises(InputError, match="give a Bifurcation, or a value of each parameter"):
        boundary(rule, ("beta", "alpha"), ranges, start=3.0)  # pyright: ignore
    with pytest.raises(InputError, match="this boundary has no cusp: its events are none at all"):
        boundary(rule, ("beta", "alpha"), ranges, step=0.5).event("cusp")
