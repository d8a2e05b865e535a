"""Far starts and the words they allow: never stronger than the evidence."""

import numpy as np
import pytest
from hypothesis import given, settings

from prefdyn import MRSDPO, MRSIPO, FiniteSample, NoOptimum, games, orbit, survey, verdict
from prefdyn.testing import rules


@settings(max_examples=25)
@given(rule=rules(max_K=4, strength=0.45, min_beta=0.1, max_alpha=0.8))
def test_no_word_is_stronger_than_its_evidence(rule):
    found = verdict(rule, far_starts=6)
    radius = found.stability.spectral_radius
    assert (found.word == "unstable") == (radius >= 1)
    proved = any(c.proves == "global" and c.holds for c in found.certificates)
    assert (found.word == "certified") == (proved and radius < 1)
    if found.word.startswith("locally stable"):
        assert found.far_starts is not None
        assert found.far_starts.astray == 0


def test_dpo_on_certain_wins_that_runs_off_from_far_starts_is_bistable():
    """rps(1/2), alpha 1/2, just above beta_c = 4/3: far from uniform the log-odds grow for ever."""
    rule = MRSDPO(games.rock_paper_scissors(0.5), 1.4, 0.5, 1.0)
    with pytest.raises(NoOptimum):
        orbit(rule, [0.98, 0.01, 0.01], rounds=2000)
    assert np.ptp(orbit(rule, [0.34, 0.33, 0.33], rounds=2000).policies[-1]) < 1e-9
    found = verdict(rule, far_starts=12)
    assert found.word == "bistable"
    assert found.stability.spectral_radius < 1
    assert found.far_starts is not None
    assert found.far_starts.astray >= 3
    assert 0.1 < found.far_starts.distance <= np.sqrt(2 / 9) + 1e-12


def test_a_survey_does_not_skip_the_prompt_that_runs_off():
    cycles = {"certain": games.rock_paper_scissors(0.5), "calm": games.rock_paper_scissors(0.2)}
    found = survey(cycles, "dpo", alpha=0.5, lam=1.0, beta=1.4)
    assert dict(zip(found.prompts, found.outcome, strict=True)) == {
        "certain": "bistable",
        "calm": "converges",
    }
    assert not found.skipped


def test_votes_are_judged_by_their_limit():
    rule = MRSIPO(games.rock_paper_scissors(0.4), 1.0, 0.5, 1.0)
    assert verdict(FiniteSample(rule, 10)).word == verdict(rule).word == "certified"
