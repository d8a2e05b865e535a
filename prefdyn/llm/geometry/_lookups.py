"""Gradients in an embedding, which have one row for each token that a response holds."""

import torch
from torch import Tensor

_PRODUCTS = 2**22  # that are held at a time


def token_rows(
    ids: Tensor, deltas: Tensor, segments: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Sum the gradients of a token that a response looks up more than once.

    Parameters
    ----------
    ids, deltas, segments
        Token ids (n,), gradients in the rows that they look up (n, d), and responses (n,).
    count
        Number of responses R.

    Returns
    -------
    tuple of torch.Tensor
        Tokens (M,) in rising order, gradients (M, d) in single precision or better, responses (M,).
    """
    known, places = (ids * count + segments).unique(return_inverse=True)
    deltas = deltas.to(torch.promote_types(deltas.dtype, torch.float32))
    rows = deltas.new_zeros(len(known), deltas.shape[1]).index_add_(0, places, deltas)
    return known // count, rows, known % count


def lookup_gram(tokens: Tensor, rows: Tensor, segments: Tensor, count: int) -> Tensor:
    """Inner products (R, R) of an embedding's gradients, from what `token_rows` gives.

    Only rows of one token meet: tokens that equally many responses hold are multiplied together.
    """
    gram = torch.zeros(count, count, dtype=torch.float64, device=rows.device)
    _, holders = tokens.unique_consecutive(return_counts=True)
    each = holders.repeat_interleave(holders)
    for n in holders.unique().tolist():
        found = (each == n).nonzero()[:, 0].view(-1, n)
        for part in found.split(max(1, _PRODUCTS // n**2)):
            products = rows[part] @ rows[part].mT
            places = segments[part]
            gram.index_put_(
                (places[:, :, None], places[:, None, :]), products.double(), accumulate=True
            )
    return gram
