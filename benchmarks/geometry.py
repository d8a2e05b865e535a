"""The Gram matrix of a model's gradients, layer by layer, against gradients and their sketches.

`python -m benchmarks.geometry` runs it, prints the tables, and keeps them in results/.
"""

import copy
import warnings
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from benchmarks.memory import peaks
from benchmarks.timing import PACKAGES, Row, Table, environment, interleaved, report
from prefdyn.llm import Responses, response_geometry
from prefdyn.llm.kernels import segmented_gram

OURS = "layer-wise"
GRADIENTS = "our gradients"
FUNC = "torch.func"
SKETCHES = (64, 256, 1024, 4096)
DENSE = 256
"""The largest m that a dense projection is measured at: it takes P m random numbers."""

PROMPT, TOKENS, VOCABULARY, LAYERS = 8, 16, 2000, 4
SIZE = (16, 128)  # responses R and hidden size d
MOST = 64  # responses whose memory is measured
CURVES = {
    "number of responses R": [(R, 128) for R in (4, 16, 64)],
    "number of parameters P": [(16, d) for d in (64, 128, 256)],
}
SEGMENTS = ((64, 16, 512), (256, 16, 512), (16, 256, 512), (64, 16, 2048))
"""Segments, rows of each, and the layer's width."""


class Operands:
    """A random Llama, and R random responses of one length to prompts of one length."""

    def __init__(self, R: int, d: int):
        import transformers

        torch.manual_seed(0)
        config = transformers.LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=d,
            intermediate_size=3 * d,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            tie_word_embeddings=False,
        )
        model: Any = transformers.AutoModelForCausalLM.from_config(config)
        self.model = model.eval()
        self.R, self.d = R, d
        self.ids = torch.randint(3, VOCABULARY, (R, PROMPT + TOKENS))
        rows = [tuple(row) for row in self.ids.tolist()]
        self.responses = Responses(
            tuple(row[:PROMPT] for row in rows), tuple(row[PROMPT:] for row in rows)
        )
        # Its fused attention has no rule for vmap.
        self.plain = copy.deepcopy(self.model)
        self.plain.set_attn_implementation("eager")

    @property
    def P(self) -> int:
        """Number of parameters."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def case(self) -> str:
        """The sizes in words."""
        return f"{self.R} responses of {TOKENS} tokens, {self.P / 1e6:.2g} M parameters"


def ours(o: Operands, method: str = "layer-wise") -> np.ndarray:
    """By `response_geometry`, all responses in one batch of at most 16."""
    return response_geometry(o.model, None, None, o.responses, method=method).gram


def per_sample(o: Operands) -> Tensor:
    """Gradients (R, P) by `torch.func`."""
    parameters = {name: p.detach() for name, p in o.plain.named_parameters()}

    def log_prob(parameters: dict[str, Tensor], row: Tensor) -> Tensor:
        options = {"use_cache": False}
        logits = functional_call(o.plain, parameters, (row[None],), options).logits
        values = logits[0, PROMPT - 1 : -1].log_softmax(-1)
        return values.gather(-1, row[PROMPT:, None]).sum()

    found = vmap(grad(log_prob), in_dims=(None, 0))(parameters, o.ids)
    return torch.cat([gradient.flatten(1) for gradient in found.values()], 1)


def by_func(o: Operands) -> np.ndarray:
    """G Gᵀ of the gradients by `torch.func`.

    A part at a time: of four rows, the product at once is off by 2e-4 in single precision.
    """
    parts = per_sample(o).split(2**15, 1)
    return torch.stack([part @ part.T for part in parts]).double().sum(0).numpy()


VARIANTS: dict[str, Callable[[Operands], np.ndarray]] = {
    OURS: ours,
    GRADIENTS: partial(ours, method="gradients"),
    FUNC: by_func,
}


def dense(rows: Tensor, m: int) -> Tensor:
    """Projections (R, m) by a Gaussian matrix, drawn a part at a time."""
    sketch = rows.new_zeros(len(rows), m)
    for part in rows.split(2**22 // m, 1):
        sketch += part @ torch.randn(part.shape[1], m).div_(m**0.5)
    return sketch


def buckets(rows: Tensor, m: int) -> Tensor:
    """Projections (R, m) by m buckets with random signs: one nonzero entry for each parameter."""
    width = rows.shape[1]
    signs = torch.randint(0, 2, (width,)).mul_(2).sub_(1).to(rows.dtype)
    return rows.new_zeros(len(rows), m).index_add_(1, torch.randint(m, (width,)), rows * signs)


def errors(found: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Of each pair of responses, relative to the norms of their gradients."""
    norms = np.sqrt(np.diag(right))
    return (np.abs(found - right) / np.outer(norms, norms))[np.triu_indices(len(right), 1)]


def checked(o: Operands) -> dict[str, Callable[[], object]]:
    """Every exact variant, once compared with the gradients of `torch.func`."""
    right = by_func(o)
    for name, variant in VARIANTS.items():
        error = np.abs(variant(o) - right).max() / np.diag(right).max()
        if not error <= 1e-4:
            raise AssertionError(f"{name} is off by {error:g} of the largest squared norm")
    return {name: partial(variant, o) for name, variant in VARIANTS.items()}


