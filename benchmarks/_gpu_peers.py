"""Ways through the head: ours, what one would write, and other people's kernels.

Each peer is a function that looks its package up when it is called, so that a missing one is a
line in the table; `importlib` finds them, for none of them is needed to develop this package.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from benchmarks._gpu_operands import BETA, Found, Pairs
from benchmarks._gpu_place import Place
from benchmarks._gpu_results import FLOOR, OURS, PEER
from prefdyn.llm._forward import States
from prefdyn.llm._pair_head import pair_head
from prefdyn.llm.head._head import Head
from prefdyn.llm.head.logprobs import token_logprobs

Tokens = Callable[[Tensor, Tensor, Tensor], Any]
"""Hidden states, weight and targets to token log-probabilities (N,), or a tuple that begins so."""


@dataclass(frozen=True)
class Way:
    """One way from hidden states to sequences and gradients, and to sequences alone.

    `forward` is given operands that want no gradient.
    """

    run: Callable[[Pairs], Found]
    forward: Callable[[Pairs], Tensor]
    note: str = ""


@dataclass(frozen=True)
class Variant:
    """A way that is made when it is wanted; making it fails where its package is missing."""

    name: str
    make: Callable[[Place], Way]
    kind: str = PEER


def through_tokens(tokens: Tokens, note: str = "") -> Way:
    """Of a function that gives token log-probabilities, which autograd can differentiate."""

    def sequences(o: Pairs) -> Tensor:
        found = tokens(o.hidden, o.weight, o.targets)
        return o.sequences((found if isinstance(found, Tensor) else found[0]).float())

    def run(o: Pairs) -> Found:
        sums = sequences(o)
        return Found(sums.detach(), *o.gradients(o.loss_of(sums.view(2, -1))))

    return Way(run, sequences, note)


def one_buffer(rows: int | None = None) -> Callable[[Place], Way]:
    """`pair_head`, with so many rows in its buffer."""

    def passed(o: Pairs) -> Any:
        segments = torch.arange(len(o.hidden), device=o.hidden.device) // o.length
        states = States(o.hidden, o.targets, segments)
        return pair_head(states, Head(o.weight), o.loss, rows=rows)

    def run(o: Pairs) -> Found:
        found = passed(o)
        return Found(found.token_log_probs.sum(-1), *o.gradients(found.loss))

    return lambda _: Way(run, lambda o: passed(o).token_log_probs.sum(-1))


def in_chunks(_: Place) -> Way:
    """`token_logprobs`."""
    return through_tokens(lambda h, W, y: token_logprobs(h, Head(W), y))


def products(_: Place) -> Way:
    """The three products alone, in the operands' precision: what a library makes of the floor."""

    def run(o: Pairs) -> Found:
        hidden, weight = o.hidden.detach(), o.weight.detach()
        logits = hidden @ weight.T
        return Found(o.reference, logits @ weight, logits.T @ hidden)

    return Way(run, lambda o: o.hidden @ o.weight.T)


def log_softmax(h: Tensor, W: Tensor, y: Tensor) -> Tensor:
    """In single precision, from logits in the operands'."""
    return (h @ W.T).float().log_softmax(-1).gather(1, y[:, None])[:, 0]


def log_softmax_low(h: Tensor, W: Tensor, y: Tensor) -> Tensor:
    """In the operands' precision throughout."""
    return (h @ W.T).log_softmax(-1).gather(1, y[:, None])[:, 0]


