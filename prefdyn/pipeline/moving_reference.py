r"""Training against a reference that moves towards the policy every few steps (TR-DPO).

Between two updates training covers a fraction :math:`\kappa` of the way to the optimum against the
reference as it is; then :math:`\mathrm{ref} \leftarrow a\,\theta + (1-a)\,\mathrm{ref}`.  With
:math:`c = \kappa + a - a\kappa`:

- **Data that stay what they are** push the policy by the same g from every reference, so that
  policy and reference drift together, by :math:`a\kappa g/c` per update and for ever: there is no
  fixed point, and nothing that could oscillate.
- **Pairs from the policy** make the push turn: where a round against a fixed reference has the
  multiplier x, the two-step map has the roots of
  :math:`z^2 - (2 - c + \kappa x) z + (1-a)(1-\kappa+\kappa x) = 0`.  To first order in x the slow
  one is that of rounds with alpha = 1 and :math:`\beta c/(a\kappa)`; to second order its lag
  damps: a weak cycle settles for :math:`\kappa > a^2/((1-a)(2-a))`, and never for
  :math:`a \ge 2/3`.

All of this is in logits.  TRL moves *weights*: the same for a table and, up to the normalisation,
for a log-linear policy; for a deep network an approximation while the two models are close.
"""

from typing import Any

import numpy as np

Array = Any


def speed(mixing: float, kappa: float) -> float:
    """Optima per update that policy and reference drift, in the long run: ``a kappa / c``."""
    return mixing * kappa / _pace(mixing, kappa)


def strength(mixing: float, kappa: float, periods: float) -> float:
    """How many one-round optima the policy has moved after so many periods on fixed data.

    ``M = sum_k a d_k + d_n`` over k < n, with ``d_k = kappa (1 - q^k) / c`` the distance from the
    reference that period k ends at, ``q = (1-a)(1-kappa)``: the policy is then the one-round
    optimum at ``beta / M``.  With kappa = 1 it is ``1 + a (n - 1)``.  A last period that breaks off
    at a share s of its steps goes ``1 - (1 - kappa)^s`` of its way, as gradient steps of one size
    do.
    """
    c = _pace(mixing, kappa)
    whole, share = divmod(periods, 1)
    distances = kappa * (1 - (1 - c) ** np.arange(int(whole) + 1)) / c
    left = (1 - kappa) ** share  # of the distance that the last period begins with
    return float(mixing * distances.sum() + left * (1 - mixing) * distances[-1] + 1 - left)


def multipliers(x: Array, mixing: float, kappa: float) -> Array:
    """Both roots (..., 2) of the two-step map; x are multipliers on a fixed reference."""
    x = np.asarray(x, complex)
    half = (2 - _pace(mixing, kappa) + kappa * x) / 2
    root = np.sqrt(half**2 - (1 - mixing) * (1 - kappa + kappa * x))
    return np.stack([half + root, half - root], axis=-1)


def least_kappa(mixing: float) -> float:
    """Fraction of the way between two updates above which a weak cycle settles; inf if none."""
    if mixing >= 2 / 3:
        return float("inf")
    return mixing**2 / ((1 - mixing) * (2 - mixing))


def _pace(mixing: float, kappa: float) -> float:
    """``c = 1 - (1 - a)(1 - kappa)``, one minus the multiplier of the lag."""
    return kappa + mixing - mixing * kappa
