"""Everything that reads a file of the user's: its good files, and how it is called."""

import gzip
import io
import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import torch
from pyarrow.parquet import write_table

from prefdyn import games, read_log
from prefdyn.cli._sweep_config import read_config as sweep_config
from prefdyn.games import load_matrix, load_votes
from prefdyn.llm.data import read_pairs
from prefdyn.llm.training._checkpoint import load_state
from prefdyn.pipeline import read_config as pipeline_config
from prefdyn.pipeline import translate


@dataclass(frozen=True)
class Reader:
    """A reader, with good files to damage.

    ``suffix`` ends the file's name; ``read`` gets its path, and reads all of it.
    """

    name: str
    suffix: str
    seeds: tuple[bytes, ...]
    read: Callable[[Path], Any]


def _lines(*rows: Any) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


VOTES = (
    b"winner,loser,count,prompt,tie\nA,B,3,p,no\nB,C,2,p,no\nC,A,2.5,q,yes\n",
    b'winner,loser\n"a, b",c\nc,d\nd,"a, b"\n',
    "\ufeffwinner,loser,count\nSchöne,Grüße,4\nGrüße,😀,1\n".encode(),
)
VOTE_LINES = (
    _lines({"winner": "A", "loser": "B", "count": 2}, {"winner": "B", "loser": "A", "tie": True}),
    _lines({"winner": "x", "loser": "y", "prompt": "p"}, {"winner": "y", "loser": "z"}),
)
TABLES = (
    b"0.5,0.7,0.2\n0.3,0.5,0.9\n0.8,0.1,0.5\n",
    b",a,b\na,0.5,0.75\nb,0.25,0.5\n",
)
SPACED = (b"0.5 0.7\n0.3 0.5\n", b"0.5 0.9 0.1\n0.1 0.5 0.9\n0.9 0.1 0.5\n")
MATRICES = (
    b"[[0.5, 0.7], [0.3, 0.5]]",
    b'{"P": [[0.5, 0.7], [0.3, 0.5]], "names": ["a", "b"], "source": "x", "licence": "y"}',
    b'{"wins": [[0, 7, 1], [3, 0, 2], [2, 2, 0]], "names": ["a", "b", "c"]}',
)
PAIRS = (
    _lines(
        {"prompt": "Q: hi", "chosen": " yes", "rejected": " no"},
        {"prompt": "é😀", "chosen": " a b", "rejected": " c"},
    ),
    _lines(
        {
            "chosen": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}],
            "rejected": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "no"}],
        },
        {"prompt_ids": [1, 2, 3], "chosen_ids": [4], "rejected_ids": [5, 6]},
    ),
)
PAIR_ARRAY = (json.dumps([json.loads(line) for line in PAIRS[0].splitlines()]).encode(), *PAIRS)
SWEEPS = (
    b"""rounds = 30
seed = 1
reducers = ["entropy", "critical:beta"]
[rule]
id = "mrs_ipo"
game = "rps:0.4"
alpha = 0.5
[axes]
beta = { from = 0.05, to = 2.0, number = 5, spacing = "log" }
lam = [0.25, 1.0]
start = { random = 2, seed = 1 }
""",
    b"""[rule]
id = "mrs"
game = "cycle:4:0.2"
lam = 1.0
alpha = 0.1
objective = "dpo"
[axes]
beta = [0.1, 0.2]
repeat = 2
""",
)
TRAINER_STATE = (
    json.dumps(
        {
            "global_step": 3,
            "log_history": [
                {"step": k, "loss": 0.7 - 0.1 * k, "rewards/chosen": 0.1 * k, "learning_rate": 1e-6}
                for k in range(4)
            ]
            + [{"step": 3, "eval_logps/chosen": -100.0, "eval_logps/rejected": -120.0}],
        }
    ).encode(),
)
LOG_LINES = (
    _lines(*({"step": k, "logps/chosen": -9.0 - k, "rewards/margins": 0.1 * k} for k in range(4))),
    _lines(*({"_step": k, "train/loss": 0.6, "_runtime": 3.0} for k in range(3))),
    b'{"logps_eval_prob_train/chosen": -132.2, "argmax_prob_logits": NaN}\n'
    b'{"logps_eval_prob_train/chosen": -130.1, "argmax_prob_logits": -110.5}\n',
)
LOG_TABLES = (
    b'"Step","a - eval/logps/chosen","a - eval/logps/chosen__MIN"\n"1","-9","-9"\n"2","-8",""\n',
    b"step,loss,logps/chosen\n1,0.7,-100\n2,0.6,-99\n",
    b"round,prompt,response,policy,log_prob\n0,0,0,0.5,-2\n0,0,1,0.5,-2\n"
    b"1,0,0,0.6,-1\n1,0,1,0.4,-1.4\n",
)
YAMLS = (
    b"""loss_type: ipo
beta: 0.1
learning_rate: 5.0e-7
sync_ref_model: true
ref_model_mixup_alpha: 0.6
ref_model_sync_steps: 64
max_steps: 640
""",
    b"trainer: dpo\nbeta: 0.05\nloss_type: [sigmoid, sft]\nloss_weights: [1.0, 0.5]\n",
)
CONFIGS = (json.dumps({"beta": 0.1, "loss_type": "ipo", "sync_ref_model": False}).encode(),)
CONFIG_TABLES = (b'beta = 0.1\nloss_type = "sigmoid"\nsync_ref_model = true\n',)


