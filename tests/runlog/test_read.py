"""Reading logs of every kind: the same run, however it was written."""

import gzip
import json
import sqlite3
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

import prefdyn
from prefdyn import InputError, read_log
from prefdyn.runlog._columns import NAMES, STEPS, UNUSED, split_of
from prefdyn.runlog._log import RunLog

# Part of the log of a DPO run on Pythia-1B, rounded: Joshua-Ren/Learning_dynamics_LLM, Apache-2.0.
PYTHIA = Path(__file__).with_name("pythia_1b_dpo.json")

STEP = np.arange(0, 50, 10)
CHOSEN = -100 - 0.01 * STEP**1.5
REJECTED = -90 - 0.5 * STEP
TRAIN = [
    {"step": int(s), "epoch": s / 50, "loss": 0.69 - s / 1e3, "learning_rate": 1e-6, "odd": 1.0}
    for s in STEP
]
EVAL = [
    {"step": int(s), "eval_logps/chosen": c, "eval_logps/rejected": r, "eval_runtime": 3.0}
    for s, c, r in zip(STEP, CHOSEN, REJECTED, strict=True)
]
ROWS = [row for pair in zip(TRAIN, EVAL, strict=True) for row in pair]


def lines(rows) -> str:
    return "\n".join(map(json.dumps, rows)) + "\n"


@pytest.fixture
def read(tmp_path):
    """Write a file, and read it."""

    def write_and_read(name: str, text: str | bytes, **options) -> RunLog:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_log(path, **options)

    return write_and_read


FORMS = {
    "trainer_state.json": json.dumps({"global_step": 40, "log_history": ROWS}, indent=2),
    "one_line_state.json": json.dumps({"log_history": ROWS}),
    "log.jsonl": lines(ROWS),
    "log.jsonl.gz": gzip.compress(lines(ROWS).encode()),
    "array.json": json.dumps(ROWS),
    "objects.json": "\n".join(json.dumps(row, indent=2) for row in ROWS),
    "in_a_row.json": "".join(map(json.dumps, ROWS)),
    "with_mark.jsonl": b"\xef\xbb\xbf" + lines(ROWS).encode(),
}


@pytest.mark.parametrize("name", FORMS)
def test_json_of_every_form_says_the_same(read, name):
    log = read(name, FORMS[name])
    assert set(log.series) == {"train/loss", "train/rate", "eval/chosen", "eval/rejected"}
    np.testing.assert_array_equal(log.series["eval/chosen"].steps, STEP)
    np.testing.assert_allclose(log.series["eval/chosen"].values, CHOSEN, rtol=1e-15)
    np.testing.assert_allclose(log.series["train/loss"].values, 0.69 - STEP / 1e3, rtol=1e-15)
    assert log.series["eval/rejected"].column == "eval_logps/rejected"
    assert log.unknown == ("odd",)
    assert log.notes == ()


def test_the_run_on_pythia():
    log = read_log(PYTHIA)
    chosen, rejected, greedy = (log.series[f"eval/{n}"] for n in ("chosen", "rejected", "greedy"))
    assert chosen.steps.tolist() == list(range(50))
    assert (chosen.values[0], chosen.values[-1]) == (-132.25, -138.96)
    assert (rejected.values[0], rejected.values[-1]) == (-103.65, -291.79)
    assert (greedy.values[0], greedy.values[-1]) == (-110.33, -82.46)
    assert {"chosen_rephrased", "rejected_rephrased", "unrelated"} <= {
        one.name for one in log.series.values()
    }
    assert log.unknown == ()
    assert any("rows are counted" in note for note in log.notes)


def test_names_of_the_first_dpo_repository(read):
    rows = [
        {"_step": 64, "rewards_train/chosen": 0.1, "logps_train/rejected": -9.0, "loss/train": 0.6},
        {"_step": 64, "rewards_eval/chosen": 0.2, "logps_eval/rejected": -8.0, "loss/eval": 0.5},
    ]
    log = read("history.jsonl", lines(rows))
    assert {key: one.values.tolist() for key, one in log.series.items()} == {
        "train/reward_chosen": [0.1],
        "train/rejected": [-9.0],
        "train/loss": [0.6],
        "eval/reward_chosen": [0.2],
        "eval/rejected": [-8.0],
        "eval/loss": [0.5],
    }