def with_statistics(h: Tensor, W: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """Entropy, Σp², argmax and its probability in a pass of their own."""
    logits = (h @ W.T).float()
    with torch.no_grad():
        p = logits.softmax(-1)
        entropy = logits.logsumexp(-1) - (p * logits).sum(-1)
        statistics = entropy, p.square().sum(-1), *p.max(-1)
    return logits.log_softmax(-1).gather(1, y[:, None])[:, 0], *statistics


def plain(tokens: Tokens) -> Callable[[Place], Way]:
    """As it is written."""
    return lambda _: through_tokens(tokens)


def compiled(tokens: Tokens) -> Callable[[Place], Way]:
    """Through `torch.compile`."""

    def make(place: Place) -> Way:
        if not place.compiles:
            return through_tokens(tokens, "not compiled")
        return through_tokens(torch.compile(tokens, dynamic=False))

    return make


def liger_per_token(accumulate: torch.dtype | None = None) -> Callable[[Place], Way]:
    """Liger's fused linear cross-entropy with one loss per token; logits are made twice."""

    def make(_: Place) -> Way:
        module = import_module("liger_kernel.ops.fused_linear_cross_entropy")
        function = module.LigerFusedLinearCrossEntropyFunction

        def tokens(h: Tensor, W: Tensor, y: Tensor) -> Tensor:
            # bias, class weights, ignored index, z-loss, smoothing, reduction, soft cap, and
            # whether to return the z-loss; the sums' precision last.
            options = None, None, -100, 0.0, 0.0, "none", None, False, accumulate
            return -function.apply(h, W, y, *options)[0]

        return through_tokens(tokens)

    return make


def liger_scaled(entropy: bool) -> Callable[[Place], Way]:
    """Liger's per-token kernel for Hopper; elsewhere its own fallback in plain torch."""

    def make(place: Place) -> Way:
        module = import_module("liger_kernel.ops.fused_linear_scaled_cross_entropy")
        kernel = module._resolve_implementation(torch.device(place.device)).__name__

        def tokens(h: Tensor, W: Tensor, y: Tensor) -> Tensor:
            # temperature, ignored index, tiles per cluster
            options = 1.0, -100, 1, entropy
            found = module.LigerFusedLinearScaledCrossEntropyFunction.apply(h, W, y, *options)
            return -(found[0] if entropy else found)

        return through_tokens(tokens, f"runs {kernel}")

    return make


def liger_dpo(place: Place) -> Way:
    """Liger's chunked DPO; without states of a reference model it takes its log-ratios as 0."""
    module = import_module("liger_kernel.chunked_loss.dpo_loss")

    def passed(o: Pairs) -> tuple[Tensor, Tensor]:
        loss = module.LigerFusedLinearDPOLoss(
            beta=BETA, use_ref_model=o.by is not None, compiled=place.compiles
        )
        states, targets = o.hidden.view(-1, o.length, o.hidden.shape[1]), o.targets
        reference = () if o.by is None else (None, o.by.view_as(states), o.weight.detach())
        value, outputs = loss(o.weight, states, targets.view(-1, o.length), *reference)
        return value, torch.cat(outputs[:2]).detach()

    def run(o: Pairs) -> Found:
        value, sequences = passed(o)
        return Found(sequences, *o.gradients(value))

    return Way(run, lambda o: passed(o)[1])


def cut_cross_entropy(filtered: str | None) -> Callable[[Place], Way]:
    """Cut cross-entropy with one loss per token; by default it leaves small gradients out."""

    def make(_: Place) -> Way:
        function = import_module("cut_cross_entropy").linear_cross_entropy

        def tokens(h: Tensor, W: Tensor, y: Tensor) -> Tensor:
            return -function(h, W, y, reduction="none", filter_eps=filtered)

        return through_tokens(tokens)

    return make


VARIANTS = (
    Variant("pair_head", one_buffer(), OURS),
    Variant("pair_head, again", one_buffer(), OURS),
    Variant("token_logprobs", in_chunks, OURS),
    Variant("three products", products, FLOOR),
    Variant("log_softmax + gather", plain(log_softmax)),
    Variant("log_softmax + gather in bf16", plain(log_softmax_low)),
    Variant("log_softmax + gather, statistics", plain(with_statistics)),
    Variant("torch.compile", compiled(log_softmax)),
    Variant("torch.compile, statistics", compiled(with_statistics)),
    Variant("Liger chunked DPO", liger_dpo),
    Variant("Liger FLCE per token", liger_per_token()),
    Variant("Liger FLCE per token, fp32 sums", liger_per_token(torch.float32)),
    Variant("Liger scaled cross-entropy", liger_scaled(False)),
    Variant("Liger scaled cross-entropy, entropy", liger_scaled(True)),
    Variant("cut cross-entropy, filtered", cut_cross_entropy("high")),
    Variant("cut cross-entropy, exact", cut_cross_entropy(None)),
)


@dataclass(frozen=True)
class Mean:
    """A way to the mean cross-entropy, made when it is wanted."""

    name: str
    make: Callable[[Place], Callable[[Pairs], Tensor]]
    kind: str = PEER


def mean_of_ours(_: Place) -> Callable[[Pairs], Tensor]:
    """Of `token_logprobs`."""
    return lambda o: -token_logprobs(o.hidden, Head(o.weight), o.targets).mean()


def _mean_cross_entropy(h: Tensor, W: Tensor, y: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy((h @ W.T).float(), y)


def mean_as_written(_: Place) -> Callable[[Pairs], Tensor]:
    """Of torch."""
    return lambda o: _mean_cross_entropy(o.hidden, o.weight, o.targets)


def mean_compiled(place: Place) -> Callable[[Pairs], Tensor]:
    """Of torch, compiled."""
    loss = torch.compile(_mean_cross_entropy, dynamic=False) if place.compiles else None
    return lambda o: (loss or _mean_cross_entropy)(o.hidden, o.weight, o.targets)


def mean_of_liger(_: Place) -> Callable[[Pairs], Tensor]:
    """Of Liger, which makes the gradient in its forward pass here."""
    module = import_module("liger_kernel.ops.fused_linear_cross_entropy")
    function = module.LigerFusedLinearCrossEntropyFunction
    return lambda o: function.apply(o.hidden, o.weight, o.targets)[0]


def mean_of_cut(filtered: str | None) -> Callable[[Place], Callable[[Pairs], Tensor]]:
    """Of cut cross-entropy."""

    def make(_: Place) -> Callable[[Pairs], Tensor]:
        function = import_module("cut_cross_entropy").linear_cross_entropy
        return lambda o: function(o.hidden, o.weight, o.targets, filter_eps=filtered)

    return make


MEANS = (
    Mean("token_logprobs", mean_of_ours, OURS),
    Mean("F.cross_entropy", mean_as_written),
    Mean("torch.compile", mean_compiled),
    Mean("Liger FLCE", mean_of_liger),
    Mean("cut cross-entropy, filtered", mean_of_cut("high")),
    Mean("cut cross-entropy, exact", mean_of_cut(None)),
)
