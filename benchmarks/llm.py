"""The head of a language model: an objective on pairs and its gradients, against what is usual.

`python -m benchmarks.llm` runs it, prints the table, and keeps it in results/.
"""

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.markdown import Markdown
from torch import Tensor
from torch.nn import functional

from benchmarks.cpu import RESULTS
from benchmarks.timing import Row, environment, interleaved, markdown
from prefdyn.llm import Head, PairLoss, Responses, States, pair_head, token_logprobs

# Moderate, so that a run takes a minute of one thread: pairs, tokens of each response, d and V.
PAIRS, TOKENS, D, V = 8, 64, 256, 32000
N = 2 * PAIRS * TOKENS
FLOOR = "three matrix products"


class Operands:
    """Random hidden states and head, and IPO on the pairs."""

    def __init__(self):
        torch.manual_seed(0)
        tokens = torch.randint(V, (2 * PAIRS, TOKENS)).tolist()
        self.responses = Responses(((0,),) * 2 * PAIRS, tuple(map(tuple, tokens)))
        self.hidden = torch.randn(N, D).requires_grad_()
        self.weight = (torch.randn(V, D) / 16).requires_grad_()
        self.targets = torch.tensor(tokens).flatten()
        reference = torch.full((2 * PAIRS, TOKENS), -10.0)
        pairs = np.arange(2 * PAIRS).reshape(-1, 2)
        self.loss = PairLoss("ipo", self.responses, pairs, reference)

    def gradients(self, loss: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(loss, (self.hidden, self.weight))

    def of_values(self, values: Tensor) -> tuple[Tensor, ...]:
        """Gradients of the loss of token log-probabilities (N,)."""
        return self.gradients(self.loss.of_tokens(values.view(2 * PAIRS, TOKENS)))


def naive(o: Operands) -> tuple[Tensor, ...]:
    log_p = (o.hidden @ o.weight.T).log_softmax(-1)
    return o.of_values(log_p.gather(1, o.targets[:, None])[:, 0])


def naive_with_statistics(o: Operands) -> tuple[Tensor, ...]:
    logits = o.hidden @ o.weight.T
    with torch.no_grad():
        p = logits.softmax(-1)
        entropy = logits.logsumexp(-1) - (p * logits).sum(-1)
        _ = entropy, p.square().sum(-1), p.max(-1)
        del p
    return o.of_values(logits.log_softmax(-1).gather(1, o.targets[:, None])[:, 0])


def cross_entropy(o: Operands) -> tuple[Tensor, ...]:
    return o.of_values(
        -functional.cross_entropy(o.hidden @ o.weight.T, o.targets, reduction="none")
    )


def in_chunks(o: Operands) -> tuple[Tensor, ...]:
    return o.of_values(token_logprobs(o.hidden, Head(o.weight), o.targets))


def through_one_buffer(o: Operands) -> tuple[Tensor, ...]:
    segments = torch.arange(N) // TOKENS
    states = States(o.hidden, o.targets, segments)
    return o.gradients(pair_head(states, Head(o.weight), o.loss).loss)


def products(o: Operands) -> tuple[Tensor, ...]:
    """No less can be done: logits, and the two gradients from a buffer of their size."""
    hidden, weight = o.hidden.detach(), o.weight.detach()
    logits = hidden @ weight.T
    return logits @ weight, logits.T @ hidden


VARIANTS: dict[str, Callable[[Operands], tuple[Tensor, ...]]] = {
    FLOOR: products,
    "pair_head": through_one_buffer,
    "token_logprobs": in_chunks,
    "log_softmax + gather": naive,
    "the same, with statistics": naive_with_statistics,
    "F.cross_entropy": cross_entropy,
}


def peak(name: str) -> float:
    """Megabytes that one run takes beyond operands and libraries; for a process of its own."""
    operands = Operands()
    before = _high_water()
    VARIANTS[name](operands)
    return _high_water() - before


def _high_water() -> float:
    """Largest memory of this process so far, in MB, by Linux's own count.

    That of `resource` starts from the parent's.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def peaks() -> dict[str, float]:
    """Peak memory of each variant, in fresh processes."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return dict(zip(VARIANTS, pool.map(peak, VARIANTS, chunksize=1), strict=True))


def rows() -> list[Row]:
    """Ours against the others, from interleaved runs."""
    operands = Operands()
    expected = naive(operands)
    for name in set(VARIANTS) - {FLOOR}:
        for found, other in zip(VARIANTS[name](operands), expected, strict=True):
            torch.testing.assert_close(
                found, other, rtol=1e-3, atol=1e-5 * float(other.abs().max())
            )
    runs = interleaved(
        *(lambda variant=variant: variant(operands) for variant in VARIANTS.values()), repeats=7
    )
    seconds = dict(zip(VARIANTS, runs, strict=True))
    case = f"IPO on {PAIRS} pairs, N = {N}, d = {D}, V = {V}"
    return [
        Row(case, ours, other, seconds[ours], seconds[other], seconds[FLOOR])
        for ours in ("pair_head", "token_logprobs")
        for other in list(VARIANTS)[3:]
    ]


def main() -> None:
    """Run the comparison, print the tables and write them to results/llm.json and llm.md."""
    setting = environment() | {"command": "python -m benchmarks.llm"}
    found, memory = rows(), peaks()
    page = markdown(found, setting).replace("# CPU results", "# The head of a language model", 1)
    page += "\n| one run | peak memory beyond the operands, MB |\n|---|---:|\n"
    page += "".join(f"| {name} | {megabytes:.0f} |\n" for name, megabytes in memory.items())
    (RESULTS / "llm.md").write_text(page)
    record = setting | {"rows": [row.record() for row in found], "peak_megabytes": memory}
    (RESULTS / "llm.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    Console(width=150).print(Markdown(page))


if __name__ == "__main__":
    main()