@cache
def timed(R: int, d: int) -> tuple[str, dict[str, float]]:
    """The case in words, and seconds of every exact variant."""
    o = Operands(R, d)
    runs = checked(o)
    return o.case, dict(zip(runs, interleaved(*runs.values(), repeats=2), strict=True))


def against_all() -> list[Row]:
    """Ours against the others, one thread."""
    case, seconds = timed(*SIZE)
    return [Row(case, OURS, name, seconds[OURS], seconds[name]) for name in (GRADIENTS, FUNC)]


def curve(by: str, sizes: list[tuple[int, int]]) -> Table:
    """How time goes with a size."""
    rows = []
    for size in sizes:
        case, seconds = timed(*size)
        ratios = (seconds[name] / seconds[OURS] for name in (GRADIENTS, FUNC))
        rows.append((case, *(1e3 * s for s in seconds.values()), *ratios))
    names = [f"{name}, ms" for name in VARIANTS]
    header = ("case", *names, f"{GRADIENTS} / ours", f"{FUNC} / ours")
    return Table(f"By {by}", header, rows, "Medians of two interleaved runs.")


def sketched() -> Table:
    """What sketches of the gradients cost on top of them, and how far they are off."""
    o = Operands(*SIZE)
    rows = per_sample(o)
    right = by_func(o)
    took, gradients = interleaved(partial(ours, o), partial(per_sample, o), repeats=3)
    lines: list[tuple[object, ...]] = [(f"{OURS}: no sketch", 0, took / gradients, 0.0, 0.0)]
    kinds = [(dense, m) for m in SKETCHES if m <= DENSE] + [(buckets, m) for m in SKETCHES]
    for kind, m in kinds:
        found = kind(rows, m)
        off = errors((found @ found.T).double().numpy(), right)
        (seconds,) = interleaved(partial(kind, rows, m), repeats=1)
        rms = float(np.sqrt((off**2).mean()))
        share = (gradients + seconds) / gradients
        lines.append((f"{FUNC}, {kind.__name__}", m, share, 100 * rms, 100 * float(off.max())))
    return Table(
        "Johnson-Lindenstrauss sketches",
        ("method", "m", "time, of the gradients' own", "error, rms, %", "largest error, %"),
        lines,
        f"{o.case}. Errors of inner products of two responses, relative to their norms.",
    )


def layer(segments: int, length: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs and output gradients of a layer of d times d, and their segments."""
    torch.manual_seed(0)
    n = segments * length
    return torch.randn(n, d), torch.randn(n, d), torch.arange(n) // length


def all_blocks(a: Tensor, d: Tensor, count: int) -> Tensor:
    """The sum over pairs of rows with all N² of them at once."""
    products = (a @ a.T).mul_(d @ d.T)
    return products.view(count, len(a) // count, count, -1).sum((1, 3))


def of_one_layer() -> Table:
    """`segmented_gram` against the floor, the N × N products at once, and pairs of rows alone."""
    side = 1024
    square = torch.randn(side, side)
    rows = []
    for count, length, d in SEGMENTS:
        a, deltas, segments = layer(count, length, d)
        gram = partial(segmented_gram, a, deltas, segments, count)
        plain = partial(all_blocks, a, deltas, count)
        right, found = plain().double(), gram()
        error = float((found - right).abs().max() / right.diagonal().max())
        if not error <= 1e-4:
            raise AssertionError(f"segmented_gram is off by {error:g} of the largest squared norm")
        auto, pairs, blocks, product = interleaved(
            gram, partial(gram, via="rows"), plain, lambda: square @ square, repeats=3
        )
        floor = 2 * len(a) ** 2 * 2 * d * product / (2 * side**3)
        floors = (seconds / floor for seconds in (auto, pairs, blocks))
        rate = 2 * side**3 / product / 1e9
        rows.append((f"{count} segments of {length} rows, d = {d}", 1e3 * auto, *floors, rate))
    return Table(
        "segmented_gram on one layer",
        ("case", "ms", "floors", "by pairs of rows", "all N² at once", "GFLOP/s of a product"),
        rows,
        "Floor: 2N²(d_in + d_out) operations at the speed of a product of side 1024.",
    )


def _run(case: tuple[str, int, int]) -> Callable[[], object]:
    """A variant that has run once already, on fewer responses: what libraries keep is there."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    name, *size = case
    VARIANTS[name](Operands(2, size[1]))
    return partial(VARIANTS[name], Operands(*size))


def memory() -> Table:
    """Peak memory of each variant in a process of its own."""
    cases = [(name, MOST, SIZE[1]) for name in VARIANTS]
    header = ("one run", "responses", "peak beyond model and data, MB", "kept gradients, MB")
    each = Operands(*SIZE).P * 4 / 2**20
    found = zip(cases, peaks(_run, cases), strict=True)
    rows = [(name, R, round(mb), round(R * each)) for (name, R, _), mb in found]
    return Table("Memory", header, rows, f"d = {SIZE[1]}; each in a fresh process.")


def main() -> None:
    """Run the comparison, print the tables and write them to results/geometry.json and .md."""
    setting = environment("python -m benchmarks.geometry", (*PACKAGES, "transformers"))
    torch.set_num_threads(1)
    rows = against_all()
    tables = [curve(by, sizes) for by, sizes in CURVES.items()]
    tables += [sketched(), of_one_layer(), memory()]
    report("geometry", "The Gram matrix of a model's gradients", rows, setting, tables)


if __name__ == "__main__":
    main()
