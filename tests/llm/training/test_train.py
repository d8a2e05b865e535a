"""Training on pairs: logs, checkpoints, pieces."""

import copy
import json
import os
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from prefdyn import InputError, objectives
from prefdyn.cli import main
from prefdyn.llm import encode, log_probs, reference_log_probs, train_on
from prefdyn.llm.training import Plan, read_data, train
from prefdyn.llm.training import _train as training
from prefdyn.llm.training._batches import Batches, with_what_it_needs
from prefdyn.llm.training._gradient import Team
from prefdyn.llm.training._machines import team_of
from prefdyn.llm.training._probe import Probe

PAIRS = [
    ("who ran?", " a dog.", " the big old cat."),
    ("who sat?", " she did", " no one"),
    ("was it hot?", " yes.", " no, never at all."),
    ("the sun", " is up.", " is a dog."),
    ("i am", " here", " there, i hope"),
]


@pytest.fixture(scope="module")
def responses(tokenizer):
    prompts = [prompt for prompt, *_ in PAIRS for _ in range(2)]
    return encode(tokenizer, prompts, [text for _, *both in PAIRS for text in both])


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "pairs.jsonl"
    rows = [dict(zip(("prompt", "chosen", "rejected"), pair, strict=True)) for pair in PAIRS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def folder(llama, tokenizer, tmp_path):
    """The little model on disk."""
    path = tmp_path / "llama"
    llama.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def plan(**changes):
    settings: dict[str, Any] = {"objective": "dpo", "rate": 1e-3, "steps": 6, "batch": 2}
    settings |= {"probes": 2, "log_every": 2, "save_every": 2}
    return Plan(**settings | changes)


def lines(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def weights(out):
    return (out / "model" / "model.safetensors").read_bytes()


def test_log_of_a_run(llama, tokenizer, responses, tmp_path):
    model = copy.deepcopy(llama)
    done = train(model, tokenizer, responses, plan(), tmp_path)
    log = lines(tmp_path)
    assert [line["step"] for line in log] == [0, 2, 4, 6]
    first, last = log[0], log[-1]
    assert first["loss"] == pytest.approx(np.log(2), rel=1e-5)
    assert first["rewards/margins"] == pytest.approx(0, abs=1e-5)
    picks = np.random.default_rng([0, 0]).permutation(5)[:2]
    known = log_probs(llama, responses).detach().double().numpy()
    assert first["logps/chosen"] == pytest.approx(known[2 * picks].mean(), rel=1e-5)
    assert first["logps/rejected"] == pytest.approx(known[2 * picks + 1].mean(), rel=1e-5)
    assert first["probe/logps_chosen"] == pytest.approx(known[[0, 2]].mean(), rel=1e-5)
    assert last["loss"] < first["loss"]
    assert last["rewards/margins"] == pytest.approx(
        last["rewards/chosen"] - last["rewards/rejected"], abs=1e-5
    )
    after = log_probs(model, responses).detach().double().numpy()
    assert last["probe/logps_chosen"] == pytest.approx(after[[0, 2]].mean(), rel=1e-5)
    assert last["epoch"] == pytest.approx(6 * 2 / 5)
    assert (done.first["probe/entropy"], done.last["probe/entropy"]) == (
        first["probe/entropy"],
        last["probe/entropy"],
    )
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    torch.testing.assert_close(log_probs(saved, responses), log_probs(model, responses))
    assert AutoTokenizer.from_pretrained(tmp_path / "model").get_vocab() == tokenizer.get_vocab()


def test_probe_against_the_whole_softmax(llama, tokenizer, responses):
    probe = Probe.of(llama, tokenizer, responses[:4])
    reading = probe.read(llama)
    entropies, tops, floors = [], [], []
    for prompt, tokens in zip(responses.prompt_tokens[:4], responses.tokens[:4], strict=True):
        logits = llama(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1]
        log_p = logits.double().log_softmax(-1).detach()
        entropies += (-(log_p.exp() * log_p).sum(-1)).tolist()
        tops += log_p.max(-1).values.tolist()
        floors.append(min(float(row[token]) for row, token in zip(log_p, tokens, strict=True)))
    assert reading["probe/entropy"] == pytest.approx(np.mean(entropies), rel=1e-5)
    assert reading["probe/logps_top"] == pytest.approx(np.mean(tops), rel=1e-5)
    assert reading["probe/rejected_floor"] == pytest.approx(min(floors[1::2]), rel=1e-5)
    assert reading["probe/chosen_floor"] == pytest.approx(min(floors[::2]), rel=1e-5)
    sums = log_probs(llama, responses).detach().double().numpy()
    masses = [np.logaddexp(*sums[:2]), np.logaddexp(*sums[2:4])]
    assert reading["probe/log_mass_inside"] == pytest.approx(np.mean(masses), rel=1e-5)
    inside = reading["probe/mass_inside"] + reading["probe/mass_outside"]
    assert inside == pytest.approx(1)
    model = copy.deepcopy(llama)
    gradients = []
    for row in range(2):
        model.zero_grad()
        log_probs(model, responses[[row]]).sum().backward()
        gradients.append(torch.cat([p.grad.reshape(-1) for p in model.parameters()]))
    cosine = torch.nn.functional.cosine_similarity(*gradients, dim=0)
    assert probe.read(llama, cosines=1)["probe/gradient_cosine"] == pytest.approx(
        float(cosine), rel=1e-4
    )


def test_a_response_that_begins_with_another_counts_once(llama, tokenizer):
    responses = encode(tokenizer, "who?", [" she", " she did"], eos=False)
    reading = Probe.of(llama, tokenizer, responses).read(llama)
    expected = float(log_probs(llama, responses)[0].detach())
    assert reading["probe/log_mass_inside"] == pytest.approx(expected, rel=1e-5)


def test_every_epoch_sees_every_pair(llama, responses):
    batches = Batches(objectives.get("dpo"), responses, torch.zeros(0), 2, 7, {})
    order = np.concatenate([batches.picks(step) for step in range(5)])
    assert sorted(order[:5]) == sorted(order[5:]) == list(range(5))
    assert order[:5].tolist() != order[5:].tolist()


def test_mismatched_answers_travel_with_their_pairs(llama, tokenizer, responses):
    kto = objectives.get("kto")
    everything = with_what_it_needs(kto, responses)
    batches = Batches(kto, everything, reference_log_probs(llama, tokenizer, everything), 2, 0, {})
    loss = batches.loss(1)
    assert batches.M == 5
    for pair, moved in zip(loss.pairs, loss.mismatched, strict=True):
        for one, other in zip(pair, moved, strict=True):
            assert loss.responses.tokens[one] == loss.responses.tokens[other]
            assert loss.responses.prompt_tokens[one] != loss.responses.prompt_tokens[other]
    now = loss(llama, loss.updated(loss.initial_stats, _measured(llama, loss)))
    assert float(now.detach()) == pytest.approx(1.0, abs=1e-4)  # two halves at z0 = 0


def _measured(model, loss):
    from prefdyn.llm._pair_loss import measure

    return measure(model, loss.responses)


@pytest.mark.parametrize("objective", ["dpo", "aot", "kto"])
def test_pieces_change_only_roundings(llama, tokenizer, responses, tmp_path, objective):
    found = []
    for pieces in (1, 3):
        model = copy.deepcopy(llama)
        settings = {"objective": objective, "batch": 4, "optimiser": "sgd", "rate": 0.03}
        settings |= {"steps": 3, "log_every": 9, "save_every": 9}
        train(
            model, tokenizer, responses, plan(accumulate=pieces, **settings), tmp_path / str(pieces)
        )
        found.append(log_probs(model, responses).detach())
    moved = found[0] - log_probs(llama, responses).detach()
    assert float(moved.abs().max()) > 0.1
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-3 * float(moved.abs().max()))


def test_agrees_with_the_small_loop(llama, tokenizer, responses, tmp_path):
    """A batch of all pairs is what `train_on` takes."""
    one, two = copy.deepcopy(llama), copy.deepcopy(llama)
    train(one, tokenizer, responses, plan(objective="ipo", batch=5, steps=4), tmp_path)
    known = reference_log_probs(two, tokenizer, responses)
    batches = Batches(objectives.get("ipo"), responses, known, 5, 0, {})
    train_on(two, batches.loss(0), 1e-3, 4, optimiser="adamw")
    torch.testing.assert_close(
        log_probs(one, responses), log_probs(two, responses), rtol=1e-3, atol=1e-3
    )


def _child(work):
    """Run `work` in a process of its own; the signal it died from, 0 for none."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.WTERMSIG(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("when", ["in a step", "while a checkpoint is written"])
def test_killed_and_resumed_to_the_bit(llama, tokenizer, responses, tmp_path, monkeypatch, when):
    """Adam's moments, the order of the data, running statistics and the log all go on."""
    settings = plan(objective=objectives.get("bco", delta="samples"), momentum=0.0, clip=5.0)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(copy.deepcopy(llama), tokenizer, responses, settings, whole)

    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    def killed():
        if when == "in a step":
            rates = Plan.rate_at
            monkeypatch.setattr(
                Plan, "rate_at", lambda self, step, n: die() if step == 3 else rates(self, step, n)
            )
        else:
            saved = torch.save

            def half(state, file):
                if state["state"]["step"] < 4:
                    return saved(state, file)
                file.write(b"half a checkpoint")
                file.flush()
                return die()

            monkeypatch.setattr(torch, "save", half)
        train(copy.deepcopy(llama), tokenizer, responses, settings, cut)

    assert _child(killed) == signal.SIGKILL
    assert not (cut / "model").exists()
    done = train(copy.deepcopy(llama), tokenizer, responses, settings, cut)
    assert done.resumed_at == 2
    assert weights(cut) == weights(whole)
    assert (cut / "log.jsonl").read_bytes() == (whole / "log.jsonl").read_bytes()


def test_a_finished_run_is_not_run_again(llama, tokenizer, responses, tmp_path):
    first = train(copy.deepcopy(llama), tokenizer, responses, plan(), tmp_path)
    before, log = weights(tmp_path), lines(tmp_path)
    again = train(copy.deepcopy(llama), tokenizer, responses, plan(), tmp_path)
    assert again.resumed_at == again.steps == first.steps
    assert again.last == first.last
    assert weights(tmp_path) == before
    assert lines(tmp_path) == log


def test_a_longer_run_goes_on(llama, tokenizer, responses, tmp_path):
    train(copy.deepcopy(llama), tokenizer, responses, plan(steps=4), tmp_path / "one")
    more = train(copy.deepcopy(llama), tokenizer, responses, plan(), tmp_path / "one")
    assert (more.resumed_at, more.steps) == (4, 6)
    train(copy.deepcopy(llama), tokenizer, responses, plan(), tmp_path / "two")
    assert weights(tmp_path / "one") == weights(tmp_path / "two")


@pytest.mark.parametrize(
    ("change", "name"),
    [({"rate": 2e-3}, "rate"), ({"objective": "ipo"}, "objective"), ({"seed": 1}, "seed")],
)
def test_another_run_in_the_folder_is_not_overwritten(
    llama, tokenizer, responses, tmp_path, change, name
):
    train(copy.deepcopy(llama), tokenizer, responses, plan(steps=1), tmp_path)
    with pytest.raises(InputError, match=f"holds a run with another {name}"):
        train(copy.deepcopy(llama), tokenizer, responses, plan(steps=1, **change), tmp_path)


def test_other_data_and_damaged_checkpoints_are_refused(llama, tokenizer, responses, tmp_path):
    train(copy.deepcopy(llama), tokenizer, responses, plan(steps=1), tmp_path)
    with pytest.raises(InputError, match="another data"):
        train(copy.deepcopy(llama), tokenizer, responses[:8], plan(steps=1), tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read"):
        train(copy.deepcopy(llama), tokenizer, responses, plan(steps=1), tmp_path)


def test_out_of_memory_names_the_size(llama, tokenizer, responses, tmp_path, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(training, "backward", full)
    with pytest.raises(InputError, match="raise accumulate to 4, lower batch"):
        train(copy.deepcopy(llama), tokenizer, responses, plan(accumulate=2), tmp_path)


def test_divergence_names_the_step(llama, tokenizer, responses, tmp_path):
    wild = plan(optimiser="sgd", rate=1e30)
    with pytest.raises(InputError, match="after 1 steps: lower the learning rate"):
        train(copy.deepcopy(llama), tokenizer, responses, wild, tmp_path)


def test_divergence_in_the_last_step_leaves_no_model(llama, tokenizer, responses, tmp_path):
    wild = plan(rate=1e30, steps=1)
    with pytest.raises(InputError, match="is nan after 1 steps: lower the learning rate"):
        train(copy.deepcopy(llama), tokenizer, responses, wild, tmp_path)
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "checkpoint.pt").exists()


def test_a_gradient_that_is_not_finite_is_not_followed(
    llama, tokenizer, responses, tmp_path, monkeypatch
):
    def poisoned(model, loss, stats, **settings):
        batch = whole(model, loss, stats, **settings)
        model.lm_head.weight.grad[0, 0] = torch.inf
        return batch

    whole = training.backward
    monkeypatch.setattr(training, "backward", poisoned)
    with pytest.raises(InputError, match="gradient's norm is inf before the first step"):
        train(copy.deepcopy(llama), tokenizer, responses, plan(), tmp_path)


def test_what_becomes_true_in_the_last_step_is_said(
    llama, tokenizer, responses, tmp_path, monkeypatch
):
    """The last line may have no loss of its own: the one before it was at the last step."""

    def of_the_last(first, now, gain):
        heard.append((now, gain))
        return {"last": "so it ends"} if len(heard) == 3 else {}

    heard: list = []
    monkeypatch.setattr(training, "warnings_of", of_the_last)
    settings = plan(steps=5, log_every=4)
    done = train(copy.deepcopy(llama), tokenizer, responses, settings, tmp_path)
    log = lines(tmp_path)
    assert [line["step"] for line in log] == [0, 4, 5]
    assert "loss" not in log[-1]
    assert heard[-1] == (done.last, log[0]["loss"] - log[1]["loss"])
    assert list(done.warnings) == log[-1]["warnings"] == ["so it ends"]


def test_a_log_that_was_removed_begins_anew(llama, tokenizer, responses, tmp_path):
    train(copy.deepcopy(llama), tokenizer, responses, plan(steps=4), tmp_path)
    (tmp_path / "log.jsonl").unlink()
    train(copy.deepcopy(llama), tokenizer, responses, plan(), tmp_path)
    assert [line["step"] for line in lines(tmp_path)] == [4, 6]


def test_fewer_steps_than_were_taken_are_refused(llama, tokenizer, responses, tmp_path):
    train(copy.deepcopy(llama), tokenizer, responses, plan(steps=4), tmp_path)
    with pytest.raises(InputError, match="holds 4 steps already and 2 were asked for"):
        train(copy.deepcopy(llama), tokenizer, responses, plan(steps=2), tmp_path)


def test_another_field_of_the_pairs_is_another_run(llama, tokenizer, responses, tmp_path):
    for rate, known in ((0.9, True), (0.8, False)):
        rates: dict[str, np.ndarray] = {
            "chosen_win_rate": np.full(5, rate),
            "rejected_win_rate": np.full(5, 1 - rate),
        }
        run = (copy.deepcopy(llama), tokenizer, responses, plan(objective="sppo", steps=1))
        if known:
            train(*run, tmp_path, extra=rates)
            continue
        with pytest.raises(InputError, match="holds a run with another extra"):
            train(*run, tmp_path, extra=rates)


def test_more_processes_than_responses_are_refused(
    llama, tokenizer, responses, tmp_path, monkeypatch
):
    accelerator, _ = team_of(llama)
    monkeypatch.setattr(training, "team_of", lambda model: (accelerator, Team(0, 5)))
    with pytest.raises(InputError, match="5 processes share the 4 responses of a batch"):
        train(copy.deepcopy(llama), tokenizer, responses, plan(), tmp_path)


def test_displacement_is_put_in_words_once(llama, tokenizer, responses, tmp_path):
    done = train(copy.deepcopy(llama), tokenizer, responses, plan(), tmp_path)
    log = lines(tmp_path)
    told = [line for line in log if "warnings" in line]
    assert len(told) == 1
    fall = log[0]["probe/logps_chosen"] - told[0]["probe/logps_chosen"]
    assert fall > 0.1
    assert told[0]["loss"] < log[0]["loss"]
    assert told[0]["warnings"] == list(done.warnings)
    assert f"lost {fall:.2f} nats" in done.warnings[0]


def test_rates():
    assert [plan(warmup=4).rate_at(step, 10) for step in (0, 1, 4)] == [2.5e-4, 5e-4, 1e-3]
    linear, cosine = plan(schedule="linear"), plan(schedule="cosine")
    assert [linear.rate_at(step, 4) for step in (0, 2, 4)] == pytest.approx([1e-3, 5e-4, 0])
    assert [cosine.rate_at(step, 4) for step in (0, 2, 4)] == pytest.approx([1e-3, 5e-4, 0])
    assert plan(steps=None, epochs=2.0).length(5) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objective": 1}, "objective is a int"),
        ({"optimiser": "lion"}, "optimiser 'lion' is not known"),
        ({"schedule": "step"}, "schedule 'step' is not known"),
        ({"rate": -1.0}, "rate is -1"),
        ({"clip": 0.0}, "clip is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"steps": -1}, "steps is -1"),
    ],
)
def test_wrong_plans_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        plan(**change)


def test_another_reference(llama, tokenizer, responses, tmp_path):
    """The first loss is that of the gap between the two models, and the cache is shared."""
    other = copy.deepcopy(llama)
    with torch.no_grad():
        other.lm_head.weight.mul_(1.2)
    loss = plan(objective=objectives.get("ipo", beta=0.5), batch=5, steps=1)
    where = {"reference": other, "cache": tmp_path / "cache"}
    train(copy.deepcopy(llama), tokenizer, responses, loss, tmp_path / "a", **where)
    ratios = (log_probs(llama, responses) - log_probs(other, responses)).detach().double()
    expected = ((ratios[::2] - ratios[1::2] - 1) ** 2).mean()
    assert lines(tmp_path / "a")[0]["loss"] == pytest.approx(float(expected), rel=1e-4)
    (kept,) = (tmp_path / "cache").rglob("*.npz")
    written = kept.stat().st_mtime_ns
    train(copy.deepcopy(llama), tokenizer, responses, loss, tmp_path / "b", **where)
    assert kept.stat().st_mtime_ns == written
    with pytest.raises(InputError, match="another reference"):
        train(copy.deepcopy(llama), tokenizer, responses, loss, tmp_path / "a")


def test_too_few_pairs(llama, tokenizer, responses, tmp_path):
    with pytest.raises(InputError, match="There are 5 pairs for a batch of 6: lower batch"):
        train(copy.deepcopy(llama), tokenizer, responses, plan(batch=6), tmp_path)


def test_command(folder, data, tmp_path, capsys):
    words = ["train", "--data", str(data), "--model", str(folder), "--rate", "1e-3", "--batch", "2"]
    words += ["--objective", "spo", "--beta", "0.2", "--set", "mode=dual", "v_star=1.0"]
    words += ["--probes", "2", "--steps", "3", "--out", str(tmp_path / "run"), "--json"]
    assert main(words) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["command"] == "train"
    assert answer["data"] == {"source": str(data), "pairs": 5, "skipped": {}}
    assert answer["objective"]["parameters"]["base.beta"] == 0.2
    assert answer["steps"] == 3
    assert lines(tmp_path / "run")[-1]["stats/lam"] > 0
    assert main(words[:-1]) == 0
    assert "3 (from 3 on)" in capsys.readouterr().out


def test_bad_records_are_counted(folder, data, tmp_path, capsys, llama, tokenizer):
    bad = [
        "not json",
        json.dumps({"prompt": "a", "chosen": " b", "rejected": " b"}),
        json.dumps({"prompt_ids": [5], "chosen_ids": [99], "rejected_ids": [6]}),
    ]
    data.write_text(data.read_text() + "\n".join(bad) + "\n")
    with pytest.raises(InputError, match="Line 6: not JSON"):
        read_data(data, llama, tokenizer)
    found = read_data(data, llama, tokenizer, skip_bad=True)
    assert found.pairs == 5
    assert found.skipped == {
        "not JSON": 1,
        "chosen equals rejected": 1,
        "does not fit the model": 1,
    }
    words = ["train", "--data", str(data), "--model", str(folder), "--rate", "1e-3", "--steps", "1"]
    assert main([*words, "--batch", "2", "--out", str(tmp_path / "a")]) == 2
    assert "Line 6: not JSON" in capsys.readouterr().err
    assert main([*words, "--batch", "2", "--out", str(tmp_path / "a"), "--skip-bad"]) == 0
    assert "1 does not fit the model" in capsys.readouterr().out


def test_settings_of_an_objective(folder, data, tmp_path, capsys):
    words = ["train", "--data", str(data), "--model", str(folder), "--rate", "1e-3"]
    words += ["--out", str(tmp_path / "a"), "--set"]
    assert main([*words, "gamma"]) == 2
    assert "'gamma' is no setting: write it as NAME=VALUE" in capsys.readouterr().err
    assert main([*words, "betta=1"]) == 2
    assert "nearest: beta" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_are_one(folder, data, tmp_path):
    """Accelerate's launcher on two processes: the same model up to rounding, one log.

    KTO's statistics come from the whole batch, mismatched answers included.
    """
    words = ["train", "--data", str(data), "--model", str(folder), "--rate", "0.03"]
    words += ["--optimiser", "sgd", "--batch", "4", "--steps", "4", "--objective", "kto"]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    for name, before in (("one", [sys.executable]), ("two", launch)):
        command = [*before, "-m", "prefdyn", *words, "--out", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = lines(tmp_path / "one"), lines(tmp_path / "two")
    assert [line["step"] for line in two] == [0, 4]
    for name, value in one[-1].items():
        assert two[-1][name] == pytest.approx(value, rel=1e-4, abs=1e-4), name
    assert one[-1]["probe/margin"] > one[0]["probe/margin"] + 0.1
