"""Logs that real trainers write, read back: every column known, and in the units that are said."""

import copy
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from prefdyn import llm, objectives, read_log
from prefdyn.llm.training import Plan, train

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore::trl.import_utils.TRLExperimentalWarning"),
]

ROWS = [
    {"prompt": "who ran?", "chosen": " a dog.", "rejected": " the big old cat."},
    {"prompt": "who sat?", "chosen": " she did", "rejected": " no one"},
    {"prompt": "the sun", "chosen": " is up.", "rejected": " is a dog."},
    {"prompt": "i am", "chosen": " here", "rejected": " there, i hope"},
]


@pytest.fixture
def run(llama, tokenizer, tmp_path):
    """Train with a trainer of TRL, and read its output folder."""

    def trained(name: str, module: str = "trl", callbacks=(), **settings) -> Any:
        trl = import_module(module)
        arguments = getattr(trl, f"{name}Config")(
            str(tmp_path),
            bf16=False,
            use_cpu=True,
            logging_steps=1,
            max_steps=6,
            per_device_train_batch_size=2,
            learning_rate=3e-3,
            lr_scheduler_type="constant",
            report_to="none",
            disable_tqdm=True,
            eval_strategy="steps",
            eval_steps=1,
            save_strategy="steps",
            save_steps=3,
            **settings,
        )
        rows = Dataset.from_list(ROWS)
        reference = {} if name in ("CPO", "ORPO") else {"ref_model": copy.deepcopy(llama)}
        trainer = getattr(trl, f"{name}Trainer")(
            copy.deepcopy(llama),
            args=arguments,
            train_dataset=rows,
            eval_dataset=rows,
            processing_class=copy.deepcopy(tokenizer),
            callbacks=list(callbacks),
            **reference,
        )
        trainer.train()
        return trainer, read_log(tmp_path)

    return trained


def summed(model, tokenizer) -> np.ndarray:
    """Mean over pairs of the summed log-probability of chosen and rejected, with their end."""
    end = tokenizer.eos_token_id
    prompts, completions = [], []
    for row in ROWS:
        for side in ("chosen", "rejected"):
            prompts.append(tokenizer(row["prompt"]).input_ids)
            completions.append([*tokenizer(row[side]).input_ids, end])
    responses = llm.Responses(tuple(map(tuple, prompts)), tuple(map(tuple, completions)))
    values = llm.log_probs(model.eval(), responses).detach().double().numpy()
    return values.reshape(-1, 2).mean(0)


@pytest.mark.parametrize("loss", ["sigmoid", "ipo", "sigmoid_norm"])
def test_dpo_logs_sums_whatever_the_loss(run, llama, tokenizer, loss):
    trainer, log = run("DPO", loss_type=[loss], beta=0.3)
    assert log.unknown == ()
    assert log.settings["beta"] == pytest.approx(0.3, rel=1e-3)
    assert "reference_free" not in log.settings
    assert any("checkpoint-6" in note for note in log.notes)
    last, start = summed(trainer.model, tokenizer), summed(llama, tokenizer)
    for k, side in enumerate(("chosen", "rejected")):
        assert log.series[f"eval/{side}"].values[-1] == pytest.approx(last[k], rel=1e-4)
        reward = log.series[f"eval/reward_{side}"].values[-1]
        assert reward == pytest.approx(0.3 * (last[k] - start[k]), rel=1e-3, abs=1e-4)
    assert {"eval/entropy", "train/gradient_norm", "train/rate"} <= set(log.series)


@pytest.mark.parametrize(
    ("name", "settings", "per_token"),
    [
        ("CPO", {"beta": 0.3}, False),
        ("CPO", {"beta": 2.0, "loss_type": "simpo", "cpo_alpha": 0.0}, True),
        ("ORPO", {"beta": 0.2}, True),
    ],
)
def test_trainers_without_a_reference_say_so(run, name, settings, per_token):
    _, log = run(name, f"trl.experimental.{name.lower()}", **settings)
    assert log.unknown == ()
    assert log.settings["reference_free"] is True
    assert log.settings["beta"] == pytest.approx(settings["beta"], rel=1e-3)
    # No column of simpo tells of it; the loss has to be said.
    told = per_token and name == "ORPO"
    assert ("eval/chosen_per_token" in log.series) == told


def test_a_callback_over_rounds_and_the_package_s_own_run(run, llama, tokenizer, tmp_path):
    watch = llm.DynamicsCallback(every=2, pairs=2, path=tmp_path / "dynamics.jsonl")
    for _ in range(3):
        _, log = run("DPO", callbacks=[watch])
    assert log.unknown == ()
    assert log.series["eval/chosen"].column == "probe/logps_chosen"
    rounds = read_log(tmp_path / "dynamics.jsonl")
    assert rounds.unknown == ()
    assert rounds.round_names == ("chosen", "rejected", "greedy")
    assert rounds.rounds is not None
    ends = [line["probe/logps_chosen"] for line in watch.readings if line["step"] == 6]
    np.testing.assert_allclose(rounds.rounds[1:, 0], ends)
    prompts = [row["prompt"] for row in ROWS for _ in range(2)]
    completions = [row[side] for row in ROWS for side in ("chosen", "rejected")]
    responses = llm.encode(tokenizer, prompts, completions)
    plan = Plan(objective=objectives.DPO(beta=0.2), rate=1e-3, steps=6, batch=2, log_every=2)
    train(copy.deepcopy(llama), tokenizer, responses, plan, tmp_path / "own")
    own = read_log(tmp_path / "own")
    assert own.unknown == ()
    assert {"eval/greedy", "eval/mass_inside", "train/reward_margin"} <= set(own.series)
