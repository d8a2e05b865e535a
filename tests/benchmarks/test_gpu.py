"""`benchmarks.gpu` from end to end at toy size: its checks, tables and refusals, but no timing."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks import _gpu_peers, _gpu_place, gpu
from benchmarks._gpu_cases import Candidate, Log, compare
from benchmarks._gpu_operands import draw, errors, exact
from benchmarks._gpu_place import Timed
from benchmarks._gpu_results import PEER, TABLES, Entry, Results, read

ROOT = Path(__file__).parents[2]
PLACE = _gpu_place.rehearsal()


def per_token(states, weight, targets, *options, **more):
    """Cross-entropy as `F.cross_entropy` has it, with a reduction among its options."""
    wanted = more.get("reduction") or next((x for x in options if isinstance(x, str)), "mean")
    return torch.nn.functional.cross_entropy(states @ weight.T, targets, reduction=wanted)


def pretended(name):
    """Modules that take what Liger's per-token kernel takes; every other peer is missing."""
    if name != "liger_kernel.ops.fused_linear_cross_entropy":
        raise ModuleNotFoundError(name=name.partition(".")[0])
    function = SimpleNamespace(apply=lambda *operands: (per_token(*operands), None, None, None))
    return SimpleNamespace(LigerFusedLinearCrossEntropyFunction=function)


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rehearsal")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_gpu_peers, "import_module", pretended)
        return gpu.rehearse(folder), folder


def collected():
    """A log, and the entries that come of it."""
    lines = []
    return Log(lambda record: lines.append(json.dumps(record) + "\n")), lambda: read(lines)[0]


def test_every_case_ends_and_fills_its_table(rehearsed):
    results, _ = rehearsed
    assert results.find("cases") == []
    assert not results.left_out
    assert {entry.table for entry in results.entries} == set(TABLES) - {"cases"}
    for entry in results.entries:
        values = results.derived(entry)
        timed = values.get("ms", 0) > 0 and values["ratio"] > 0
        rated = {"tflops", "gbs", "percent"} & set(values)
        assert timed or rated or entry.note.startswith("not installed"), entry


def test_ours_are_close_to_float64(rehearsed):
    results, _ = rehearsed
    for case in {entry.case for entry in results.find("head")}:
        for ours in ("pair_head", "token_logprobs"):
            assert results.value("head", case, ours, "sequence_max") < 1e-5
            assert results.value("head", case, ours, "by_weight") < 5e-3  # rounded to bfloat16
    for entry in results.find("orbits"):
        assert entry.values["error"] < 1e-12


def test_peers_are_run_where_they_are_and_named_where_not(rehearsed):
    found = {e.variant: e for e in rehearsed[0].find("head") if e.kind == PEER}
    assert found["Liger FLCE per token"].values["by_weight"] < 0.02
    missing = found["cut cross-entropy, exact"]
    assert missing.note == "not installed: no module named 'cut_cross_entropy'"
    assert "ms" not in missing.values


def test_a_rehearsal_is_no_result(rehearsed):
    results, folder = rehearsed
    assert {path.name for path in folder.iterdir()} == {"rehearsal.json", "rehearsal.md"}
    page, record = (folder / "rehearsal.md").read_text(), folder / "rehearsal.json"
    assert page.startswith("# REHEARSAL at toy size on a processor: none of these numbers is a")
    assert "| not installed: no module named 'cut_cross_entropy' |" in page
    kept = json.loads(record.read_text())
    assert len(kept["entries"]) == len(results.entries)
    assert {goal["verdict"] for goal in kept["goals"]} == {"not measured"}


def test_a_rehearsal_stays_out_of_the_results():
    with pytest.raises(ValueError, match="is for results: give another folder"):
        gpu.rehearse(gpu.RESULTS)


