"""Normal forms of textbook maps and of closed forms of ours, and what is refused."""

import numpy as np
import pytest

from prefdyn import (
    MRS,
    MRSDPO,
    MRSIPO,
    Inexact,
    InputError,
    NoOptimum,
    fixed_point,
    games,
    normal_form,
    periodic_orbits,
    transient_growth,
)
from prefdyn._stability._reduced import ReducedMap
from prefdyn._stability.normal_form import RATIO, extrapolated, normal_form_at
from tests.known_maps import DelayedLogistic, Henon, KnownMap, Logistic

RPS = games.rock_paper_scissors


class Cubic(KnownMap):
    """x' = mu x + a x^2 + b x^3 at 0."""

    def __init__(self, mu, a, b):
        self.mu, self.a, self.b = mu, a, b

    def step(self, state, t, rng):
        return self.mu * state + self.a * state**2 + self.b * state**3


class Rotation(KnownMap):
    """z' = e^(i angle) (z + c z |z|^2) + r conj(z)^(k-1): its coefficients are in its formula.

    Seen through (x, y + bend x^2), which gives it quadratic terms and leaves the coefficients.
    """

    size = 2

    def __init__(self, angle, c, r=0.0, k=4, bend=0.7):
        self.angle, self.c, self.r, self.k, self.bend = angle, c, r, k, bend

    def step(self, state, t, rng):
        x, y = state[..., 0], state[..., 1]
        z = x + 1j * (y - self.bend * x**2)
        turned = np.exp(1j * self.angle) * (z + self.c * z * np.abs(z) ** 2)
        z = turned + self.r * np.conj(z) ** (self.k - 1)
        return np.stack([z.real, z.imag + self.bend * z.real**2], axis=-1)


def at(rule, *y):
    reduced = ReducedMap(rule, np.array(y, dtype=float))
    return normal_form_at(reduced, reduced.coordinates(reduced.origin))


def close(found, expected):
    """Right, and within the error that is stated: at most three times it."""
    assert found.error < 1e-6
    return found.coefficient == pytest.approx(expected, abs=3 * found.error)


def test_the_first_flip_of_the_logistic_map():
    found = at(Logistic(3.0), 2 / 3)
    assert (found.kind, found.criticality) == ("flip", "supercritical")
    assert close(found, 9.0)  # f'''/6 + (f''/2)^2, f'' = -2r, f''' = 0
    assert found.angle == pytest.approx(np.pi)


@pytest.mark.parametrize(("a", "b"), [(0.5, 1.0), (0.5, -1.0), (2.0, -1.0)])
def test_flips_of_cubics(a, b):
    found = at(Cubic(-1.0, a, b), 0.0)
    assert close(found, a**2 + b)
    assert found.criticality == ("supercritical" if a**2 + b > 0 else "subcritical")


def test_folds_of_cubics():
    assert close(at(Cubic(1.0, 0.5, 1.0), 0.0), 0.5)
    pitchfork = at(Cubic(1.0, 0.0, 1.0), 0.0)
    assert abs(pitchfork.coefficient) <= 3 * pitchfork.error
    assert pitchfork.criticality is None


def test_the_second_flip_of_the_logistic_map_is_one_of_its_cycle():
    r = 1 + np.sqrt(6)
    rule = Logistic(r)
    (cycle,) = periodic_orbits(rule, 2, starts=32).orbits
    found = normal_form(rule, cycle)
    x = cycle.states[0, 0]
    # Derivatives of f(f(x)) by hand; f''' = 0.
    f1, f2 = (lambda v: r * (1 - 2 * v)), -2 * r
    fx = r * x * (1 - x)
    second = f2 * f1(x) ** 2 + f1(fx) * f2
    third = 3 * f2 * f1(x) * f2
    assert found.kind == "flip"
    assert found.coefficient == pytest.approx(third / 6 + (second / 2) ** 2, rel=1e-6)


def test_the_neimark_sacker_point_of_the_delayed_logistic_map():
    """By hand: B(x, y) = (-2 (x1 y2 + x2 y1), 0), C = 0, and the last term vanishes.

    What is left is l1 = (2/sqrt 3) Im(1 + conj mu), mu = e^(i pi/3).
    """
    found = at(DelayedLogistic(2.0), 0.5, 0.5)
    assert found.kind == "neimark_sacker"
    assert close(found, -1.0)
    assert found.criticality == "supercritical"
    assert found.angle == pytest.approx(np.pi / 3, abs=1e-9)
    assert found.resonance is None


@pytest.mark.parametrize("c", [0.3 - 0.2j, -0.3 + 2j])
def test_the_sign_of_rotations(c):
    found = at(Rotation(1.0, c), 0.0, 0.0)
    # q = (1, -+i)/sqrt 2 is z = sqrt 2 times the coordinate, so |z|^2 counts twice.
    assert close(found, 2 * c.real)
    assert found.criticality == ("subcritical" if c.real > 0 else "supercritical")