def _parquet(*rows: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    write_table(pyarrow.Table.from_pylist(list(rows)), file)
    return file.getvalue()


def _database() -> bytes:
    """A run as trackio keeps it."""
    with sqlite3.connect(":memory:") as database:
        database.execute(
            "create table metrics (id integer primary key, timestamp text, run_name text, "
            "step integer, metrics text)"
        )
        rows = [(f"2026-01-0{k + 1}", "a", k, f'{{"logps/chosen": -{k}.5}}') for k in range(3)]
        database.executemany(
            "insert into metrics (timestamp, run_name, step, metrics) values (?, ?, ?, ?)", rows
        )
        database.commit()
        return database.serialize()


def _checkpoint() -> bytes:
    file = io.BytesIO()
    torch.save({"step": 3, "weights": torch.arange(5.0)}, file)
    return file.getvalue()


def _pairs(path: Path) -> None:
    """To the end, once leaving bad records out, once not."""
    list(read_pairs(path, skip_bad=True))
    list(read_pairs(path))


def _any_game(path: Path) -> None:
    game = games.load(str(path))
    total = game.P + np.swapaxes(game.P, -1, -2)
    assert np.abs(total - 1).max() < 1e-8  # what was read is a preference matrix


READERS = (
    Reader("votes.csv", ".csv", VOTES, load_votes),
    Reader("votes.jsonl", ".jsonl", VOTE_LINES, load_votes),
    Reader("votes.csv by prompt", ".csv", VOTES[:1], lambda p: load_votes(p, per_prompt=True)),
    Reader("matrix.csv", ".csv", TABLES, load_matrix),
    Reader("matrix.json", ".json", MATRICES, load_matrix),
    Reader("game.csv", ".csv", (*TABLES, *VOTES), _any_game),
    Reader("game.json", ".json", MATRICES, _any_game),
    Reader("game.txt", ".txt", SPACED, _any_game),
    Reader("pairs.jsonl", ".jsonl", PAIRS, _pairs),
    Reader("pairs.json", ".json", PAIR_ARRAY, _pairs),
    Reader(
        "pairs.parquet",
        ".parquet",
        (_parquet(*({"prompt": f"Q{k}", "chosen": " yes", "rejected": " no"} for k in range(5))),),
        _pairs,
    ),
    Reader("sweep.toml", ".toml", SWEEPS, sweep_config),
    Reader("trainer_state.json", ".json", TRAINER_STATE, read_log),
    Reader("log.jsonl", ".jsonl", LOG_LINES, read_log),
    Reader("log.csv", ".csv", LOG_TABLES, read_log),
    Reader(
        "log.jsonl.gz", ".gz", tuple(gzip.compress(data, mtime=0) for data in LOG_LINES), read_log
    ),
    Reader("trackio.db", ".db", (_database(),), read_log),
    Reader(
        "log.parquet",
        ".parquet",
        (_parquet(*({"step": k, "logps/chosen": -9.0 - k} for k in range(4))),),
        read_log,
    ),
    Reader("checkpoint.pt", ".pt", (_checkpoint(),), load_state),
    Reader("pipeline.yaml", ".yaml", YAMLS, lambda p: translate(pipeline_config(p))),
    Reader("pipeline.json", ".json", CONFIGS, lambda p: translate(pipeline_config(p))),
    Reader("pipeline.toml", ".toml", CONFIG_TABLES, lambda p: translate(pipeline_config(p))),
)
