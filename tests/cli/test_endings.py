"""How a command ends: codes, interruptions, and errors that nobody foresaw."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from prefdyn.cli import main
from prefdyn.cli._claims import Claims

ROOT = Path(__file__).parents[2]


@pytest.fixture
def broken(monkeypatch):
    """Let ``prefdyn claims`` raise this."""

    def breaks(error: BaseException) -> None:
        def answer(self):
            raise error

        monkeypatch.setattr(Claims, "answer", answer)

    monkeypatch.delenv("PREFDYN_TRACEBACK", raising=False)
    return breaks


def test_what_nobody_foresaw_is_one_sentence_and_code_one(broken, capsys):
    broken(ZeroDivisionError("division\nby zero"))
    assert main(["claims"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "ZeroDivisionError: division by zero" in said.err
    assert "PREFDYN_TRACEBACK=1" in said.err
    assert "please report it" in said.err


@pytest.mark.parametrize(("error", "code"), [(ZeroDivisionError(), 1), (OSError(28, "full"), 2)])
def test_the_traceback_is_there_for_who_asks(broken, capsys, monkeypatch, error, code):
    monkeypatch.setenv("PREFDYN_TRACEBACK", "1")
    broken(error)
    assert main(["claims"]) == code
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert said.splitlines()[-1].startswith("prefdyn: ")


def test_too_little_memory_is_said(broken, capsys):
    broken(MemoryError())
    assert main(["claims"]) == 1
    assert capsys.readouterr().err == (
        "prefdyn: there is too little memory for this: ask for less at once.\n"
    )


@pytest.mark.parametrize(
    ("module", "remedy"),
    [
        ("zarr.core", "pip install 'prefdyn[sweep]'"),
        ("transformers", "pip install 'prefdyn[llm]'"),
        ("scipy", "pip install --upgrade prefdyn"),
        ("unheard_of", "pip install unheard_of"),
    ],
)
def test_a_missing_package_comes_with_the_command_that_brings_it(broken, capsys, module, remedy):
    broken(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert main(["claims"]) == 2
    top = module.partition(".")[0]
    assert capsys.readouterr().err == (
        f"prefdyn: {top} cannot be imported: {remedy}, and see prefdyn doctor.\n"
    )


def test_an_interruption_leaves_the_handlers_as_they_were(broken, capsys):
    before = signal.getsignal(signal.SIGTERM)
    broken(KeyboardInterrupt())
    assert main(["claims"]) == 130
    assert capsys.readouterr().err == "prefdyn: interrupted; nothing was written.\n"
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    "kind", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM]
)
def test_a_process_that_is_told_to_end_says_what_it_leaves(kind):
    code = (
        "import sys, time\n"
        "from prefdyn.cli import main\n"
        "from prefdyn.cli._claims import Claims\n"
        "Claims.answer = lambda self: (print('here', flush=True), time.sleep(60))\n"
        "sys.exit(main(['claims']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(kind)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == "prefdyn: interrupted; nothing was written.\n"


PAIRS = "".join(
    f'{{"prompt": "One day", "chosen": " the {a}", "rejected": " a {b}"}}\n'
    for a in ("cat", "dog", "boy", "girl", "tree", "sun")
    for b in ("cat", "dog", "boy", "girl", "tree", "sun")
    if a != b
)
CONFIG = """rounds = 4000
work = 1
reducers = ["entropy"]
[rule]
id = "finite_sample"
votes = 5
[rule.rule]
id = "mrs_ipo"
game = "rps:0.4"
beta = 0.5
alpha = 0.5
lam = 1.0
[axes]
rule.lam = { from = 0.1, to = 1.0, number = 20 }
"""
ROUNDS = "iterate rps:0.4 --prompt 'One day' --alpha 0.5 --lam 1 --beta 0.3 --rounds 6 --out run"
JOBS = [
    ("sweep config.toml --out run", "sweep/[0-9]*.json", ["--resume"]),
    ("sweep config.toml --out run --workers 2", "sweep/[0-9]*.json", ["--resume"]),
    (
        "train --data pairs.jsonl --rate 1e-4 --steps 60 --save-every 10 --out run",
        "checkpoint.pt",
        [],
    ),
    ("predict --data pairs.jsonl --batch 1 --out run", "pieces/*", []),
    (ROUNDS, "rounds.safetensors", []),
    ("validate --size quick --only squeezing,rankings --workers 1 --out run", "squeezing.json", []),
    ("validate --size quick --only squeezing,rankings --out run", "predictions/*.json", []),
]


@pytest.mark.slow
@pytest.mark.parametrize(("job", "sign", "more"), JOBS, ids=lambda value: str(value)[:30])
def test_an_interrupted_job_says_how_to_go_on_and_does(tmp_path, job, sign, more):
    (tmp_path / "pairs.jsonl").write_text(PAIRS)
    (tmp_path / "config.toml").write_text(CONFIG)
    words = shlex.split(job)
    process = start(words, tmp_path)
    while not list((tmp_path / "run").glob(sign)) and process.poll() is None:
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    os.killpg(process.pid, signal.SIGINT)
    printed, said = process.communicate(timeout=100)
    assert (process.returncode, printed) == (130, ""), said
    assert said.splitlines()[-1].startswith("prefdyn: interrupted; ")
    again = shlex.split(said.splitlines()[-1].partition("go on with: prefdyn ")[2])
    assert again == words + more
    process = start(again, tmp_path)
    printed, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "run" in printed


@pytest.mark.slow
def test_training_that_was_interrupted_ends_on_the_same_bits(tmp_path):
    (tmp_path / "pairs.jsonl").write_text(PAIRS)
    words = shlex.split("train --data pairs.jsonl --rate 1e-3 --steps 40 --batch 4 --log-every 1")
    assert code_of(start([*words, "--out", "straight"], tmp_path)) == 0
    process = start([*words, "--out", "run"], tmp_path)
    log = tmp_path / "run" / "log.jsonl"
    while not (log.exists() and log.read_text().count("\n") > 3):
        assert process.poll() is None
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "the steps taken are kept in run, go on with: " in said
    assert code_of(start([*words, "--out", "run"], tmp_path)) == 0
    for file in ("model/model.safetensors", "log.jsonl"):
        assert (tmp_path / "run" / file).read_bytes() == (
            tmp_path / "straight" / file
        ).read_bytes(), file


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [["analysis", "--seed", "991", "--scale", "5"], ["figures", "--seed", "991"]]
)
def test_checks_and_figures_end_at_once_and_say_how_to_go_on(tmp_path, words):
    for name in ("analysis", "figures", "prefdyn"):  # what they draw must not replace ours
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("output", "__pycache__")
        )
    shutil.copy(ROOT / "constraints.txt", tmp_path)
    process = start(words, tmp_path, module=True)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(15)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1].endswith(f"go on with: python -m {shlex.join(words)}")
    assert "Traceback" not in said


def start(words: list[str], folder: Path, module: bool = False) -> subprocess.Popen:
    """A command in a process group of its own, as a shell would start it."""
    name = [] if module else ["prefdyn"]
    return subprocess.Popen(
        [sys.executable, "-m", *name, *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(folder if module else ROOT)},
    )


def code_of(process: subprocess.Popen) -> int:
    """How a process ends, its pipes read and closed."""
    process.communicate(timeout=300)
    return process.returncode
