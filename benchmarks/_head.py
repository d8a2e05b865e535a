"""An objective on pairs, from hidden states to gradients by states and head: ours and others'."""

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from benchmarks.peers import peer
from prefdyn import objectives
from prefdyn.llm import (
    Head,
    PairHead,
    PairLoss,
    Responses,
    States,
    pair_head,
    token_logprobs,
)

CHUNK = 512  # rows of logits that the checkpointed variant holds at a time
BETA = 0.1

Gradients = tuple[Tensor, ...]


class Operands:
    """Random hidden states and head, and an objective on pairs of responses of one length.

    The chosen responses come first, as Liger-Kernel wants them.
    """

    def __init__(self, pairs: int, tokens: int, d: int, V: int, objective: str = "ipo"):
        torch.manual_seed(0)
        self.pairs, self.tokens, self.d, self.V = pairs, tokens, d, V
        self.N = 2 * pairs * tokens
        ids = torch.randint(V, (2 * pairs, tokens))
        self.targets = ids.flatten()
        responses = Responses(((0,),) * 2 * pairs, tuple(map(tuple, ids.tolist())))
        numbers = np.arange(2 * pairs).reshape(2, -1).T
        # No reference model: one that knows nothing costs no time and changes no gradient's form.
        reference = torch.zeros(2 * pairs, tokens)
        settings = {"beta": BETA} if objective == "dpo" else {}
        self.loss = PairLoss(objectives.get(objective, **settings), responses, numbers, reference)
        self.hidden = torch.randn(self.N, d).requires_grad_()
        self.weight = torch.randn(V, d).div_(d**0.5).requires_grad_()

    def exact(self) -> "Operands":
        """The same in double precision."""
        twin = copy.copy(self)
        twin.hidden, twin.weight = (
            part.detach().double().requires_grad_() for part in (self.hidden, self.weight)
        )
        return twin

    @property
    def case(self) -> str:
        """The sizes in words."""
        kind = self.loss.objective.id.upper()
        return f"{kind} on {self.pairs} pairs, N = {self.N}, d = {self.d}, V = {self.V}"

    @property
    def states(self) -> States:
        """What a model would hand to its head."""
        return States(self.hidden, self.targets, torch.arange(self.N) // self.tokens)

    def gradients(self, loss: Tensor) -> Gradients:
        """By hidden states and weight."""
        return torch.autograd.grad(loss, (self.hidden, self.weight))

    def of_values(self, values: Tensor) -> Gradients:
        """Gradients of the loss of token log-probabilities (N,)."""
        return self.gradients(self.loss.of_tokens(values.view(-1, self.tokens)))


def products(o: Operands) -> Gradients:
    """No less can be done: logits, and the two gradients from a buffer of their size."""
    hidden, weight = o.hidden.detach(), o.weight.detach()
    logits = hidden @ weight.T
    return logits @ weight, logits.T @ hidden


def one_pass(o: Operands) -> PairHead:
    """What our pass through one buffer finds."""
    return pair_head(o.states, Head(o.weight), o.loss)


def one_buffer(o: Operands) -> Gradients:
    """Ours: every logit computed once."""
    return o.gradients(one_pass(o).loss)


def in_chunks(o: Operands) -> Gradients:
    """Ours: any loss of token log-probabilities, logits computed twice."""
    return o.of_values(token_logprobs(o.hidden, Head(o.weight), o.targets))


def _log_probs(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return (hidden @ weight.T).log_softmax(-1).gather(1, targets[:, None])[:, 0]


def naive(o: Operands) -> Gradients:
    """What one writes first."""
    return o.of_values(_log_probs(o.hidden, o.weight, o.targets))


def summed(o: Operands, hidden: Tensor, weight: Tensor) -> Tensor:
    """Log-probabilities of the responses, as one writes them first, of other operands."""
    return _log_probs(hidden, weight, o.targets).view(-1, o.tokens).sum(-1)


def naive_with_statistics(o: Operands) -> Gradients:
    """The same, with the statistics that ours give, in a pass of their own."""
    logits = o.hidden @ o.weight.T
    with torch.no_grad():
        p = logits.softmax(-1)
        entropy = logits.logsumexp(-1) - (p * logits).sum(-1)
        _ = entropy, p.square().sum(-1), p.max(-1)
        del p
    return o.of_values(logits.log_softmax(-1).gather(1, o.targets[:, None])[:, 0])


def cross_entropy(o: Operands) -> Gradients:
    """With torch's fused loss, all logits at once."""
    return o.of_values(
        -functional.cross_entropy(o.hidden @ o.weight.T, o.targets, reduction="none")
    )


def checkpointed(o: Operands) -> Gradients:
    """As trainers save memory: chunks of rows, each computed once more in the backward pass."""
    parts = zip(o.hidden.split(CHUNK), o.targets.split(CHUNK), strict=True)
    values = [checkpoint(_log_probs, h, o.weight, y, use_reentrant=False) for h, y in parts]
    return o.of_values(torch.cat(values))


_compiled: list[Callable] = []


def compiled(o: Operands) -> Gradients:
    """What one writes first, through torch.compile."""
    if not _compiled:
        _compiled.append(torch.compile(_log_probs))
    return o.of_values(_compiled[0](o.hidden, o.weight, o.targets))


def linear_cross_entropy(o: Operands) -> Gradients:
    """With torch's own loss of linear layer and targets, in chunks; computes the logits twice."""
    options = torch.nn.LinearCrossEntropyOptions()
    return o.of_values(
        -functional.linear_cross_entropy(
            o.hidden, o.weight, o.targets, reduction="none", options=options
        )
    )


def liger(o: Operands) -> Gradients:
    """Liger-Kernel's chunked DPO without a reference model."""
    return o.gradients(liger_loss(o)[0])


def liger_loss(o: Operands) -> tuple[Tensor, Tensor, Tensor]:
    """Its loss, and the summed log-probabilities of chosen and rejected responses."""
    module = peer("liger_kernel.chunked_loss")
    dpo = module.LigerFusedLinearDPOLoss(beta=BETA, use_ref_model=False, compiled=False)
    shape = (2 * o.pairs, o.tokens)
    loss, (chosen, rejected, *_) = dpo(o.weight, o.hidden.view(*shape, o.d), o.targets.view(shape))
    return loss, chosen, rejected


FLOOR, OURS = "three matrix products", "pair_head"
NAIVE, COMPILED = "log_softmax + gather", "torch.compile of it"
LIGER = "Liger's chunked DPO"

VARIANTS: dict[str, Callable[[Operands], Gradients]] = {
    FLOOR: products,
    OURS: one_buffer,
    "token_logprobs": in_chunks,
    NAIVE: naive,
    "the same, with statistics": naive_with_statistics,
    "F.cross_entropy": cross_entropy,
    "checkpointed chunks": checkpointed,
    "F.linear_cross_entropy, chunked": linear_cross_entropy,
    COMPILED: compiled,
}
"""Of any objective on pairs."""
