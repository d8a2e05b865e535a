import numpy as np
import pytest

from figures import plot_entanglement


@pytest.fixture(scope="module")
def data():
    with pytest.MonkeyPatch.context() as patch:
        sizes = {"POLICIES": 60, "TABLES": 8, "SUFFIXES": 2, "SUFFIX": 3}
        for name, value in sizes.items():
            patch.setattr(plot_entanglement, name, value)
        return plot_entanglement.compute(1)


@pytest.mark.parametrize(("name", "ratio"), [("equal", 1.0), ("unequal", 0.5)])
def test_steps_end_as_the_regions_predict(data, name, ratio):
    expected = plot_entanglement.predicted(data[f"{name}_place"], ratio)
    np.testing.assert_array_equal(data[name], expected)
    assert set(expected) > {0}  # not all ideal, and none the impossible way
    assert 3 not in expected


def test_boundaries_of_equal_pushes_do_not_fit_simpo(data):
    expected = plot_entanglement.predicted(data["unequal_place"], 1.0)
    assert np.any(data["unequal"] != expected)


def test_places_obey_cauchy_and_schwarz(data):
    for name in ("equal_place", "unequal_place"):
        assert np.all(data[name].prod(axis=-1) < 1 + 1e-12)


def test_normalised_gradients_are_always_ideal(data):
    assert np.any(data["equal"] != 0)
    assert np.all(data["normalised"] == 0)


def test_cosines_are_those_of_the_token_counts(data):
    np.testing.assert_allclose(data["cosine"], data["cosine_predicted"], atol=1e-10)


def test_only_shared_parameters_raise_the_cosine(data):
    last_token, _, whole_prefix = data["cosine"][:, -1, 1]
    assert last_token > data["cosine"][0, 0, 1] + 0.2
    assert abs(whole_prefix) < 0.2


def test_net_push_on_a_shared_prefix(data):
    normalised, summed = data["net"][:2], data["net"][2:]
    np.testing.assert_allclose(normalised, [data["net_predicted"]] * 2, atol=1e-3)
    np.testing.assert_allclose(summed, 0, atol=1e-9)
