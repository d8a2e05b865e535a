import numpy as np
import pytest

from figures import plot_cures


@pytest.mark.slow
def test_perturbations_grow_where_the_formulas_say(monkeypatch):
    monkeypatch.setattr(plot_cures, "SHOWN", np.array([0.1, 0.6, 0.9]))
    monkeypatch.setattr(plot_cures, "OPTIMA", 120)
    data = plot_cures.compute(0)
    predicted = np.broadcast_to(data["sides"][:, None] > 1, data["grows"].shape)
    np.testing.assert_array_equal(data["grows"], predicted)

    names = [str(name) for name in data["orbit_names"]]
    last = dict(zip(names, data["distances"][:, -1], strict=True))
    assert last["plain rounds"] > 0.3
    assert last["small optimistic rounds"] < 1e-9
    radii = dict(zip(names, data["orbit_radii"], strict=True))
    assert radii["plain rounds"] > 1 > radii["rounds of adaptive beta"]
    assert any(text.startswith("48 of 48") for text in plot_cures.findings(data))
    plot_cures.draw(data)