def test_without_a_gpu_there_is_a_sentence(capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 1
    assert capsys.readouterr().out == (
        "There is no NVIDIA GPU here that torch can use: nothing was measured.\n"
    )


def test_failures_and_disagreements_cost_their_own_line():
    log, entries = collected()

    def fails():
        raise RuntimeError("no such kernel\nand more")

    off = {"error": 0.5}
    candidates = [
        Candidate("good", lambda: Timed(lambda: 1)),
        Candidate("cannot be made", fails),
        Candidate("cannot run", lambda: Timed(fails)),
        Candidate("is wrong", lambda: Timed(lambda: 1), measure=lambda _: off, bounds=("error",)),
        Candidate("is nan", lambda: Timed(lambda: 1), measure=lambda _: {"error": float("nan")},
                  bounds=("error",)),
        Candidate("banned", lambda: Timed(fails)),
        Candidate("also good", lambda: Timed(lambda: 2)),
    ]  # fmt: skip
    compare(PLACE, replace(log, banned={"banned": "left out: it hung"}), "head", "c", candidates)
    notes = {entry.variant: entry.note for entry in entries()}
    assert notes == {
        "good": "",
        "cannot be made": "RuntimeError: no such kernel",
        "cannot run": "RuntimeError: no such kernel",
        "is wrong": "computes something else: error too large",
        "is nan": "computes something else: error too large",
        "banned": "left out: it hung",
        "also good": "",
    }
    assert {e.variant for e in entries() if "ms" in e.values} == {"good", "also good"}


def test_float64_truth_is_that_of_autograd():
    for referred in (False, True):
        o = draw("cpu", 24, 3, 5, 11, referred=referred)
        hidden, weight = (x.detach().double().requires_grad_() for x in (o.hidden, o.weight))
        picked = (hidden @ weight.T).log_softmax(-1).gather(1, o.targets[:, None])[:, 0]
        sequences = o.sequences(picked)
        by = torch.autograd.grad(o.loss_of(sequences.view(2, -1)), (hidden, weight))
        found = errors(exact(o), type(exact(o))(sequences.detach(), *by))
        assert max(found.values()) < 1e-13


CHILD = """
import json, sys, time
into = sys.argv[sys.argv.index("--into") + 1]
banned = json.loads(sys.argv[sys.argv.index("--banned") + 1])
entry = {"table": "head", "case": "c", "variant": "pair_head"}
with open(into, "a", buffering=1) as file:
    file.write(json.dumps(entry) + "\\n")
    for variant in ("hangs", "dies"):
        if variant not in banned:
            file.write(json.dumps({"trying": variant}) + "\\n")
            file.write('{"table": "he')  # cut off in the middle
            if variant == "hangs":
                time.sleep(100)
            sys.exit("illegal memory access")
    file.write(json.dumps(entry | {"variant": "last"}) + "\\n")
"""


def test_what_ends_a_process_is_left_out_and_the_rest_is_kept():
    command = [sys.executable, "-S", "-c", CHILD]
    kept = []

    def launch(name, banned, seconds):
        return gpu.in_a_process(name, banned, min(seconds, 3.0), command)

    run = gpu.Run({}, launch, 1000.0, kept.append)
    results = run.all(["one", "two"])
    assert [entry.variant for entry in results.entries] == ["pair_head", "last"] * 2
    assert len(kept) == 2
    assert run.banned == {
        "hangs": "left out: ran for more than 3 s (one)",
        "dies": "left out: ended with status 1: illegal memory access (one)",
    }


def test_time_that_is_up_is_said():
    now = iter(range(0, 10**6, 300))
    launch = partial(gpu.in_this_process, PLACE)
    run = gpu.Run({}, launch, 500.0, lambda _: None, clock=lambda: next(now))
    assert run.all(["ceilings", "gram"]).left_out == ["gram: no time left"]


def test_a_case_that_breaks_by_itself_is_a_line(monkeypatch):
    monkeypatch.setattr(gpu, "cases", lambda _: {"broken": lambda place, log: 1 / 0})
    run = gpu.Run({}, partial(gpu.in_this_process, PLACE), 100.0, lambda _: None)
    (entry,) = run.all(["broken"]).entries
    assert (entry.table, entry.variant) == ("cases", "nobody in particular")
    assert entry.note == "ZeroDivisionError: division by zero"


def timed(variant, ms, kind="ours", **values):
    values |= {"ms": ms, "low": ms, "high": ms, "flop": 6e12, "d": 4096, "V": 128256}
    return Entry("head", "c", variant, kind, values)


@pytest.mark.parametrize(
    ("ms", "theirs", "verdict"), [(7.0, 1.1e-2, "holds"), (9.0, 0.9e-2, "fails")]
)
def test_goals_are_judged(ms, theirs, verdict):
    entries = [
        Entry("ceilings", "taken", "product", "floor", {"tflops": 1000.0}),
        timed("pair_head", ms, sequence_max=1e-4),
        timed("Liger chunked DPO", 8.0, PEER, sequence_max=theirs),
        Entry("statistics", "c", "cost", values={"percent": ms - 5}),
    ]
    results = Results({"counts": True}, entries)
    near, ahead, cost, precision = results.goals()
    assert results.derived(entries[1])["of_floor"] == pytest.approx(600 / ms)
    assert near.measured == f"{ms / 6:.2f} times"
    assert {near.verdict, ahead.verdict, cost.verdict, precision.verdict} == {verdict}
    nothing = Results({"counts": True}, [])
    assert {goal.verdict for goal in nothing.goals()} == {"not measured"}


BARE = """
import importlib.abc, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"scipy", "numba", "rich", "lazy_loader", "transformers"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import torch
from benchmarks import gpu
from benchmarks._gpu_rows import lean_row_stats
z = torch.randn(5, 300, generator=torch.Generator().manual_seed(0))[:, :290]
y = torch.tensor([0, 289, -1, 7, 100])
found, log_p = lean_row_stats(z, y), z.double().log_softmax(-1)
expected = log_p.gather(1, y.clamp(min=0)[:, None])[:, 0].masked_fill(y < 0, 0.0)
torch.testing.assert_close(found.log_prob.double(), expected, rtol=1e-6, atol=1e-6)
assert torch.equal(found.maximum, z.amax(-1))
print("imported, and the kernel agrees")
"""


def test_on_a_bare_machine():
    environment = os.environ | {"TRITON_INTERPRET": "1", "PREFDYN_KERNELS": "triton"}
    run = subprocess.run(
        [sys.executable, "-c", BARE], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert run.stdout == "imported, and the kernel agrees\n", run.stderr
