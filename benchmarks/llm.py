"""The head of a language model: an objective on pairs and its gradients, against what is usual.

`python -m benchmarks.llm` runs it, prints the tables, and keeps them in results/.
"""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch

from benchmarks import _head
from benchmarks._head import COMPILED, FLOOR, LIGER, NAIVE, OURS, VARIANTS, Gradients, Operands
from benchmarks.memory import peaks
from benchmarks.peers import PEERS, missing, peer
from benchmarks.timing import PACKAGES, Row, Table, environment, interleaved, report, torch_threads

SIZE = (8, 128, 512, 32000)  # pairs, tokens of each response, d and V, so N = 2048
CURVES = {
    "number of tokens N": [(8, tokens, 256, 32000) for tokens in (16, 32, 64)],
    "vocabulary V": [(8, 32, 256, V) for V in (8000, 32000, 64000)],
    "hidden size d": [(8, 32, d, 32000) for d in (128, 256, 512)],
    "pairs in the same N": [(pairs, 256 // pairs, 256, 32000) for pairs in (1, 8, 64)],
}
CPU_THREADS = min(2, os.cpu_count() or 1)


def check(found: Gradients, expected: Gradients) -> None:
    """Nothing is timed that gives another answer."""
    for one, other in zip(found, expected, strict=True):
        error = float((one - other).norm() / other.norm())
        if not error <= 1e-5:
            raise AssertionError(f"a gradient is off by {error:g} of its norm")


def checked(o: Operands) -> tuple[dict[str, Callable[[], object]], list[str]]:
    """Every variant of an objective that runs here, once compared with the naive one; and notes."""
    expected, runs, notes = _head.naive(o), {}, []
    for name, variant in VARIANTS.items():
        start = time.perf_counter()
        try:
            found = variant(o)
        except Exception as error:
            if name != COMPILED:  # which needs a C++ compiler
                raise
            notes.append(f"{name}: failed here with {type(error).__name__}")
            continue
        if name == COMPILED:
            cold = time.perf_counter() - start
            notes.append(f"{name}: the first call took {cold:.0f} s, which no ratio counts")
        if name != FLOOR:
            check(found, expected)
        runs[name] = partial(variant, o)
    return runs, notes


def against_all() -> tuple[list[Row], list[str]]:
    """Ours against the others, one thread."""
    o = Operands(*SIZE)
    runs, notes = checked(o)
    seconds = dict(zip(runs, interleaved(*runs.values(), repeats=3), strict=True))
    ours = [name for name in ("pair_head", "token_logprobs") if name in seconds]
    others = [name for name in seconds if name not in (FLOOR, *ours)]
    rows = [
        Row(o.case, mine, other, seconds[mine], seconds[other], seconds[FLOOR])
        for mine in ours
        for other in others
    ]
    return rows, notes


def against_liger() -> list[Row]:
    """DPO, which Liger-Kernel has, without a reference model on either side."""
    if peer("liger_kernel.chunked_loss") is None:
        return []
    o = Operands(*SIZE, objective="dpo")
    check(_head.liger(o), _head.naive(o))
    runs = (partial(run, o) for run in (_head.one_buffer, _head.liger, _head.products))
    ours, other, floor = interleaved(*runs, repeats=3)
    return [Row(o.case, OURS, LIGER, ours, other, floor)]


def by_the_clock() -> Table:
    """The same with several threads, where only a clock on the wall can tell."""
    o = Operands(*SIZE)
    names = [FLOOR, OURS, "token_logprobs", NAIVE, "F.cross_entropy", "checkpointed chunks"]
    with torch_threads(CPU_THREADS):
        runs = [partial(VARIANTS[name], o) for name in names]
        seconds = interleaved(*runs, repeats=4, clock=time.perf_counter, summary=min)
    rows = [
        (name, 1e3 * s, s / seconds[0], s / seconds[3])
        for name, s in zip(names, seconds, strict=True)
    ]
    return Table(
        f"{CPU_THREADS} threads, by the wall clock",
        ("variant", "ms", "floors", f"of {NAIVE}"),
        rows,
        f"{o.case}. Best of interleaved runs; means something on an idle machine only.",
    )


def _warm(name: str) -> Callable[[], object]:
    """A variant that has run once already; its memory is then its own and no library's."""
    torch.set_num_threads(CPU_THREADS)
    dpo = name == LIGER
    o = Operands(*SIZE, objective="dpo" if dpo else "ipo")
    variant = _head.liger if dpo else VARIANTS[name]
    variant(o)
    return partial(variant, o)


def memory(names: Sequence[str]) -> Table:
    """Peak memory of each variant in a process of its own."""
    found = dict(zip(names, peaks(_warm, names), strict=True))
    rows = [(name, round(mb), mb / found[NAIVE]) for name, mb in found.items()]
    header = ("one run", "peak beyond the operands, MB", f"of {NAIVE}")
    return Table("Memory", header, rows, "Each in a fresh process, in its second run.")


def curve(by: str, sizes: Sequence[tuple[int, int, int, int]]) -> Table:
    """How time goes with a size."""
    rows = []
    for size in sizes:
        o = Operands(*size)
        # In double precision: for one pair the naive expression itself is off by 2e-5.
        check(_head.one_buffer(o), _head.naive(o.exact()))
        ours, chunks, other, floor = interleaved(
            *(partial(run, o) for run in _CURVE), repeats=2, summary=min
        )
        case = f"{o.pairs} pairs, N = {o.N}, d = {o.d}, V = {o.V}"
        rows.append((case, 1e3 * ours, ours / floor, chunks / floor, other / floor, other / ours))
    return Table(
        f"By {by}",
        (
            "case",
            "pair_head, ms",
            "pair_head, floors",
            "token_logprobs, floors",
            f"{NAIVE}, floors",
            "ratio",
        ),
        rows,
        "Best of two interleaved runs.",
    )


_CURVE = (_head.one_buffer, _head.in_chunks, _head.naive, _head.products)


def errors() -> Table:
    """How far summed log-probabilities are off, against float64 and the same operands."""
    rows = []
    for dtype in (torch.float32, torch.bfloat16):
        o = Operands(8, 64, 256, 8000, objective="dpo")
        o.hidden, o.weight = (x.detach().to(dtype).requires_grad_() for x in (o.hidden, o.weight))
        exact = _head.summed(o, o.hidden.double(), o.weight.double())
        with torch.no_grad():
            found = {OURS: _head.one_pass(o).token_log_probs.sum(-1)}
            found[NAIVE] = _head.summed(o, o.hidden, o.weight)
        if peer("liger_kernel.chunked_loss") is not None:
            found[LIGER] = torch.cat(_head.liger_loss(o)[1:])
        for name, values in found.items():
            worst = float((values.detach().double() - exact.detach()).abs().max())
            rows.append((name, str(dtype).removeprefix("torch."), worst))
    return Table(
        "Error of a response's log-probability",
        ("method", "operands", "largest, nats"),
        rows,
        "16 responses of 64 tokens, d = 256, V = 8000, against float64 of the same operands.",
    )


def main() -> None:
    """Run the comparison, print the tables and write them to results/llm.json and llm.md."""
    setting = environment("python -m benchmarks.llm", (*PACKAGES, *PEERS.values()))
    rows, notes = against_all()
    rows += against_liger()
    tables = [by_the_clock(), *(curve(by, sizes) for by, sizes in CURVES.items()), errors()]
    ran = {name for row in rows for name in (row.ours, row.alternative)}
    tables.append(memory([FLOOR, *(name for name in (*VARIANTS, LIGER) if name in ran)]))
    report("llm", "The head of a language model", rows, setting, tables, [*notes, *missing()])


if __name__ == "__main__":
    main()
