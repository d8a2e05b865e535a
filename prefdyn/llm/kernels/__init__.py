"""The operations that a language model's head and its gradients are made of.

One function per operation, which picks an implementation by the device: a Triton kernel, or its
twin in plain torch, which the kernel is held to; `using` and the environment variable
PREFDYN_KERNELS choose otherwise.  Of the package only its errors are imported here, beside torch,
triton and numpy; and no objective is known: coefficients come in as numbers.
"""

import torch
from torch import Tensor

from prefdyn.llm.kernels import _gram, _orbits, _products, _rows
from prefdyn.llm.kernels._backend import has_triton, takes_triton, using
from prefdyn.llm.kernels._orbits import MOST_RESPONSES, Moved
from prefdyn.llm.kernels._rows import RowStats

__all__ = [
    "MOST_RESPONSES",
    "Moved",
    "RowStats",
    "add_product",
    "dz_row",
    "has_triton",
    "mixed_orbits",
    "pair_orbits",
    "row_stats",
    "segmented_gram",
    "using",
]


def row_stats(logits: Tensor, targets: Tensor, block: int | None = None) -> RowStats:
    """Statistics of rows of logits, in one read.

    Parameters
    ----------
    logits
        (N, V), left as they are.
    targets
        (N,) token ids; a row whose target is negative is ignored.
    block
        Entries of the vocabulary that are read at a time, with running sums that are rescaled
        whenever a larger logit comes; None leaves it to the implementation.  The kernel takes the
        next power of two.

    Returns
    -------
    RowStats
        In the dtype of the logits.
    """
    if _by_rows(logits):
        from prefdyn.llm.kernels import _rows_triton

        return _rows_triton.row_stats(logits, targets, block)
    return _rows.row_stats(logits, targets, block)


