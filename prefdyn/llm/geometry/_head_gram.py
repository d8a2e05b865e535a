"""Inner products of gradients in the head, from hidden states; no N × V array is held."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from prefdyn.llm.head._head import Head

CHUNK = 2**23
"""Entries of the gradient in the logits that are held at a time."""

ROWS = 2048
"""Tokens whose inner products with all others are held at a time."""


@dataclass(frozen=True, eq=False)
class HeadUses:
    r"""What N predicted tokens do to the head.

    .. math:: dz = e_y - p, \qquad \nabla_W \log p(y) = dz\, h^\top, \qquad
              \nabla_b \log p(y) = dz

    times the derivative of the head's cap and scale.

    Attributes
    ----------
    head : Head
        The output head.
    hidden, targets, segments : torch.Tensor
        As of `States`; the log-probabilities of each segment are summed.
    count : int
        Number of segments R.
    """

    head: Head
    hidden: Tensor
    targets: Tensor
    segments: Tensor
    count: int

    def grams(self) -> tuple[Tensor, Tensor]:
        """Inner products (R, R) of the gradients in the weight, and of those in the bias.

        ``sum_st <h_s, h_t> <dz_s, dz_t>`` and the same without hidden states, with the second
        factor summed over the vocabulary piece by piece.
        """
        wide = torch.float64
        hidden = self.hidden.to(torch.promote_types(self.hidden.dtype, torch.float32))
        log_norm = self.log_normaliser()
        weight = torch.zeros(self.count, self.count, dtype=wide, device=hidden.device)
        bias = torch.zeros_like(weight)
        for rows in torch.arange(len(hidden), device=hidden.device).split(ROWS):
            both = torch.zeros(len(rows), len(hidden), dtype=wide, device=hidden.device)
            for columns in self._chunks():
                dz = self.columns(columns, log_norm)
                both += dz[rows] @ dz.T
            for gram, part in ((weight, both * (hidden[rows] @ hidden.T)), (bias, both)):
                by_row = part.new_zeros(self.count, len(hidden))
                by_row.index_add_(0, self.segments[rows], part)
                gram.index_add_(1, self.segments, by_row)
        return weight, bias

    def add_gradients(self, rows: Tensor, part: str) -> None:
        """Add the gradients in ``"weight"`` (R, V, d) or ``"bias"`` (R, V) to rows."""
        log_norm = self.log_normaliser()
        numbers, lengths = self.segments.unique_consecutive(return_counts=True)
        for columns in self._chunks():
            dz = self.columns(columns, log_norm).to(rows.dtype)
            place = slice(int(columns[0]), int(columns[-1]) + 1)
            if part == "bias":
                rows[:, place].index_add_(0, self.segments, dz)
                continue
            pieces = zip(
                dz.split(lengths.tolist()), self.hidden.split(lengths.tolist()), strict=True
            )
            for number, (d, h) in zip(numbers.tolist(), pieces, strict=True):
                rows[number, place] += d.T @ h.to(rows.dtype)

    def log_normaliser(self) -> Tensor:
        """``log sum_v exp z_v`` of each token, (N,)."""
        total = None
        for columns in self._chunks():
            part = self._logits(columns)[0].logsumexp(-1)
            total = part if total is None else torch.logaddexp(total, part)
        assert total is not None
        return total

    def columns(self, columns: Tensor, log_norm: Tensor) -> Tensor:
        """Entries of dz at some tokens of the vocabulary, (N, columns)."""
        logits, slope = self._logits(columns)
        hits = (self.targets[:, None] == columns).to(logits.dtype)
        return (hits - (logits - log_norm[:, None]).exp()) * slope

    def _logits(self, columns: Tensor) -> tuple[Tensor, Tensor | float]:
        """Logits at some tokens, and their derivative in the plain product ``W h + b``."""
        head = self.head
        bias = None if head.bias is None else head.bias[columns]
        logits = replace(head, weight=head.weight[columns], bias=bias).logits(self.hidden)
        if head.cap is None:
            return logits, head.scale
        return logits, head.scale * (1 - (logits / head.cap) ** 2)

    def _chunks(self) -> tuple[Tensor, ...]:
        size = max(1, CHUNK // len(self.hidden))
        vocabulary = torch.arange(len(self.head.weight), device=self.hidden.device)
        return vocabulary.split(size)
