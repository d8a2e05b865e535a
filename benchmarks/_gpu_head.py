"""An objective on pairs at the head, ours and others', on a GPU.

A pass reads and writes gigabytes, far more than any cache holds, so one set of operands does.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from benchmarks._gpu_cases import Candidate, Log, compare
from benchmarks._gpu_operands import Found, Pairs, draw, errors, exact, relative
from benchmarks._gpu_peers import MEANS, VARIANTS, Variant, Way, one_buffer
from benchmarks._gpu_place import Place, Timed
from benchmarks._gpu_results import FLOOR, OURS, Entry
from benchmarks._gpu_rows import lean_row_stats
from prefdyn.llm import kernels
from prefdyn.llm.kernels import RowStats

SWEPT = (
    "pair_head",
    "token_logprobs",
    "log_softmax + gather",
    "torch.compile",
    "Liger chunked DPO",
    "cut cross-entropy, filtered",
    "cut cross-entropy, exact",
)
GRADIENTS = ("by_hidden", "by_weight")


def head(place: Place, log: Log, d: int, V: int) -> None:
    """Every variant at one shape, forward and backward."""
    _compare(place, log, "head", VARIANTS, _pairs(place, d, V))


def forward(place: Place, log: Log, d: int, V: int) -> None:
    """Every variant at one shape, forward only."""
    o = _pairs(place, d, V)
    candidates = [
        Candidate(
            variant.name,
            lambda variant=variant: _forward(variant.make(place), o),
            variant.kind,
            values={"flop": o.products / 3},
        )
        for variant in VARIANTS
    ]
    compare(place, log, "forward", case_of(o), candidates)


def statistics(place: Place, log: Log, d: int, V: int) -> None:
    """`pair_head` as it is, and with a row pass that gives the log-probability alone."""
    o = _pairs(place, d, V)
    full = one_buffer()(place)
    lean = replace(full, run=lambda o: _swapped(full.run, o))
    measure = _against(o)
    candidates = [
        Candidate(name, lambda way=way: _backward(way, o), OURS, measure, bounds=GRADIENTS)
        for name, way in (("without", lean), ("with", full), ("without, again", lean))
    ]
    found = compare(place, log, "statistics", case_of(o), candidates)
    without, with_ = (entry.values.get("ms") for entry in found[:2])
    if without and with_:
        cost = {"percent": 100 * (with_ / without - 1)}
        log.add(Entry("statistics", case_of(o), "cost", values=cost))


def with_reference(place: Place, log: Log, d: int, V: int) -> None:
    """With a reference: its log-probabilities for us, its states for the peer that wants them."""
    names = ("pair_head", "Liger chunked DPO")
    _compare(place, log, "reference", _named(names), _pairs(place, d, V, referred=True))


def sweep(place: Place, log: Log, d: int, V: int) -> None:
    """Some of the variants at every number of tokens."""
    for N in place.sizes.sweep:
        length = min(place.sizes.length, N // 2)
        _compare(place, log, "sweep", _named(SWEPT), draw(place.device, N, length, d, V))


def buffers(place: Place, log: Log, d: int, V: int) -> None:
    """`pair_head` with buffers of several sizes."""
    variants = [Variant("as it comes", one_buffer(), OURS)]
    variants += [Variant(f"{rows} rows", one_buffer(rows), OURS) for rows in place.sizes.buffers]
    _compare(place, log, "buffer", variants, _pairs(place, d, V))


def cross_entropy(place: Place, log: Log, d: int, V: int) -> None:
    """The mean over all tokens, whose coefficients are known beforehand; errors are against ours.

    Gradients of ours themselves are held to float64 in the other cases.
    """
    o = _pairs(place, d, V)
    truth: list[tuple[Tensor, ...]] = []

    def measure(found: tuple[Tensor, ...]) -> dict[str, float]:
        if not truth:
            truth.append(tuple(part.double() for part in found))
        pieces = zip(GRADIENTS, found, truth[0], strict=True)
        return {name: relative(part, whole) for name, part, whole in pieces}

    candidates = [
        Candidate(
            mean.name,
            lambda mean=mean: _mean(mean.make(place), o),
            mean.kind,
            measure,
            {"flop": o.products},
            GRADIENTS,
        )
        for mean in MEANS
    ]
    compare(place, log, "cross_entropy", case_of(o), candidates)


def case_of(o: Pairs) -> str:
    """What the tables call these operands."""
    N, d, V = o.shape
    return f"N = {N}, d = {d}, V = {V}"


def _compare(
    place: Place, log: Log, table: str, variants: Sequence[Variant], o: Pairs
) -> list[Entry]:
    """Forward and backward of variants."""
    measure, (_, d, V) = _against(o), o.shape
    known = {"flop": o.products, "d": float(d), "V": float(V)}
    candidates = []
    for variant in variants:
        checked = variant.kind != FLOOR
        candidates.append(
            Candidate(
                variant.name,
                lambda variant=variant: _backward(variant.make(place), o),
                variant.kind,
                measure if checked else None,
                known,
                GRADIENTS if checked else (),
            )
        )
    return compare(place, log, table, case_of(o), candidates)


def _pairs(place: Place, d: int, V: int, referred: bool = False) -> Pairs:
    sizes = place.sizes
    return draw(place.device, sizes.tokens, sizes.length, d, V, referred=referred)


def _named(names: Sequence[str]) -> list[Variant]:
    return [variant for variant in VARIANTS if variant.name in names]


def _backward(way: Way, o: Pairs) -> Timed:
    return Timed(lambda: way.run(o), note=way.note)


def _forward(way: Way, o: Pairs) -> Timed:
    # Whether a peer makes gradients, or ready to, hangs on its operands and not on the mode.
    still = replace(o, hidden=o.hidden.detach(), weight=o.weight.detach())
    return Timed(lambda: way.forward(still), note=way.note)


def _mean(loss: Callable[[Pairs], Tensor], o: Pairs) -> Timed:
    return Timed(lambda: o.gradients(loss(o)))


def _against(o: Pairs) -> Callable[[Found], dict[str, float]]:
    truth = exact(o)
    return lambda found: errors(found, truth)


def _swapped(run: Callable[[Pairs], Found], o: Pairs) -> Found:
    """A run whose row pass gives the log-probability alone."""
    own, calls = kernels.row_stats, []

    def lean(logits: Tensor, targets: Tensor) -> RowStats:
        calls.append(len(logits))
        return lean_row_stats(logits, targets)

    kernels.row_stats = lean  # pyright: ignore[reportAttributeAccessIssue]
    try:
        found = run(o)
    finally:
        kernels.row_stats = own
    if sum(calls) != len(o.hidden):
        raise RuntimeError("the row pass was not swapped: pair_head takes its statistics elsewhere")
    return found
