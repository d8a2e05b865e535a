"""All objectives in figures: none is missing, and the regions of the phase pictures are right."""

import numpy as np
import pytest

from figures import _objectives, plot_push_phase, plot_pushes
from prefdyn import objectives


def shipped():
    known = objectives.classes()
    return [id for id in objectives.names() if known[id].__module__.startswith("prefdyn.")]


@pytest.fixture(scope="module")
def pushes():
    return plot_pushes.compute(0)


@pytest.fixture(scope="module")
def phase():
    return plot_push_phase.compute(0)


def test_no_objective_of_the_registry_is_missing(pushes, phase):
    for data in (pushes, phase):
        assert sorted(data["ids"]) == shipped()
    assert {_objectives.family(id) for id in shipped()} == set(_objectives.FAMILIES)


def test_the_curves_are_the_formulas(pushes):
    """At policy = reference, and at the ends of the path, of a few objectives."""
    ids, h = list(pushes["ids"]), pushes["h"]

    def curve(id):
        return pushes["pushes"][ids.index(id)]

    np.testing.assert_allclose(curve("dpo"), [0.1 / (1 + np.exp(0.1 * h))] * 2, rtol=1e-12)
    np.testing.assert_allclose(curve("ipo"), [2 * (5 - h)] * 2, atol=1e-12)
    np.testing.assert_allclose(curve("simpo")[1], 2.5 * curve("simpo")[0], rtol=1e-12)
    np.testing.assert_allclose(curve("sft"), [np.full_like(h, 1 / 25), 0 * h], atol=1e-15)
    assert curve("dpop")[0].max() > 50 * curve("dpop")[1].max()


def test_chosen_falls_in_tables_exactly_where_the_colours_say(phase):
    """ENT-3, and its two neighbours, against the Gram matrices of random tables."""
    assert list(phase["levels"]) == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(phase["falls"][:2], 0)
    np.testing.assert_array_equal(phase["falls"][2:], 1)


def test_regions_follow_their_definition():
    d_w = np.array([0.0, 1.0, 1.0, 1.0, 1.0, -1.0])
    d_l = np.array([0.0, 1.0, 2.0, 2.1, -0.1, 5.0])
    np.testing.assert_array_equal(plot_push_phase.region(d_w, d_l), [0, 1, 1, 2, 3, 4])


def test_what_the_captions_say_of_single_objectives(phase):
    by_id = dict(zip(phase["ids"], phase["regions"], strict=True))
    assert np.all(by_id["dpo"] == 1)
    assert np.all(by_id["simpo"] == 2)
    assert set(np.unique(by_id["ipo"])) == {0, 1, 4}  # it rests at a gap of 5
    middle = len(phase["line"]) // 2
    assert by_id["discopop"][middle, middle] == 4
