"""Pairs at a language model's head, made up, and what exact arithmetic says of them."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from prefdyn.llm._encoding import Responses
from prefdyn.llm._pair_loss import PairLoss
from prefdyn.objectives import get

BETA = 0.01
NOISE = 1.2  # of the logits: standard deviation that no structure explains
PULL = 4.0, 16.0  # how far the logit of the token that is meant is lifted
ROWS = 1024  # of logits that are held at a time here


class Found(NamedTuple):
    """What a pass through the head gives.

    Attributes
    ----------
    sequences
        Log-probabilities (R,) of the responses.
    by_hidden, by_weight
        Gradients of the loss, (N, d) and (V, d).
    """

    sequences: Tensor
    by_hidden: Tensor
    by_weight: Tensor


@dataclass(frozen=True, eq=False)
class Pairs:
    """M chosen responses, then the M rejected ones, T tokens each, and DPO on the pairs.

    Attributes
    ----------
    hidden, weight
        (N, d) and (V, d), in bfloat16.
    targets
        (N,), drawn from the policy itself: log-probabilities are as likely as a model's own.
    length
        T.
    reference
        Token log-probabilities (N,) of the reference.
    by
        Hidden states that the reference has these from, where it has any, with the same head.
    loss
        The objective on the pairs, for `pair_head`.
    """

    hidden: Tensor
    weight: Tensor
    targets: Tensor
    length: int
    reference: Tensor
    by: Tensor | None
    loss: PairLoss

    @property
    def shape(self) -> tuple[int, int, int]:
        """N, d and V."""
        return len(self.hidden), self.hidden.shape[1], len(self.weight)

    @property
    def products(self) -> float:
        """Floating-point operations of the three products that no exact method does without."""
        N, d, V = self.shape
        return 6.0 * N * d * V

    def sequences(self, tokens: Tensor) -> Tensor:
        """Sums (R,) over the tokens of each response."""
        return tokens.view(-1, self.length).sum(-1)

    def loss_of(self, sequences: Tensor, pairs: slice = slice(None)) -> Tensor:
        """DPO's loss of sequence log-probabilities (2, M), averaged over all M pairs."""
        reference = self.sequences(self.reference).view(2, -1)
        chosen, rejected = sequences - reference[:, pairs].to(sequences)
        return functional.softplus(-BETA * (chosen - rejected)).sum() / reference.shape[1]

    def gradients(self, loss: Tensor) -> tuple[Tensor, Tensor]:
        """By hidden states and weight."""
        return torch.autograd.grad(loss, (self.hidden, self.weight))  # pyright: ignore


def draw(
    device: str, N: int, length: int, d: int, V: int, *, seed: int = 0, referred: bool = False
) -> Pairs:
    """Operands whose softmax looks like a language model's.

    Frequent tokens are likelier everywhere, as ``1 / rank``, and every state means one of them,
    more or less surely; the rest is noise.  It matters to peers that leave out small probabilities:
    these lie together in such a vocabulary and are scattered in a random one.

    Parameters
    ----------
    device
        Where.
    N, length
        Tokens, and of each response.
    d, V
        Of the head.
    seed
        Of everything.
    referred
        Whether there is a reference model, of other hidden states; else its log-probabilities
        are 0, which spares the peer that computes them from states of its own.
    """
    g = torch.Generator(device).manual_seed(seed)
    on: dict[str, Any] = {"generator": g, "device": device}
    ranks = torch.randperm(V, **on)
    weight = torch.randn(V, d, **on) * (NOISE / d**0.5)
    weight[:, 0] = -torch.log1p(ranks.float())
    tokens = ranks.argsort()
    hidden = _states(N, weight, tokens, on)
    by = _states(N, weight, tokens, on) if referred else None
    weight = weight.bfloat16()
    targets = torch.cat([_drawn(_logits(rows, weight), g) for rows in hidden.split(ROWS)])
    reference = torch.zeros(N, device=device, dtype=torch.double)
    if by is not None:
        pieces = zip(by.split(ROWS), targets.split(ROWS), strict=True)
        reference = torch.cat([_picked(rows.double(), weight.double(), y) for rows, y in pieces])
    said = tuple(map(tuple, targets.view(-1, length).tolist()))
    responses = Responses(((0,),) * len(said), said)
    pairs = np.arange(len(said)).reshape(2, -1).T
    loss = PairLoss(get("dpo", beta=BETA), responses, pairs, reference.view(-1, length))
    hidden.requires_grad_()
    weight.requires_grad_()
    return Pairs(hidden, weight, targets, length, reference, by, loss)


