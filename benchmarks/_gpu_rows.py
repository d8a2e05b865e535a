"""The two ceilings of a device, and the row kernels against the second of them."""

from collections.abc import Callable
from itertools import cycle
from typing import Any

import torch
from torch import Tensor

from benchmarks._gpu_cases import Candidate, Log, compare
from benchmarks._gpu_place import Place, Timed
from benchmarks._gpu_results import FLOOR, OURS, Entry
from prefdyn.llm import kernels
from prefdyn.llm.head._head import Head
from prefdyn.llm.head._passes import logits_buffer
from prefdyn.llm.kernels import RowStats
from prefdyn.llm.kernels._backend import takes_triton

_ROWS = 512  # that are held in float64 at a time
_SPREAD = 4.0  # standard deviation of the logits


def ceilings(place: Place, log: Log) -> None:
    """Operations per second of a large product, bytes per second of a large copy."""
    side, size = place.sizes.product, place.sizes.copied
    low, single = ({"device": place.device, "dtype": t} for t in (torch.bfloat16, torch.float32))
    # Three sets of factors in turn, none of them zeros, which multiply faster.
    factors = cycle([tuple(torch.randn(side, side, **low) for _ in range(2)) for _ in range(3)])
    source = torch.randn(size // 4, **single)
    target = torch.empty_like(source)
    product, copy = f"bf16 product, side {side}", f"copy of {size / 1e9:.3g} GB, read and written"
    found = compare(
        place,
        log,
        "ceilings",
        "timed together",
        [
            Candidate(name + again, lambda run=run: Timed(run), FLOOR)
            for again in ("", ", again")
            for name, run in (
                (product, lambda: torch.mm(*next(factors))),
                (copy, lambda: target.copy_(source)),
            )
        ],
    )
    work = {product: ("tflops", 2.0 * side**3 / 1e9), copy: ("gbs", 2.0 * size / 1e6)}
    for name, (unit, amount) in work.items():
        times = [e.values["ms"] for e in found if e.variant.startswith(name) and "ms" in e.values]
        if times:
            rate = {unit: amount / min(times)}
            log.add(Entry("ceilings", "taken", name, FLOOR, rate))


def row_kernels(place: Place, log: Log) -> None:
    """Bandwidth of the row statistics, and of the gradient over the logits."""
    for V in place.sizes.vocabularies:
        _row_kernels(place, log, V)


def _row_kernels(place: Place, log: Log, V: int) -> None:
    rows = place.sizes.rows
    hidden = torch.zeros(rows, 1, dtype=torch.bfloat16, device=place.device)
    # In the layout that the passes through the head use.
    logits = logits_buffer(hidden, Head(hidden.new_zeros(V, 1)), rows)
    drawn = _SPREAD * torch.randn(rows, V, device=place.device)
    targets = torch.randint(V, (rows,), device=place.device)
    c = torch.randn(rows, device=place.device)
    truth = _log_probs(drawn, targets)
    stats = kernels.row_stats(logits.copy_(drawn), targets)

    def off(found: RowStats) -> dict[str, float]:
        return {"error": float((found.log_prob.double() - truth).abs().max())}

    def gradient_off(found: Tensor) -> dict[str, float]:
        return {"error": _gradient_error(found, drawn, targets, c)}

    def fresh(run: Callable[[], Any]) -> Timed:
        return Timed(run, before=lambda: logits.copy_(drawn))

    def gradient(dtype: torch.dtype | None) -> Timed:
        return fresh(lambda: kernels.dz_row(logits, stats, targets, c, dtype=dtype))

    size, bounds = 4.0 * rows * V, ("error",)
    low = torch.bfloat16
    compare(
        place,
        log,
        "rows",
        f"{rows} rows, V = {V}",
        [
            Candidate(name, make, OURS, measure, {"bytes": moved}, bounds)
            for name, make, measure, moved in (
                ("row_stats", lambda: fresh(lambda: kernels.row_stats(logits, targets)), off, size),
                ("dz_row", lambda: gradient(None), gradient_off, 2 * size),
                ("dz_row to bf16", lambda: gradient(low), gradient_off, 1.5 * size),
            )
        ],
    )


def _log_probs(logits: Tensor, targets: Tensor) -> Tensor:
    """In float64, some rows at a time."""
    pieces = zip(logits.split(_ROWS), targets.split(_ROWS), strict=True)
    return torch.cat([z.double().log_softmax(-1).gather(1, y[:, None])[:, 0] for z, y in pieces])


def _gradient_error(found: Tensor, logits: Tensor, targets: Tensor, c: Tensor) -> float:
    """``‖out - ref‖ / ‖ref‖`` of the rows' gradients, with the reference in float64."""
    off = norm = 0.0
    columns = (part.split(_ROWS) for part in (found, logits, targets, c))
    for dz, z, y, weight in zip(*columns, strict=True):
        truth = z.double().softmax(-1).neg_()
        truth[torch.arange(len(y), device=y.device), y] += 1
        truth *= weight[:, None]
        off += float((dz.double() - truth).square().sum())
        norm += float(truth.square().sum())
    return (off / norm) ** 0.5


def lean_row_stats(logits: Tensor, targets: Tensor) -> RowStats:
    """What the gradient needs; the other columns are there and mean nothing."""
    if takes_triton(logits):
        from benchmarks._gpu_lean_triton import log_probs

        top, log_sum, log_prob = log_probs(logits, targets)
    else:
        top = logits.amax(-1)
        log_sum = (logits - top[:, None]).exp().sum(-1).log()
        picked = logits.gather(1, targets.clamp(min=0)[:, None])[:, 0] - top - log_sum
        log_prob = picked.masked_fill(targets < 0, 0.0)
    return RowStats(
        maximum=top,
        log_sum=log_sum,
        log_prob=log_prob,
        entropy=top,
        sum_p2=log_sum,
        residual=log_prob,
        argmax=targets,
        argmax_prob=torch.exp(-log_sum),
    )
