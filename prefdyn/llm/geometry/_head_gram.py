"""Inner products of gradients in the head, from hidden states; no N × V array is held."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from prefdyn.llm import kernels
from prefdyn.llm.geometry._layer_records import size_of
from prefdyn.llm.head._head import Head
from prefdyn.llm.kernels import RowStats

CHUNK = 2**24
"""Entries of the gradient in the logits that are held at a time."""

WIDTHS = 4
"""Entries of a token's gradient that are held at least, in widths d of the hidden states: products
of hidden states, which every part of the vocabulary needs anew, then cost a quarter more."""


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
    stats : RowStats
        What the logits said of each token.
    count : int
        Number of segments R.
    """

    head: Head
    hidden: Tensor
    targets: Tensor
    segments: Tensor
    stats: RowStats
    count: int

    def grams(self) -> tuple[Tensor, Tensor]:
        """Inner products (R, R) of the gradients in the weight, and of those in the bias.

        ``sum_st <h_s, h_t> <dz_s, dz_t>`` and ``sum_st <dz_s, dz_t>``.  Both are sums over the
        vocabulary, so each part of it gives Gram matrices of its own, and dz is seen once.
        """
        weight = torch.zeros(self.count, self.count, dtype=torch.float64, device=self.hidden.device)
        bias = torch.zeros_like(weight)
        for columns in self._chunks():
            dz = self.columns(columns)
            weight += kernels.segmented_gram(self.hidden, dz, self.segments, self.count)
            if self.head.bias is not None:
                rows = self._by_segment(dz.double())
                bias += rows @ rows.T
        return weight, bias

    def cross(self, tokens: Tensor, rows: Tensor, segments: Tensor) -> Tensor:
        """Inner products (R, R) of the weight's gradients with others that have M rows.

        Parameters
        ----------
        tokens, rows, segments
            Which rows of the weight they are, (M,); the rows, (M, d); and whose, (M,).
        """
        hidden = self.hidden.to(torch.promote_types(self.hidden.dtype, rows.dtype))
        gram = torch.zeros(self.count, self.count, dtype=torch.float64, device=hidden.device)
        size = max(1, CHUNK // len(hidden))
        for part in torch.arange(len(tokens), device=tokens.device).split(size):
            known, places = tokens[part].unique(return_inverse=True)
            products = (hidden @ rows[part].T.to(hidden.dtype)) * self.columns(known)[:, places]
            gram.index_add_(1, segments[part], self._by_segment(products.double()))
        return gram

    def add_gradients(self, rows: Tensor, part: str) -> None:
        """Add the gradients in ``"weight"`` (R, V, d) or ``"bias"`` (R, V) to rows."""
        numbers, lengths = self.segments.unique_consecutive(return_counts=True)
        for columns in self._chunks():
            dz = self.columns(columns).to(rows.dtype)
            place = slice(int(columns[0]), int(columns[-1]) + 1)
            if part == "bias":
                rows[:, place].index_add_(0, self.segments, dz)
                continue
            pieces = zip(
                dz.split(lengths.tolist()), self.hidden.split(lengths.tolist()), strict=True
            )
            for number, (d, h) in zip(numbers.tolist(), pieces, strict=True):
                rows[number, place] += d.T @ h.to(rows.dtype)

    def size(self) -> float:
        """As of `Uses`, for the head's weight: ``sum_t ||dz_t|| ||h_t||``."""
        deltas = self.stats.residual.sqrt()[:, None] * self.head.scale
        return size_of(deltas, self.segments, self.hidden)

    def columns(self, columns: Tensor) -> Tensor:
        """Entries of dz at some tokens of the vocabulary in rising order, (N, columns)."""
        logits, slope = self._logits(columns)
        stats = self.stats
        dz = (logits - stats.maximum[:, None]).sub_(stats.log_sum[:, None]).exp_().neg_()
        place = torch.searchsorted(columns, self.targets).clamp(max=len(columns) - 1)
        hit = (columns[place] == self.targets).nonzero()[:, 0]
        dz[hit, place[hit]] = -torch.expm1(stats.log_prob[hit])  # 1 - p, with its digits
        return dz.mul_(slope)

    def _by_segment(self, values: Tensor) -> Tensor:
        """Sums (R, ...) of the rows of each segment."""
        return values.new_zeros(self.count, values.shape[1]).index_add_(0, self.segments, values)

    def _logits(self, columns: Tensor) -> tuple[Tensor, Tensor | float]:
        """Logits at some tokens, and their derivative in the plain product ``W h + b``."""
        head = self.head
        bias = None if head.bias is None else head.bias[columns]
        logits = replace(head, weight=head.weight[columns], bias=bias).logits(self.hidden)
        if head.cap is None:
            return logits, head.scale
        return logits, head.scale * (1 - (logits / head.cap) ** 2)

    def _chunks(self) -> tuple[Tensor, ...]:
        n, d = self.hidden.shape
        size = max(1, CHUNK // n, WIDTHS * d)
        vocabulary = torch.arange(len(self.head.weight), device=self.hidden.device)
        return vocabulary.split(size)
