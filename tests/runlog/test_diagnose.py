"""Diagnoses of logs whose illness is known."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prefdyn import claims, diagnose, read_log
from prefdyn.runlog import RunLog, Series
from prefdyn.runlog._severity import THRESHOLDS
from prefdyn.runlog._trend import peak, trend

N = 40
T = np.arange(N)
RNG = np.random.default_rng(0)
PYTHIA = Path(__file__).with_name("pythia_1b_dpo.json")
"""Some columns, to two decimals, of a DPO run on Pythia-1B that the authors of arXiv 2407.10490
publish (github.com/Joshua-Ren/Learning_dynamics_LLM, Apache-2.0)."""


def runlog(table, split: Any = "eval", rounds=None, **settings) -> RunLog:
    series = {
        f"{split}/{name}": Series(name, name, split, 10 * np.arange(len(values)), values)
        for name, values in table.items()
    }
    return RunLog("by hand", "by hand", series, rounds, settings, (), ())


def noisy(values, size=0.3):
    return np.asarray(values, dtype=float) + size * RNG.normal(size=len(values))


def kinds(diagnosis) -> dict[str, str]:
    return {one.kind: one.severity for one in diagnosis.findings}


FALLING = {"chosen": noisy(-80 - 0.2 * T), "rejected": noisy(-70 - 1.5 * T)}
HEALTHY = {
    "chosen": noisy(-80 + 0.2 * T),
    "rejected": noisy(-70 - 0.5 * T),
    "loss": noisy(0.69 - 0.01 * T, 0.01),
}


def test_the_real_run_displaces_squeezes_and_does_not_oscillate():
    diagnosis = diagnose(read_log(PYTHIA))
    found = {one.kind: one for one in diagnosis.findings}
    assert found["displacement"].severity == "alarm"
    assert found["displacement"].since == 6
    assert "to -124.6 at step 6" in found["displacement"].evidence
    assert found["squeezing"].severity == "alarm"
    lost = re.search(r"unrelated responses \((.*?)\)", found["squeezing"].evidence)
    assert lost is not None
    assert float(lost[1]) == pytest.approx(-252.0 + 143.9, abs=0.11)  # readings, not the trend
    assert "from -28.6 to 153" in found["margin_without_likelihood"].evidence
    assert found["margin_without_likelihood"].severity == "warning"
    assert "oscillation" not in found
    assert "healthy" not in found


@pytest.mark.parametrize("split", ["eval", "train"])
def test_a_fall_is_displacement(split):
    diagnosis = diagnose(runlog(FALLING | {"loss": noisy(0.69 - 0.01 * T, 0.01)}, split))
    found = {one.kind: one for one in diagnosis.findings}
    assert found["displacement"].severity == "alarm"
    assert "the loss fell from 0.6" in found["displacement"].evidence.lower()
    assert "what gained the mass is not in the log" in found["displacement"].evidence.lower()
    assert found["displacement"].claim == "DISP-8"
    assert kinds(diagnosis)["margin_without_likelihood"] == "warning"


def test_a_healthy_run_is_told_so():
    diagnosis = diagnose(runlog(HEALTHY))
    assert {one.severity for one in diagnosis.findings} == {"info"}
    assert kinds(diagnosis)["healthy"] == "info"
    assert "no sign of displacement" in diagnosis.findings[0].evidence


def test_a_log_that_scatters_is_healthy_as_far_as_it_can_tell():
    wild = noisy(-200 - 0.1 * T, 20)
    evidence = diagnose(runlog({"chosen": wild, "rejected": wild}, "train")).findings[0].evidence
    unseen = re.search(r"might have lost (\d+) nats unseen", evidence)
    assert unseen is not None
    assert 20 < float(unseen[1]) < 80
    assert "unseen" not in diagnose(runlog(HEALTHY)).findings[0].evidence


def test_since_the_peak():
    rise_and_fall = noisy(np.where(T < 15, -80 + 0.4 * T, -74 - 0.2 * (T - 15)), 0.2)
    finding = diagnose(runlog({"chosen": rise_and_fall})).findings[0]
    assert (finding.kind, finding.severity) == ("displacement", "warning")  # still above its start
    assert abs((finding.since or 0) - 150) <= 20
    assert finding.advice.startswith(f"Go back to step {finding.since}, or")


def test_rewards_give_log_ratios_where_beta_is_known():
    rewards = {"reward_chosen": noisy(-0.02 * T, 0.02), "reward_rejected": noisy(-0.1 * T, 0.02)}
    known = diagnose(runlog(rewards, "train", beta=0.1)).findings[0]
    assert (known.kind, known.severity) == ("displacement", "alarm")
    assert "reward_chosen/beta, the log-ratio, with beta = 0.1" in known.evidence
    unknown = diagnose(runlog(rewards, "train")).findings[0]
    assert unknown.severity == "warning"  # the sign is known, the size is not
    assert "nats need beta" in unknown.evidence


def test_a_rising_loss_is_divergence_and_not_displacement():
    found = kinds(diagnose(runlog(FALLING | {"loss": noisy(0.69 + 0.02 * T, 0.01)})))
    assert found["divergence"] == "alarm"
    assert "displacement" not in found


def test_a_loss_that_is_no_number_any_more_is_an_alarm():
    log = replace(runlog(HEALTHY), lost={"loss": 320, "eval_logps/chosen": 340, "grad_norm": 10})
    alarm = diagnose(log).findings[0]
    assert (alarm.kind, alarm.severity, alarm.since) == ("divergence", "alarm", 320)
    assert alarm.evidence.startswith("Loss and eval_logps/chosen are no finite numbers")
    assert "healthy" not in kinds(diagnose(log))
    assert "healthy" in kinds(diagnose(replace(log, lost={"grad_norm": 10})))


def test_what_never_moves_is_healthy():
    still = {name: np.zeros(30) for name in ("chosen", "rejected", "loss", "reward_margin")}
    assert kinds(diagnose(runlog(still))) == {"healthy": "info", "forecast": "info"}


def test_squeezing_needs_greedy_gains_and_losses_elsewhere():
    squeezed = FALLING | {"greedy": noisy(-60 + 0.5 * T), "unrelated": noisy(-90 - T)}
    assert kinds(diagnose(runlog(squeezed)))["squeezing"] == "alarm"
    assert kinds(diagnose(runlog(FALLING | {"greedy": noisy(-60 + 0.5 * T)})))["squeezing"] == (
        "warning"
    )
    assert "squeezing" not in kinds(diagnose(runlog(HEALTHY | {"greedy": noisy(-60 + T)})))


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        (noisy(0.5 - 0.01 * T, 0.01), "it goes to responses outside"),
        (noisy(0.5 + 0 * T, 0.01), "it is handed round inside"),
    ],
)
def test_mass_inside_says_whether_it_is_benign(inside, words):
    finding = diagnose(runlog(FALLING | {"mass_inside": inside})).findings[0]
    assert words in finding.evidence


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"entropy": noisy(2 - 0.04 * T, 0.02)}, "entropy"),
        ({"gradient_cosine": noisy(0.95 + 0 * T, 0.01)}, "entanglement"),
        ({"chosen": noisy(-80 - 0.2 * T), "accuracy": np.minimum(1, 0.5 + 0.05 * T)}, "saturation"),
    ],
)
def test_other_warnings(more, kind):
    assert kinds(diagnose(runlog(HEALTHY | more)))[kind] == "warning"


@pytest.mark.parametrize(("growth", "severity"), [(1.0, "alarm"), (1.05, "alarm"), (0.8, "info")])
def test_rounds_that_oscillate(growth, severity):
    turn = growth**T * np.exp(2j * np.pi * T / 6)
    rounds = np.stack([turn.real, turn.imag, -turn.real - turn.imag], axis=1) - 5
    diagnosis = diagnose(runlog({}, rounds=rounds + 1e-3 * RNG.normal(size=(N, 3))))
    found = {one.kind: one for one in diagnosis.findings}
    assert found["oscillation"].severity == severity
    assert "round once in 6 rounds" in found["oscillation"].evidence
    advice = found["oscillation"].advice
    assert not advice or (advice.startswith("Let references") and advice.endswith("how far."))
    assert diagnosis.modes is not None
    assert diagnosis.modes.growth[0] == pytest.approx(growth, abs=0.01)


def test_a_drift_with_noise_is_no_oscillation():
    """A second mode, fitted to the noise of these, turns: it may as well have no memory."""
    noise = np.random.default_rng(51).normal(size=(24, 3))
    rounds = np.outer(np.arange(24) / 2.4, [1, -1, 0.5]) + 0.3 * noise
    diagnosis = diagnose(runlog({}, rounds=rounds))
    assert diagnosis.modes is not None
    assert diagnosis.modes.turning.any()
    assert "oscillation" not in kinds(diagnosis)


def test_what_the_log_lacks_is_asked_for():
    diagnosis = diagnose(runlog({"loss": noisy(0.69 - 0.01 * T, 0.01)}))
    assert "log logps/chosen of the same responses" in diagnosis.refused["displacement"]
    assert "greedy continuations" in diagnosis.refused["squeezing"]
    assert "end of every round" in diagnosis.refused["oscillation"]
    assert "healthy" not in kinds(diagnosis)


def test_too_few_readings_are_refused():
    diagnosis = diagnose(runlog({"chosen": np.array([-1.0, -2.0, -3.0])}))
    assert diagnosis.refused["displacement"] == (
        "chosen has 3 readings: a trend takes 6; log more often."
    )


def test_the_forecast_carries_the_last_piece_on():
    evidence = diagnose(runlog(FALLING)).findings[-1].evidence
    expected = float(re.search(r"will be at (-[\d.]+)", evidence)[1])  # pyright: ignore
    assert expected == pytest.approx(-80 - 0.2 * 1.25 * (N - 1), abs=0.5)


def test_every_advice_has_a_claim_and_sentences_end():
    for table in (FALLING, HEALTHY, FALLING | {"greedy": noisy(-60 + 0.5 * T)}):
        diagnosis = diagnose(runlog(table))
        for one in diagnosis.findings:
            assert bool(one.advice) == bool(one.claim)
            assert not one.claim or claims.get(one.claim).id == one.claim
            assert one.evidence.endswith(".")
        assert str(diagnosis) == "\n".join(diagnosis.sentences)
    assert all(threshold.why for threshold in THRESHOLDS.values())


def test_an_odd_batch_moves_nothing():
    values = noisy(-80 + 0 * T, 1.0)
    values[-1] = -300
    whole = trend(Series("chosen", "chosen", "train", T, values))
    assert abs(whole.moved) < 4 * whole.error
    assert abs(whole.moved) < 3


def test_the_peak_is_found_with_its_error():
    held = []
    for seed in range(20):
        tent = np.where(T < 12, T / 3, 4 - (T - 12) / 7)
        values = tent + np.random.default_rng(seed).normal(size=N)
        series = Series("chosen", "chosen", "eval", T, values)
        found = peak(series, trend(series))
        held.append(found.earliest <= 12 <= found.latest)
    assert np.mean(held) >= 0.85