def exact(o: Pairs) -> Found:
    """Sequence log-probabilities and gradients in float64, pair by pair."""
    hidden, weight = o.hidden.detach(), o.weight.detach().double()
    M = len(o.hidden) // (2 * o.length)
    by_hidden = torch.empty(hidden.shape, dtype=torch.double, device=hidden.device)
    by_weight = torch.zeros_like(weight)
    sequences = by_hidden.new_empty(2, M)
    token = torch.arange(o.length, device=hidden.device)
    for pair in range(M):
        rows = torch.cat((pair * o.length + token, (M + pair) * o.length + token))
        h = hidden[rows].double()
        logits = h @ weight.T
        log_p = logits.sub_(logits.logsumexp(-1, keepdim=True))
        picked = log_p.gather(1, o.targets[rows, None])
        sums = picked.view(2, 1, -1).sum(-1).requires_grad_()
        (slopes,) = torch.autograd.grad(o.loss_of(sums, slice(pair, pair + 1)), sums)
        dz = log_p.exp_().neg_()
        dz.scatter_(1, o.targets[rows, None], -torch.expm1(picked))
        dz *= slopes.repeat_interleave(o.length)[:, None]
        by_hidden[rows] = dz @ weight
        by_weight += dz.T @ h
        sequences[:, pair] = sums.detach()[:, 0]
    return Found(sequences.flatten(), by_hidden, by_weight)


def errors(found: Found, truth: Found) -> dict[str, float]:
    """Largest and typical error of a sequence in nats; ``‖out - ref‖ / ‖ref‖`` of gradients."""
    off = found.sequences.double() - truth.sequences
    return {
        "sequence_max": float(off.abs().max()),
        "sequence_rms": float(off.square().mean().sqrt()),
        "by_hidden": relative(found.by_hidden, truth.by_hidden),
        "by_weight": relative(found.by_weight, truth.by_weight),
    }


def relative(found: Tensor, truth: Tensor) -> float:
    """``‖found - truth‖ / ‖truth‖``, in pieces: the whole difference would take too much memory."""
    pieces = zip(found.split(2**14), truth.split(2**14), strict=True)
    off = sum(float((a.double() - b).square().sum()) for a, b in pieces)
    return (off / float(truth.square().sum())) ** 0.5


def _states(N: int, weight: Tensor, tokens: Tensor, on: dict[str, Any]) -> Tensor:
    """Hidden states (N, d) in bfloat16 that mean a token each; `tokens` has the frequent first."""
    V, d = weight.shape
    meant = tokens[(V ** torch.rand(N, **on)).long().clamp(1, V) - 1]  # as likely as 1 / rank
    low, high = PULL
    pull = low + (high - low) * torch.rand(N, 1, **on)
    along = weight[meant]
    along[:, 0] = 0
    hidden = torch.randn(N, d, **on) + pull * along / along.square().sum(-1, keepdim=True)
    hidden[:, 0] = 1
    return hidden.bfloat16()


def _logits(hidden: Tensor, weight: Tensor) -> Tensor:
    return (hidden @ weight.T).float()


def _drawn(logits: Tensor, generator: torch.Generator) -> Tensor:
    """An entry of each row, with probability softmax(logits): the first arrival of a race."""
    arrivals = torch.empty_like(logits).exponential_(generator=generator)
    return (logits - arrivals.log_()).argmax(-1)


def _picked(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    logits = hidden @ weight.T
    return logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(-1)
