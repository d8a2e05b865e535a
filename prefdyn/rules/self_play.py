"""Published self-play methods that are iterated IPO, or iterated DPO, under another name."""

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn._inputs import common_shape, nonnegative, positive
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.objectives import DPONLL
from prefdyn.rules.mrs import MRS
from prefdyn.rules.mrs_ipo import MRSIPO
from prefdyn.rules.nash_md import check_step


def online_mirror_descent(
    game: PreferenceMatrix,
    eta: ArrayLike,
    tau: ArrayLike,
    reference: ArrayLike | None = None,
    *,
    log_reference: ArrayLike | None = None,
) -> MRSIPO:
    r"""Online mirror descent in the game regularised by ``tau KL(pi || ref)`` (claim GAME-1).

    .. math:: \theta' = (1-\eta\tau)\,\theta + \eta\tau\log\mathrm{ref} + \eta P\pi

    It *is* `MRSIPO` with ``lam=1, alpha = 1 - eta tau, beta = 1/eta``.

    Parameters
    ----------
    game
        Who beats whom; a batch of games gives a batch of orbits.
    eta
        Step size, > 0, with ``eta tau <= 1``; may be an array, which broadcasts.
    tau
        KL strength of the regularised game, >= 0.
    reference, log_reference
        As in `prefdyn.rules.MixedReferenceSampling`.

    Raises
    ------
    InputError
        For ``eta tau > 1``.
    """
    eta, tau = positive(eta, "eta"), nonnegative(tau, "tau")
    check_step(eta, tau)
    alpha = np.maximum(1 - eta * tau, 0.0)  # rounding must not make it negative
    return MRSIPO(game, 1 / eta, alpha, 1.0, reference, log_reference=log_reference)


def inpo(
    game: PreferenceMatrix,
    eta: ArrayLike,
    tau: ArrayLike,
    reference: ArrayLike | None = None,
    *,
    log_reference: ArrayLike | None = None,
) -> MRSIPO:
    r"""Iterative Nash policy optimisation, every round solved exactly (arXiv 2407.00617; GAME-1).

    Pairs come from the policy, and the loss regresses
    ``log pi(w)/pi(l) - (tau/eta) log ref(w)/ref(l) - (1 - tau/eta) log pi_t(w)/pi_t(l)`` on
    ``1/(2 eta)``: the IPO loss at ``beta = eta`` whose reference holds the share
    ``alpha = 1 - tau/eta`` of the policy, so that

    .. math:: \theta' = (1-\tfrac\tau\eta)\,\theta + \tfrac\tau\eta\log\mathrm{ref}
              + \tfrac1\eta P\pi

    It *is* `MRSIPO` with ``lam=1, alpha = 1 - tau/eta, beta = eta``.  Its eta is the inverse of a
    step size: ``online_mirror_descent(game, 1/eta, tau)`` is the same rule.

    Parameters
    ----------
    game
        Who beats whom; a batch of games gives a batch of orbits.
    eta
        The paper's eta, at least tau; larger is slower.  May be an array, which broadcasts.
    tau
        KL strength of the regularised game, >= 0.
    reference, log_reference
        As in `prefdyn.rules.MixedReferenceSampling`.

    Raises
    ------
    InputError
        For ``eta < tau``.
    """
    eta, tau = positive(eta, "eta"), nonnegative(tau, "tau")
    common_shape(eta=eta.shape, tau=tau.shape)
    if np.any(tau > eta * (1 + 1e-12)):
        raise InputError(
            f"tau is up to {np.max(tau / eta):g} times eta, the inverse of a step size: give an "
            "eta of at least tau."
        )
    return online_mirror_descent(game, 1 / eta, tau, reference, log_reference=log_reference)


def self_play_ipo(
    game: PreferenceMatrix,
    tau: ArrayLike,
    reference: ArrayLike | None = None,
    *,
    log_reference: ArrayLike | None = None,
) -> MRSIPO:
    r"""Self-play IPO: every round the best response at tau to the last policy (claim GAME-1).

    .. math:: \theta' = \log\mathrm{ref} + P\pi/\tau

    the optimum of online IPO (arXiv 2403.08635) on pairs from the policy, with a fixed reference.
    It *is* `MRSIPO` with ``lam=1, alpha=0, beta=tau``.

    Parameters
    ----------
    game
        Who beats whom; a batch of games gives a batch of orbits.
    tau
        KL strength, > 0; may be an array, which broadcasts.
    reference, log_reference
        As in `prefdyn.rules.MixedReferenceSampling`.
    """
    return MRSIPO(game, positive(tau, "tau"), 0.0, 1.0, reference, log_reference=log_reference)


def sppo(game: PreferenceMatrix, eta: ArrayLike) -> MRSIPO:
    r"""SPPO, every round solved exactly (arXiv 2405.00675; claim GAME-7).

    .. math:: \pi' \propto \pi\,\exp(\eta\,P\pi)

    Multiplicative weights with the last policy as reference and no anchor: on cycles the last
    policy runs to the boundary, only the running average approaches a Nash equilibrium.  It *is*
    `MRSIPO` with ``lam=1, alpha=1, beta=1/eta``; its published settings have beta about 1e-3.

    Parameters
    ----------
    game
        Who beats whom; a batch of games gives a batch of orbits.
    eta
        Step size, > 0; may be an array, which broadcasts.
    """
    return MRSIPO(game, 1 / positive(eta, "eta"), 1.0, 1.0)


def iterative_rpo(
    game: PreferenceMatrix,
    beta: ArrayLike,
    nll_weight: float = 1.0,
    alpha: ArrayLike = 1.0,
    lam: ArrayLike = 1.0,
    reference: ArrayLike | None = None,
    offline: ArrayLike | None = None,
    *,
    log_reference: ArrayLike | None = None,
) -> MRS:
    r"""Iterative reasoning preference optimisation: rounds of DPO+NLL (arXiv 2404.19733).

    Each round minimises ``-log sigmoid(beta h) - nll_weight log pi_w`` over pairs of the last
    policy, which is also the reference (alpha = lam = 1; other values as in `MRS`).  The paper
    labels pairs by whether an answer is right; here a vote does.  It *is* `MRS` with the objective
    ``dpo_nll``, in which every response counts as one token.

    Parameters
    ----------
    game
        Who beats whom; a batch of games gives a batch of orbits.
    beta
        DPO's beta, > 0; may be an array, which broadcasts.
    nll_weight
        Weight of the likelihood of the chosen response, >= 0.
    alpha, lam, reference, offline, log_reference
        As in `prefdyn.rules.MixedReferenceSampling`.

    Raises
    ------
    NoOptimum
        Where a round has no minimum, as for a certain win.
    """
    return MRS(
        game,
        DPONLL(nll_weight=nll_weight),
        beta,
        alpha,
        lam,
        reference,
        offline,
        log_reference=log_reference,
    )
