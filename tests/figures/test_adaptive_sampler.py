import numpy as np
import pytest

from figures import plot_adaptive_sampler as figure
from prefdyn.games import bradley_terry, condorcet_over_cycle, load


def test_the_built_game_fails_the_uniform_sampler_only():
    game = figure.built_to_fail()
    assert not figure.recovers(game, figure.uniform(figure.K))
    assert figure.recovers(game, np.array([0.96, 0.01, 0.01, 0.01, 0.01]))


def test_the_lead_is_that_of_the_whole_top():
    assert figure.lead(condorcet_over_cycle(0.1, 0.3)) == pytest.approx(0.1)
    assert figure.lead(bradley_terry([1.0, 1.0, 0.0])) == pytest.approx(np.tanh(0.5) / 2)
    assert figure.lead(bradley_terry([0.0, 0.0])) == 0.0


@pytest.fixture(scope="module")
def data():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figure, "GAMES", 4)
        patch.setattr(figure, "FIXED_GAMES", 20)
        patch.setattr(figure, "LOOKS", np.array([10, 30_000]))
        patch.setattr(figure, "BATCHES", np.array([20, 1000]))
        patch.setattr(figure, "BUILT_IN", {"cyclic": 0.0, "pandalm": 0.0})
        patch.setattr(figure, "MARGIN_RUNS", 1)
        patch.setattr(figure, "RUNS", 7)
        patch.setattr(figure, "SIZES", (3, 6))
        patch.setattr(figure, "LEADS", np.array([0.1, 0.3]))
        return figure.compute(0)


def test_the_learned_sampler_recovers_where_the_uniform_one_fails(data):
    assert data["hard_fixed"][0] == 0
    assert data["hard_adaptive"][-1] >= 0.75
    assert data["plain_fixed"][0] > 0.8
    assert len(data["hard_fixed"]) == len(figure.FIXED)


def test_votes_follow_the_prediction(data):
    ratio = data["votes"] / data["predicted"]
    assert 0.5 < ratio.min() <= ratio.max() < 2
    assert np.all(data["votes"][-1] > data["lower"])


def test_other_rules_of_asking_cost_more(data):
    assert np.median(data["costs"][:, 1]) > np.median(data["costs"][:, 0]) > 0.9
    assert len(figure.findings(data)) == 3


def test_margins_of_real_games_are_shares_of_the_best(data):
    assert data["pandalm_uniform"] == pytest.approx(
        figure.share_of_best(load("pandalm"), np.full(5, 0.2))
    )
    assert np.all(data["pandalm_margin"] <= 1 + 1e-9)
