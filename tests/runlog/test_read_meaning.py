"""What the numbers mean, which depends on the trainer: sums or means, references, beta."""

import json

import numpy as np
import pytest

from prefdyn import read_log

STEP = np.arange(8)
CHOSEN = -100 - STEP**1.5
REJECTED = -120 - 3.0 * STEP


@pytest.fixture
def read(tmp_path):
    def write_and_read(rows, settings=None, **options):
        path = tmp_path / "log.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        (tmp_path / "args.json").write_text(json.dumps(settings or {}))
        return read_log(path, **options)

    return write_and_read


def rows(beta: float, reference: float, prefix: str = "eval_", scale: float = 1.0, **more):
    """Evaluations whose rewards are beta times log-ratios to a reference."""
    return [
        {"step": int(s), f"{prefix}logps/chosen": scale * c, f"{prefix}logps/rejected": scale * r}
        | {f"{prefix}rewards/chosen": beta * scale * (c - reference)}
        | {f"{prefix}rewards/rejected": beta * scale * (r - 1.2 * reference)}
        | more
        for s, c, r in zip(STEP, CHOSEN, REJECTED, strict=True)
    ]


def test_beta_is_the_slope_of_rewards_over_log_probabilities(read):
    log = read(rows(0.25, -100.0))
    assert log.settings == {"beta": 0.25}
    assert any("beta = 0.25" in note for note in log.notes)
    assert read(rows(0.25, -100.0), {"beta": 0.25}).notes == ()
    for disagreeing in (
        read(rows(0.25, -100.0), {"beta": 0.1}),
        read(rows(0.25, -100.0), beta=0.1),
    ):
        assert disagreeing.settings["beta"] == 0.1
        assert any("one of them is wrong" in note for note in disagreeing.notes)


@pytest.mark.parametrize("prefix", ["eval_", ""])
def test_without_a_reference_the_line_meets_the_origin(read, prefix):
    log = read(rows(2.0, 0.0, prefix, scale=0.01, nll_loss=1.0))
    assert log.settings["reference_free"] is True
    assert log.settings["beta"] == 2.0
    assert any("has no reference model" in note for note in log.notes)
    assert any("sums were assumed" in note for note in log.notes)
    named = read(rows(2.0, 0.0, prefix, scale=0.01, nll_loss=1.0), {"loss_type": "simpo"})
    assert not any("sums were assumed" in note for note in named.notes)


def test_nothing_is_read_off_other_batches_or_a_moving_reference(read):
    noise = np.random.default_rng(0)
    batches = [
        row | {"rewards/chosen": row["rewards/chosen"] + noise.normal()}
        for row in rows(0.1, -100.0, "")
    ]
    log = read(batches)
    assert "beta" not in log.settings
    assert any("another batch every time" in note for note in log.notes)
    # A reference that follows: rewards of both sides bend in the same way.
    bent = [
        {"step": int(k)} | {f"eval_logps/{side}": c for side in ("chosen", "rejected")}
        | {f"eval_rewards/{side}": 0.1 * (c + 100) / (1 + k) for side in ("chosen", "rejected")}
        for k, c in zip(STEP, CHOSEN, strict=True)
    ]  # fmt: skip
    assert "beta" not in read(bent).settings
    assert "beta" not in read(rows(0.1, -100.0)[:3]).settings


@pytest.mark.parametrize(
    ("settings", "more", "per_token"),
    [
        ({}, {}, False),
        ({"loss_type": "sigmoid"}, {}, False),
        ({"loss_type": ["sigmoid_norm"]}, {}, False),
        ({"loss_type": "simpo"}, {}, True),
        ({"pref_loss": "orpo"}, {}, True),
        ({}, {"log_odds_ratio": -0.3}, True),
        ({}, {"eval_log_odds_ratio": -0.3}, True),
        ({"loss_type": ["ipo"]}, {}, True),  # TRL before 0.29
        ({"loss_type": ["ipo"]}, {"eval_entropy": 1.0}, False),  # since then
    ],
)
def test_sums_or_means_over_tokens(read, settings, more, per_token):
    log = read(rows(0.1, -100.0, **more), settings)
    assert ("eval/chosen_per_token" in log.series) == per_token
    assert ("eval/chosen" in log.series) != per_token
    assert any("means over tokens" in note for note in log.notes) == per_token


def test_own_probes_are_sums_whatever_the_loss(read):
    data = [row | {"probe/logps_chosen": -50.0} for row in rows(0.1, -100.0, "", entropy=1.0)]
    log = read(data, {"loss_type": "simpo"})
    assert log.series["eval/chosen"].column == "probe/logps_chosen"
    assert "train/chosen_per_token" in log.series


def test_online_trainers_draw_anew(read):
    online = rows(0.1, -100.0, "", **{"objective/entropy": 40.0, "objective/kl": 1.0})
    log = read(online)
    assert {"train/response_entropy", "train/kl", "train/chosen"} <= set(log.series)
    assert any("drawn anew" in note for note in log.notes)
    log = read([row | {"mixture_coef": 0.5} for row in online])
    assert set(log.series) == {"train/response_entropy", "train/kl"}
    assert any("Nash-MD" in note for note in log.notes)