def test_wandb_history_has_its_steps_from_the_trainer(read):
    rows = [
        {"_step": k, "_runtime": 1.5, "train/global_step": 10 * k, "train/loss": 0.5, "x": "words"}
        for k in range(3)
    ]
    log = read("history.jsonl", lines(rows))
    assert log.series["train/loss"].steps.tolist() == [0, 10, 20]
    assert log.unknown == ()


WANDB = (
    '"Step","a - train/loss","a - train/loss__MIN","a - train/loss__MAX","b - x - train/loss"\n'
    '"1","0.5","0.5","0.5","0.4"\n"2","","","","0.3"\n'
)


def test_of_several_runs_one_is_read(read):
    assert read("w.csv", WANDB, run="b - x").series["train/loss"].values.tolist() == [0.4, 0.3]
    log = read("w.csv", WANDB, run="a")
    assert (log.format, log.series["train/loss"].steps.tolist()) == ("wandb CSV", [1])
    assert log.unknown == ()
    with pytest.raises(InputError, match=r"holds 2 runs \('a', 'b - x'\)"):
        read("w.csv", WANDB)
    with pytest.raises(InputError, match="holds no run 'c'"):
        read("w.csv", WANDB, run="c")
    rows = [{"run": "a", "step": 1, "loss": 0.5}, {"run": "b", "step": 1, "loss": 0.4}]
    assert read("r.jsonl", lines(rows), run="b").series["train/loss"].values.tolist() == [0.4]
    with pytest.raises(InputError, match=r"holds 2 runs \('a', 'b'\)"):
        read("r.jsonl", lines(rows))
    with pytest.raises(InputError, match="does not say whose its rows are"):
        read("r.jsonl", lines(ROWS), run="a")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_of_any_program(read, separator):
    text = "step,eval_loss,date,odd\n0,0.7,May,1\n5,,May,2\n10,0.6,May,3\n"
    log = read("m.csv", text.replace(",", separator))
    assert log.series["eval/loss"].steps.tolist() == [0, 10]
    assert log.unknown == ("odd",)
    assert log.format == "CSV"


def trackio(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE metrics (id INTEGER, run_name TEXT, step INTEGER, metrics TEXT)")
    database.execute("CREATE TABLE configs (id INTEGER, run_name TEXT, config TEXT)")
    for run in ("a", "b"):
        rows = [(k, run, k, json.dumps({"loss": k + 0.5, "note": "x"})) for k in range(3)]
        database.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?)", rows)
    database.execute("INSERT INTO configs VALUES (1, 'b', ?)", (json.dumps({"beta": 0.3}),))
    database.commit()
    database.close()


def test_trackio(read, tmp_path):
    trackio(tmp_path / "project ä?.db")
    log = read_log(tmp_path / "project ä?.db", run="b")
    assert log.series["train/loss"].values.tolist() == [0.5, 1.5, 2.5]
    assert (log.format, log.settings) == ("trackio database", {"beta": 0.3})
    with pytest.raises(InputError, match="holds 2 runs"):
        read_log(tmp_path / "project ä?.db")
    table = pyarrow.table({"run_name": ["a", "a"], "step": [0, 5], "loss": [0.5, None]})
    parquet.write_table(table, tmp_path / "metrics.parquet")
    assert read_log(tmp_path).series["train/loss"].values.tolist() == [0.5]
    points = [{"step": k, "timestamp": "t", "value": 0.5} for k in (1, 2)]
    fragments = [
        {"v": 1, "kind": "metric", "run": "a", "step": k, "metrics": {"loss": 0.5}, "config": None}
        for k in (1, 2)
    ]
    for text in (
        lines(fragments),
        json.dumps({"project": "p", "run": "a", "around": 1, "metrics": {"loss": points}}),
        json.dumps({"project": "p", "run": "a", "metric": "loss", "values": points}),
    ):
        log = read("t.json", text)
        assert log.series["train/loss"].steps.tolist() == [1, 2]
        assert (log.format, log.unknown) == ("trackio JSON", ())