def dz_row(
    logits: Tensor,
    stats: RowStats,
    targets: Tensor,
    coefficients: Tensor,
    scale: float = 1.0,
    cap: float | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Write ``c_i (e_y - p_i)`` over the logits: the gradient of ``c_i log p_i(y_i)``.

    The target's entry is ``-c expm1(log p_y)``, which keeps its digits as p_y goes to 1.

    Parameters
    ----------
    logits
        (N, V), each row without gaps; overwritten.
    stats
        What `row_stats` said of them.
    targets
        (N,); rows with a negative one become 0, whatever they hold.
    coefficients
        c, (N,).
    scale, cap
        Of logits ``z = cap tanh(scale u / cap)``: the gradient is the one in u.
    dtype
        Of the result: the logits' (None), or a lower one, for products in that precision.  Entries
        are rounded once, when they are written; what is too small or too large for the dtype is
        lost, so float16 is for coefficients that are known to suit it.

    Returns
    -------
    torch.Tensor
        (N, V): the logits themselves, or a view of the first bytes of each of their rows.
    """
    if _by_rows(logits):
        from prefdyn.llm.kernels import _rows_triton

        return _rows_triton.dz_row(logits, stats, targets, coefficients, scale, cap, dtype)
    return _rows.dz_row(logits, stats, targets, coefficients, scale, cap, dtype)


def add_product(out: Tensor, a: Tensor, b: Tensor, *, fresh: bool = False) -> Tensor:
    """``out += a b``, or ``out = a b`` if `fresh`, in the precision of `out`.

    Parameters
    ----------
    out
        (n, m), in single precision or better; overwritten, and returned.
    a, b
        (n, k) and (k, m), in the precision of `out` or a lower one.

    Notes
    -----
    On a GPU, operands in float16 or bfloat16 meet in its tensor cores.  Those in float32 are
    multiplied as torch is set to: in full precision, unless `torch.set_float32_matmul_precision`
    allows TensorFloat-32.
    """
    return _products.add_product(out, a, b, fresh=fresh)


def segmented_gram(
    a: Tensor,
    d: Tensor,
    segments: Tensor,
    count: int,
    a2: Tensor | None = None,
    d2: Tensor | None = None,
    segments2: Tensor | None = None,
    accumulate: torch.dtype = torch.float64,
    via: str = "auto",
) -> Tensor:
    """``K_rs = sum_(i in r) sum_(j in s) <a_i, a2_j> <d_i, d2_j>``, without an N × N array.

    With inputs ``a`` and output gradients ``d`` of a linear layer these are the inner products of
    the segments' weight gradients ``sum_i d_i a_i^T``.

    Parameters
    ----------
    a, d
        (N, d_in) and (N, d_out).
    segments
        (N,) segment of each row, in ``0 .. count - 1``, in any order.
    count
        Number of segments R.
    a2, d2, segments2
        The second factor's, (N2, d_in), (N2, d_out), (N2,), as for the cross terms of a weight
        that is used twice; the first factor's where left out.
    accumulate
        dtype of the sums over rows, and of the result.
    via
        The order of the sums: ``"rows"``, over pairs of rows, N²(d_in + d_out) flop, which has a
        kernel; ``"gradients"``, over the entries of the segments' gradients, 2(N + R²) d_in d_out
        flop, with 2²⁴ of these entries held at a time; or ``"auto"``, the cheaper of the two.
        For a hidden size d, gradients are cheaper where many segments have more than about √d rows.

    Returns
    -------
    torch.Tensor
        (R, R); symmetric to the bit where the factors are one.

    Raises
    ------
    ValueError
        For another order of the sums.
    """
    if via not in ("auto", "rows", "gradients"):
        raise ValueError(f"via is {via!r}: choose one of auto, rows, gradients.")
    if via == "auto":
        cheaper = _gram.gradients_are_cheaper(a, d, count, a2, d2, segments2)
        via = "gradients" if cheaper else "rows"
    given = a, d, segments, count, a2, d2, segments2, accumulate
    double = any(x is not None and x.dtype == torch.float64 for x in (a, d, a2, d2))
    with torch.autocast(a.device.type, enabled=False):  # it would round what is to be summed
        if via == "gradients":
            return _gram.through_gradients(*given)
        if not double and takes_triton(a):
            from prefdyn.llm.kernels import _gram_triton

            return _gram_triton.segmented_gram(*given)
        return _gram.segmented_gram(*given)


def _by_rows(logits: Tensor) -> bool:
    """Whether the row kernels run: on rows without gaps, in single precision or lower."""
    apt = logits.numel() > 0 and logits.stride(1) == 1 and logits.dtype != torch.float64
    return apt and takes_triton(logits)


def mixed_orbits(
    games: Tensor,
    which: Tensor,
    theta: Tensor,
    rounds: int,
    *,
    gain: Tensor,
    alpha: Tensor,
    lam: Tensor,
    drift: Tensor,
    offline: Tensor,
    fitted: bool,
) -> Moved:
    r"""Advance n orbits that answer a game, with a mixed reference and sampler.

    .. math:: \theta' = \alpha\theta + \mathrm{drift} + \mathrm{gain}\; d(\mu),\qquad
              \mu = \lambda\,\mathrm{softmax}(\theta) + \mathrm{offline}

    centred.  The drive d is ``G mu``, or the scores r with
    ``sum_j mu_j sigmoid(r_i - r_j) = (G mu)_i``.  All numbers are in double precision.

    Parameters
    ----------
    games
        G, (games, K, K), K at most 64 on a GPU; to be `fitted`, probabilities with 1/2 on the
        diagonal.
    which
        (n,) game of each orbit, whole numbers.
    theta
        Logits (n, K), left as they are.
    rounds
        Rounds to run, from 0.
    gain, alpha, lam
        (n,).
    drift, offline
        (n, K).
    fitted
        Whether the drive is the fit, by Newton's method from the last round's scores.

    Returns
    -------
    Moved
        Logits, moments of the policies, and which orbits failed: those whose fit does not exist.
    """
    backend = _orbits
    if takes_triton(theta):
        from prefdyn.llm.kernels import _orbits_triton as backend
    return backend.mixed_orbits(
        games,
        which,
        theta,
        rounds,
        gain=gain,
        alpha=alpha,
        lam=lam,
        drift=drift,
        offline=offline,
        fitted=fitted,
    )


def pair_orbits(
    weights: Tensor, theta: Tensor, rounds: int, *, rate: Tensor, reference: Tensor, push: Tensor
) -> Moved:
    r"""Advance n orbits of logits that pairs of responses push apart.

    .. math:: \theta' = \theta + \mathrm{rate} \sum_{ij} W_{ij}\,
              p(h_{ij})\,(e_i - e_j),\qquad p(h) = a - b h + c\,\sigma(-d h)

    with the gaps ``h_ij = (theta_i - ref_i) - (theta_j - ref_j)``: gradient descent on a loss of
    the gaps whose slope is -p.  All numbers are in double precision.

    Parameters
    ----------
    weights
        W, (K, K), K at most 64 on a GPU: how much response i is preferred to j in the data.
    theta
        Logits (n, K), left as they are.
    rounds
        Rounds to run, from 0.
    rate
        (n,).
    reference
        (n, K).
    push
        The numbers a, b, c, d of every orbit, (4, n).

    Returns
    -------
    Moved
        Logits and moments of the policies; none fails.
    """
    backend = _orbits
    if takes_triton(theta):
        from prefdyn.llm.kernels import _orbits_triton as backend
    return backend.pair_orbits(weights, theta, rounds, rate=rate, reference=reference, push=push)
