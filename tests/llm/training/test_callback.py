"""Watching a real DPOTrainer."""

import copy
import json
from importlib import import_module
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from prefdyn import InputError
from prefdyn.llm import DynamicsCallback, encode, log_probs

# The trainer's own doings, not ours.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning"),
]

ROWS = [
    {"prompt": "who ran?", "chosen": " a dog.", "rejected": " the big old cat."},
    {"prompt": "who sat?", "chosen": " she did", "rejected": " no one"},
    {"prompt": "the sun", "chosen": " is up.", "rejected": " is a dog."},
    {"prompt": "i am", "chosen": " here", "rejected": " there, i hope"},
]


@pytest.fixture(scope="module")
def make_trainer(llama, tokenizer, tmp_path_factory):
    trl: Any = import_module("trl")

    def make(model=None, callbacks=(), rows=ROWS, **settings):
        known = {
            "bf16": False,
            "use_cpu": True,
            "logging_steps": 2,
            "max_steps": 4,
            "per_device_train_batch_size": 2,
            "learning_rate": 1e-3,
            "report_to": "none",
            "disable_tqdm": True,
            "save_strategy": "no",
        }
        return trl.DPOTrainer(
            copy.deepcopy(llama) if model is None else model,
            copy.deepcopy(llama),
            args=trl.DPOConfig(str(tmp_path_factory.mktemp("trl")), **known | settings),
            train_dataset=Dataset.from_list(rows),
            processing_class=copy.deepcopy(tokenizer),
            callbacks=list(callbacks),
        )

    return make


def rows_of(tokenizer, rows):
    prompts = [row["prompt"] for row in rows for _ in range(2)]
    return encode(
        tokenizer, prompts, [row[side] for row in rows for side in ("chosen", "rejected")]
    )


def test_a_real_trainer(make_trainer, llama, tokenizer, tmp_path):
    """Readings are of the model as it is at that step, on the first pairs of its own data."""
    seen = []

    class Spy(TrainerCallback):
        def on_step_end(self, args, state, control, model, **kwargs):
            seen.append((state.global_step, copy.deepcopy(model.state_dict())))

    watch = DynamicsCallback(every=2, pairs=3, path=tmp_path / "dynamics.jsonl")
    trainer = make_trainer(callbacks=[Spy(), watch])
    trainer.train()
    assert trainer.model.training
    lines = [json.loads(line) for line in (tmp_path / "dynamics.jsonl").read_text().splitlines()]
    readings = [line for line in lines if "warning" not in line]
    assert readings == watch.readings
    assert [(line["round"], line["step"]) for line in readings] == [(1, 0), (1, 2), (1, 4)]
    responses = rows_of(tokenizer, ROWS[:3])
    states = {0: llama.state_dict()} | dict(seen)
    model = copy.deepcopy(llama)
    for line in readings:
        model.load_state_dict(states[line["step"]])
        known = log_probs(model, responses).detach().double().numpy()
        assert line["probe/logps_chosen"] == pytest.approx(known[::2].mean(), rel=1e-5)
        assert line["probe/logps_rejected"] == pytest.approx(known[1::2].mean(), rel=1e-5)
    logged = {line["step"]: line for line in trainer.state.log_history if "loss" in line}
    for line in readings[1:]:
        assert logged[line["step"]]["probe/margin"] == line["probe/margin"]
        assert "rewards/margins" in logged[line["step"]]


def test_every_reporter_hears_of_it(make_trainer):
    heard = []

    class Reporter(TrainerCallback):
        def on_log(self, args, state, control, logs, **kwargs):
            heard.append(dict(logs))

    trainer = make_trainer(callbacks=[Reporter()], max_steps=1, logging_steps=1)
    DynamicsCallback(every=1, pairs=1).attach(trainer)
    trainer.train()
    assert "probe/entropy" in heard[0]


def test_training_is_not_disturbed(make_trainer):
    """The same weights with and without the callback."""
    plain, watched = make_trainer(max_steps=2), make_trainer(max_steps=2)
    DynamicsCallback(every=1).attach(watched)
    plain.train()
    watched.train()
    for one, two in zip(plain.model.parameters(), watched.model.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.slow
def test_rounds_that_go_back_and_forth(make_trainer, llama, caplog):
    """One callback over several trainers, whose preferences alternate."""
    watch = DynamicsCallback(every=2, probe=ROWS[:2])
    model = copy.deepcopy(llama)
    flipped = [
        {"prompt": row["prompt"], "chosen": row["rejected"], "rejected": row["chosen"]}
        for row in ROWS
    ]
    for number in range(5):
        rows = flipped if number % 2 else ROWS
        trainer = make_trainer(model, max_steps=2, learning_rate=3e-2, rows=rows)
        watch.attach(trainer)
        trainer.train()
    assert [line["round"] for line in watch.readings] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert len(watch.rounds) == 5
    assert any(text.startswith("oscillation: over 5 rounds") for text in watch.warnings)
    assert "oscillation: over 5 rounds" in caplog.text


def test_probes_of_other_trainers(llama, tokenizer):
    """Token ids with labels, as TRL's trainers without a reference keep them."""
    from prefdyn.llm.training.callback import _first_rows

    responses = rows_of(tokenizer, ROWS[:1])
    prompt, sides = responses.prompt_tokens[0], responses.tokens
    row = {}
    for name, tokens in zip(("chosen", "rejected"), sides, strict=True):
        row[f"{name}_input_ids"] = [*prompt, *tokens]
        row[f"{name}_labels"] = [-100] * len(prompt) + list(tokens)

    class Loader:
        dataset: tuple = (row,)

    found = _first_rows(Loader, 4)
    assert found == [
        {"prompt_ids": list(prompt), "chosen_ids": list(sides[0]), "rejected_ids": list(sides[1])}
    ]
    Loader.dataset = ({"text": "a"},)
    with pytest.raises(
        InputError, match=r"columns \['text'\], not pairs: give the callback a probe"
    ):
        _first_rows(Loader, 4)
    Loader.dataset = ()
    with pytest.raises(InputError, match="data set is empty"):
        _first_rows(Loader, 4)


def test_wrong_settings():
    with pytest.raises(InputError, match="every is 0"):
        DynamicsCallback(every=0)


def test_a_model_that_breaks_down_is_logged_as_null(llama, tokenizer, tmp_path):
    """The run is the trainer's to stop: the callback goes on, and its file stays JSON."""
    model, path = copy.deepcopy(llama), tmp_path / "dynamics.jsonl"
    watch = DynamicsCallback(probe=ROWS, path=path, every=1)
    state, args, control = TrainerState(), TrainingArguments(str(tmp_path)), TrainerControl()
    watch.on_train_begin(args, state, control, model=model, processing_class=tokenizer)
    with torch.no_grad():
        model.lm_head.weight[0, 0] = torch.nan
    state.global_step = 1
    watch.on_step_end(args, state, control, model)
    before, after = (json.loads(line) for line in path.read_text().splitlines())
    assert before["probe/margin"] is not None
    assert after["probe/margin"] is None