def test_llama_factory_and_openrlhf(read, tmp_path):
    rows = [
        {"current_steps": k, "total_steps": 9, "loss": 0.5, "accuracy": 0.6, "lr": 1e-6}
        | {"epoch": 0.1, "percentage": 3.0, "elapsed_time": "0:00:01", "remaining_time": "0"}
        for k in (5, 10)
    ]
    read("out/trainer_log.jsonl", lines(rows))
    log = read_log(tmp_path / "out")
    assert set(log.series) == {"train/loss", "train/accuracy", "train/rate"}
    assert log.unknown == ()
    rows = [
        {"train/global_step": 1, "train/loss": 0.9, "train/loss_mean": 0.7, "train/acc": 0.5}
        | {"train/chosen_reward": 0.1, "train/reject_reward": -0.1, "train/lr": 1e-6},
        {"eval/global_step": 1, "eval/eval_loss": 0.6, "eval/acc_mean": 0.7},
    ]
    log = read("history.jsonl", lines(rows))
    assert log.series["train/loss"].values.tolist() == [0.7]
    assert log.series["eval/loss"].values.tolist() == [0.6]
    assert log.series["train/reward_rejected"].values.tolist() == [-0.1]
    assert log.notes[-1].endswith("train/loss_mean was taken, not train/loss.")


def test_of_several_evaluation_sets_one_is_read(read):
    rows = [
        {"step": k, f"eval_{name}_logps/chosen": value, f"eval_{name}_runtime": 1.0}
        for k in range(3)
        for name, value in (("helpful", -1.0), ("harm_less", -2.0))
    ]
    log = read("log.jsonl", lines(rows))
    assert log.series["eval/chosen"].values.tolist() == [-2.0] * 3
    (note,) = log.notes
    assert note.endswith("eval_harm_less_logps/chosen was taken, not eval_helpful_logps/chosen.")
    assert log.unknown == ()


def test_every_column_has_one_meaning():
    assert not [column for column in NAMES if UNUSED.fullmatch(column)]
    assert not {column for group in STEPS for column in group} & set(NAMES)
    assert split_of("eval/rewards/margins") == ("eval", "rewards/margins")
    assert split_of("train/probe/logps_chosen") == ("eval", "probe/logps_chosen")
    assert split_of("logps_eval_prob_test/irr_test") == ("eval", "logps/irr_test")


@pytest.mark.parametrize("own", [None, 5, 20])
def test_of_several_checkpoints_the_newest(tmp_path, own):
    for step in (9, 10):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        state = {"global_step": step, "log_history": [{"step": step, "loss": 0.5}]}
        (folder / "trainer_state.json").write_text(json.dumps(state))
    (tmp_path / "checkpoint-11").mkdir()  # killed while it was written
    if own is not None:
        state = {"global_step": own, "log_history": [{"step": own, "loss": 0.5}]}
        (tmp_path / "trainer_state.json").write_text(json.dumps(state))
    log = read_log(tmp_path)
    newest = 20 if own == 20 else 10
    assert log.series["train/loss"].steps.tolist() == [newest]
    assert any("newest, checkpoint-10" in note for note in log.notes) == (newest == 10)


