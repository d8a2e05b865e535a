from typing import Any

import mpltern  # noqa: F401
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot

from prefdyn import InputError, plots


def dirichlet(K, n=20, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(K), size=n)


@given(st.integers(3, 9), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_projection_is_affine_and_takes_corners_to_corners(K, share, seed):
    first, second = dirichlet(K, 2, seed)
    mixed = plots.project(share * first + (1 - share) * second)
    straight = share * plots.project(first) + (1 - share) * plots.project(second)
    np.testing.assert_allclose(mixed, straight, atol=1e-14)
    np.testing.assert_allclose(plots.project(np.eye(K)), plots.corners(K))
    np.testing.assert_allclose(plots.project(np.full(K, 1 / K)), 0, atol=1e-14)


def test_three_responses_lose_nothing():
    policies = dirichlet(3)
    system = np.vstack([plots.corners(3).T, np.ones(3)])
    points = np.column_stack([plots.project(policies), np.ones(len(policies))])
    np.testing.assert_allclose(np.linalg.solve(system, points.T).T, policies, atol=1e-14)


@pytest.mark.parametrize("K", [3, 4, 6])
def test_corners_carry_the_names(K):
    _, ax = pyplot.subplots()
    names = [f"answer {k}" for k in range(K)]
    assert plots.simplex_axes(K, names, ax) is ax
    said = [text.get_text() for text in ax.texts]
    assert said[:K] == names
    # Past three responses different policies may meet, so the axes say how they are projected.
    assert ("mean of the corners" in "".join(said[K:])) == (K > 3)


def test_new_axes_are_ternary_for_three_responses_and_plain_for_more():
    ternary: Any = plots.simplex_axes(3, ["a", "b", "c"])
    plain = plots.simplex_axes(4)
    assert (ternary.name, plain.name) == ("ternary", "rectilinear")
    assert ternary.get_tlabel() == "a"
    assert ternary.get_rlabel() == "c"


@pytest.mark.parametrize(
    ("K", "names", "message"),
    [(2, None, "draw the orbit over rounds"), (4, ["a"], "1 names for 4 responses")],
)
def test_bad_simplices_are_refused(K, names, message):
    with pytest.raises(InputError, match=message):
        plots.simplex_axes(K, names)


def test_ternary_axes_refuse_four_responses():
    ax = pyplot.figure().add_subplot(projection="ternary")
    with pytest.raises(InputError, match="pass plain axes"):
        plots.simplex_axes(4, ax=ax)