def test_the_cycle_that_is_predicted_is_there():
    """|z|^2 = -(|mu| - 1)/l1 and state + 2 Re(z q), for a small excess."""
    a = 2.002
    found = at(DelayedLogistic(a), 1 - 1 / a, 1 - 1 / a)
    size = 2 * np.sqrt(-(abs(found.multiplier) - 1) / found.coefficient)
    rule, state = DelayedLogistic(a), np.array([0.52, 0.5])
    for _ in range(20_000):
        state = rule.step(state, 0, None)
    seen = []
    for _ in range(2000):
        state = rule.step(state, 0, None)
        seen.append(state[0] - (1 - 1 / a))
    assert np.max(np.abs(seen)) == pytest.approx(size * abs(found.direction[0]), rel=0.1)


@pytest.mark.parametrize(
    ("r", "criticality", "words"),
    [
        (0.0, "supercritical", "is 0 within"),
        (0.1, "supercritical", "size 0.2, less than |l1|"),
        (0.9, "undecided", "size 1.8, which the sign cannot see"),
    ],
)
def test_a_1_to_4_resonance_is_named_and_weighed(r, criticality, words):
    found = at(Rotation(np.pi / 2, -0.3, r, 4), 0.0, 0.0)
    assert close(found, -0.6)
    assert found.criticality == criticality
    assert found.resonance is not None
    assert found.resonance.startswith("1:4 resonance")
    assert words in found.resonance


@pytest.mark.parametrize(("r", "criticality"), [(0.0, "supercritical"), (0.1, "undecided")])
def test_a_1_to_3_resonance_leaves_open_what_its_quadratic_term_decides(r, criticality):
    found = at(Rotation(2 * np.pi / 3, -0.3, r, 3), 0.0, 0.0)
    assert found.criticality == criticality
    assert "1:3 resonance" in (found.resonance or "")


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.9])
@pytest.mark.parametrize(("kind", "gain"), [(MRSIPO, 1), (MRSDPO, 4)])
def test_rock_paper_scissors(kind, gain, alpha):
    """NS-3 and NS-4 for |q| = 1, a third of |q|^2 = 3."""
    for a in (0.3, 0.47):
        rule = kind(RPS(a), gain * a / np.sqrt(3 * (1 - alpha**2)), alpha, 1.0)
        expected = -(1 - alpha**2) * (0.75 - (4 * a**2 if kind is MRSDPO else 0)) / 3
        assert close(normal_form(rule), expected)


def test_wrapped_and_generic_rules_have_the_same():
    a, kappa, alpha = 0.3, 0.5, 0.2
    effective = 1 - kappa * (1 - alpha)
    beta = kappa * a / np.sqrt(3 * (1 - effective**2))
    found = normal_form(Inexact(MRSIPO(RPS(a), beta, alpha, 1.0), kappa))
    assert close(found, -(1 - effective**2) / 4)
    generic = normal_form(MRS(RPS(a), "ipo", a / np.sqrt(3 * 0.75), 0.5, 1.0))
    assert generic.coefficient == pytest.approx(-0.75 / 4, abs=1e-6)


def test_far_from_a_bifurcation_says_how_far():
    rule = MRSIPO(RPS(0.3), 1.0, 0.5, 1.0)
    with pytest.raises(InputError, match=r"has modulus 0\.529\d*, 0\.47 away from 1"):
        normal_form(rule)
    assert normal_form(rule, near=0.5).distance == pytest.approx(0.4709, abs=1e-4)


def test_near_a_bifurcation_the_error_grows_with_the_distance():
    beta = 0.3 / np.sqrt(3 * 0.75)
    errors = [normal_form(MRSIPO(RPS(0.3), x * beta, 0.5, 1.0)).error for x in (1.0, 1.001)]
    assert errors[0] < 1e-10 < 1e-5 < errors[1]


def test_two_bifurcations_at_once_are_refused():
    class Twice(KnownMap):
        size = 2

        def step(self, state, t, rng):
            return -state + state**3

    with pytest.raises(InputError, match="several multipliers are critical at once"):
        at(Twice(), 0.0, 0.0)


def test_a_start_without_a_cycle_is_refused():
    with pytest.raises(NoOptimum, match="no cycle of period 5"):
        normal_form(Henon(), [0.3, 0.3, 0.4], period=5)


def test_differences_are_extrapolated_and_their_error_known():
    h = 1 / RATIO ** np.arange(12)
    noise = np.random.default_rng(0).normal(size=12) * 1e-13 / h**2
    value, error = extrapolated(np.sin(h) / h + noise)
    assert value == pytest.approx(1, abs=3 * error)
    assert 1e-16 < error < 1e-10
    beyond = np.where(h > 0.5, np.nan, np.sin(h) / h)
    assert extrapolated(beyond)[0] == pytest.approx(1, abs=1e-9)


def test_a_point_of_another_recipe_is_refused():
    game = games.rock_paper_scissors(0.4)
    other = fixed_point(MRSIPO(games.random(3, 1), 0.3, 0.2, 1.0))
    with pytest.raises(InputError, match="no fixed point or cycle of this rule"):
        normal_form(MRSIPO(game, 0.4 / np.sqrt(3), 0.0, 1.0), other, near=1.0)
    with pytest.raises(InputError, match="no fixed point or cycle of this rule"):
        transient_growth(MRSIPO(game, 1.0, 0.5, 1.0), other)