def test_settings_stand_beside_the_log_but_never_in_a_pickle(tmp_path):
    folder = tmp_path / "checkpoint-5"
    folder.mkdir()
    state = {"log_history": [{"step": 5, "loss": 0.5}]}
    (folder / "trainer_state.json").write_text(json.dumps(state))
    (folder / "training_args.bin").write_bytes(b"cos\nsystem\n(S'exit'\ntR.")
    log = read_log(folder)
    assert log.settings == {}
    assert any("training_args.bin was not read" in note for note in log.notes)
    (tmp_path / "config.yaml").write_text("lr: 5.0e-7\nloss:\n  name: dpo\n  beta: 0.2\nseed: 3\n")
    assert read_log(tmp_path).settings == {"learning_rate": 5e-7, "beta": 0.2}
    (folder / "training_args.json").write_text('{"beta": 0.3, "loss_type": ["ipo"]}')
    log = read_log(tmp_path)
    assert log.settings == {"learning_rate": 5e-7, "beta": 0.3, "loss_type": ["ipo"]}
    assert not any("training_args.bin" in note for note in log.notes)
    assert read_log(tmp_path, beta=0.5).settings["beta"] == 0.5
    (tmp_path / "config.yaml").write_text("a: [1, 2\n")
    assert any("config.yaml could not be read" in note for note in read_log(folder).notes)


def test_rounds_of_a_callback_are_counted_on(read):
    rows = [
        {"round": r, "step": s, "probe/logps_chosen": -10.0 - 4 * r - s, "probe/margin": 1.0}
        for r in (1, 2, 3)
        for s in (0, 2, 4)
    ]
    rows.append({"round": 3, "step": 4, "warning": "oscillates"})
    log = read("dynamics.jsonl", lines(rows))
    chosen = log.series["eval/chosen"]
    assert chosen.steps.tolist() == [0, 2, 4, 6, 8, 10, 12]
    np.testing.assert_array_equal(chosen.values, -14.0 - chosen.steps)
    assert log.round_names == ("chosen",)
    np.testing.assert_array_equal(log.rounds, [[-14.0], [-18.0], [-22.0], [-26.0]])


def test_rounds_of_iterate_are_log_policies(read):
    raw = np.log([[[0.2, 0.1], [0.3, 0.3]], [[0.1, 0.1], [0.1, 0.5]]])  # rounds, prompts, responses
    text = "round,prompt,response,policy,log_prob\n"
    for (t, n, k), value in np.ndenumerate(raw):
        text += f"{t},{n},{k},0.5,{value}\n"
    log = read("rounds.csv", text)
    policies = np.exp(log.rounds).reshape(2, 2, 2)
    np.testing.assert_allclose(
        policies, [[[2 / 3, 1 / 3], [1 / 2, 1 / 2]], [[1 / 2] * 2, [1 / 6, 5 / 6]]]
    )
    assert log.round_names[1] == "prompt 0, response 1"
    np.testing.assert_allclose(log.series["eval/mass_inside"].values, [0.45, 0.4])
    cut = text.rsplit("\n", 2)[0] + "\n"
    for wrong in (cut, cut + "1,1,1,0.5,3\n", cut + "1,1,1,0.5,nan\n"):
        with pytest.raises(InputError, match="lacks a log_prob, finite and not above 0"):
            read("rounds.csv", wrong)


def test_what_train_and_its_callback_write(read):
    # A line of each, as prefdyn.llm.training documents them.
    own = {"step": 10, "epoch": 0.5, "loss": 0.6, "grad_norm": 1.0, "learning_rate": 1e-5}
    own |= {f"rewards/{x}": 0.1 for x in ("chosen", "rejected", "margins", "accuracies")}
    own |= {"logps/chosen": -9.0, "logps/rejected": -8.0, "stats/mean": 0.0, "warnings": ["text"]}
    probe = ("logps_chosen", "logps_rejected", "logps_greedy", "margin", "mass_inside", "entropy")
    probe += ("log_mass_inside", "mass_outside", "logps_top", "rejected_floor", "chosen_floor")
    own |= {f"probe/{name}": -1.0 for name in (*probe, "gradient_cosine")}
    log = read("log.jsonl", lines([own]))
    assert log.unknown == ()
    assert log.get("chosen").column == "probe/logps_chosen"
    assert {"eval/greedy", "eval/entropy", "eval/gradient_cosine", "train/chosen"} <= set(
        log.series
    )


def test_it_is_public():
    assert prefdyn.read_log is read_log
    assert prefdyn.RunLog is RunLog
