from itertools import pairwise

import numpy as np
import pytest

from prefdyn import MRSIPO, InputError, Momentum, games, orbit, plots
from tests.plots.drawn import vertices
from tests.plots.pictures import Congested

RULE = Congested(4.0)


def test_a_cobweb_is_the_curve_the_diagonal_and_the_steps_of_the_run():
    start = [0.2, 0.8]
    ax = plots.cobweb(RULE, start, rounds=5, names=["short", "long"])
    diagonal, curve, steps, first = ax.lines
    np.testing.assert_array_equal(vertices(diagonal), [[0, 0], [1, 1]])
    share, following = vertices(curve).T
    policies = np.stack([share, 1 - share], axis=-1)
    np.testing.assert_allclose(following, share + plots.displacement(RULE, policies)[:, 0])
    p = orbit(RULE, start, 5, tolerance=0).policies[:, 0]
    expected = [corner for now, then in pairwise(p) for corner in ((now, now), (now, then))]
    np.testing.assert_allclose(vertices(steps), [*expected, (p[-1], p[-1])])
    np.testing.assert_allclose(vertices(first), [[0.2, 0.2]])
    assert ax.get_xlabel() == "probability of short"


def test_either_response_can_be_seen():
    first, second = (plots.cobweb(RULE, [0.2, 0.8], 3, response=k).lines[1] for k in (0, 1))
    mirrored = 1 - vertices(first)[::-1]
    np.testing.assert_allclose(vertices(second), mirrored, atol=1e-12)


def test_steps_end_on_the_curve():
    ax = plots.cobweb(RULE, [0.35, 0.65], rounds=4)
    curve = vertices(ax.lines[1])
    steps = vertices(ax.lines[2])[1::2]
    np.testing.assert_allclose(np.interp(*[steps[:, 0], *curve.T]), steps[:, 1], atol=1e-4)


TWO = MRSIPO(games.PreferenceMatrix([[0.5, 0.7], [0.3, 0.5]]), beta=1.0, alpha=0.5, lam=1.0)


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        (MRSIPO(games.rock_paper_scissors(0.4), 0.5, 0.5, 1.0), {}, "two responses, not 3"),
        (TWO.replace(beta=[1.0, 2.0]), {}, r"not a batch of \(2,\)"),
        (Momentum(TWO, 0.5), {}, "holds 2 numbers: draw its orbit"),
        (TWO, {"response": 2}, "no response 2: choose 0 or 1"),
        (TWO, {"names": ["a"]}, "1 names for 2 responses"),
    ],
)
def test_what_is_no_curve_is_refused(rule, options, message):
    with pytest.raises(InputError, match=message):
        plots.cobweb(rule, **options)
