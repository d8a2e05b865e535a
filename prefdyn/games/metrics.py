r"""How well a policy plays: best responses, gaps, win rates, distances, and Nash equilibria.

The regularised game of two policies is

.. math:: V(\pi, \pi') = \pi^\top P\,\pi' - \tau\,\mathrm{KL}(\pi\,\|\,\mathrm{ref})
          + \tau\,\mathrm{KL}(\pi'\,\|\,\mathrm{ref})

Functions take a `PreferenceMatrix` (or a batch of them) and policies (..., K), and broadcast.
Policies are probabilities; pass ``log=True`` where they are log-probabilities, which lose nothing
near the boundary.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError, InsufficientData
from prefdyn._inputs import (
    common_shape,
    distribution,
    finite,
    log_distribution,
    nonnegative,
    positive,
    share,
    single,
)
from prefdyn.games.matrix import PreferenceMatrix, checked_game
from prefdyn.games.sampling import best_margin

Array = Any


def best_response(
    game: PreferenceMatrix,
    policy: ArrayLike,
    tau: ArrayLike,
    reference: ArrayLike | None = None,
    *,
    log: bool = False,
) -> Array:
    r"""The best response to a policy in the regularised game, (..., K), claim GAME-2.

    .. math:: \mathrm{BR}(\pi) \propto \mathrm{ref}\,\exp(P\pi/\tau)

    for either player.  A policy that is its own best response is the equilibrium.

    Parameters
    ----------
    game : PreferenceMatrix
        Who beats whom.
    policy : array_like, shape (..., K)
        The opponent.
    tau : array_like, shape (...)
        KL strength, > 0.
    reference : array_like, shape (..., K), optional
        Uniform by default.
    log : bool
        Whether policy, reference and result are log-probabilities.

    Raises
    ------
    InputError
        If tau is not positive, or for what is no policy.
    """
    tau = positive(tau, "tau")
    log_policy = _logs(policy, checked_game(game).K, "policy", log)
    response = _log_best_response(game, log_policy, tau, _reference(game, reference, log))
    return response if log else np.exp(response)


def duality_gap(
    game: PreferenceMatrix,
    policy: ArrayLike,
    tau: ArrayLike,
    reference: ArrayLike | None = None,
    *,
    log: bool = False,
) -> Array:
    r"""What both players together could gain by best responses, (...,), in win rate; GAME-2.

    .. math:: V(\mathrm{BR}(\pi), \pi) - V(\pi, \mathrm{BR}(\pi))
              = 2\tau\,\mathrm{KL}(\pi\,\|\,\mathrm{BR}(\pi))

    0 at the equilibrium only.  At ``tau = 0`` it is `nash_conv`.  Parameters are those of
    `best_response`.
    """
    tau = nonnegative(tau, "tau")
    log_policy = _logs(policy, checked_game(game).K, "policy", log)
    log_ref = _reference(game, reference, log)
    response = _log_best_response(game, log_policy, np.where(tau > 0, tau, 1.0), log_ref)
    regularised = 2 * tau * _kl(log_policy, response)
    if np.all(tau > 0):
        return regularised[()]
    return np.where(tau > 0, regularised, _plain_gap(game, np.exp(log_policy)))[()]


def nash_conv(game: PreferenceMatrix, policy: ArrayLike, *, log: bool = False) -> Array:
    """What both players together could gain in the plain game: ``2 max_i (A pi)_i``, (...,).

    0 for a Nash equilibrium only.

    Parameters
    ----------
    game : PreferenceMatrix
        Who beats whom.
    policy : array_like, shape (..., K)
        The policy that plays itself.
    log : bool
        Whether it is given as log-probabilities.
    """
    pi = np.exp(_logs(policy, checked_game(game).K, "policy", log))
    common_shape(games=game.batch_shape, policy=pi.shape[:-1])
    return _plain_gap(game, pi)


def win_rate(
    game: PreferenceMatrix, policy: ArrayLike, opponent: ArrayLike, *, log: bool = False
) -> Array:
    """Probability (...,) that a response of one policy beats one of the other, ``pi^T P pi'``.

    Parameters
    ----------
    game : PreferenceMatrix
        Who beats whom.
    policy, opponent : array_like, shape (..., K)
        The two policies.
    log : bool
        Whether they are given as log-probabilities.
    """
    pi, other = (
        np.exp(_logs(x, checked_game(game).K, what, log))
        for x, what in ((policy, "policy"), (opponent, "opponent"))
    )
    common_shape(games=game.batch_shape, policy=pi.shape[:-1], opponent=other.shape[:-1])
    return 0.5 + (pi * _times(game.skew, other)).sum(-1)


def kl_to(policy: ArrayLike, target: ArrayLike, *, log: bool = False) -> Array:
    """``KL(policy || target)`` in nats, (...,): to a reference, or to an equilibrium.

    Papers bound ``KL(equilibrium || policy)``: exchange the arguments for that.

    Parameters
    ----------
    policy, target : array_like, shape (..., K)
        The two policies; a target without a response that the policy gives is infinitely far.
    log : bool
        Whether they are given as log-probabilities.
    """
    K = np.shape(policy)[-1] if np.ndim(policy) else 0
    logs = _logs(policy, K, "policy", log), _logs(target, K, "target", log)
    common_shape(policy=logs[0].shape[:-1], target=logs[1].shape[:-1])
    return _kl(*logs)


def time_average(policies: ArrayLike, burn_in: float = 0.0) -> Array:
    """Running mean of the policies of an orbit over its rounds, same shape.

    Entry t is the mean over the rounds after the burn-in up to t, which is what the guarantees of
    no-regret methods are about; the last iterate is ``policies[-1]``.

    Parameters
    ----------
    policies : array_like, shape (rounds, ..., K)
        As in ``Orbit.policies``, every round saved.
    burn_in : float
        Share of the rounds to leave out, in [0, 1); there the mean is the policy itself.

    Raises
    ------
    InsufficientData
        If no round is left.
    """
    values = finite(policies, "policies")
    if values.ndim < 2 or not len(values):
        raise InputError(f"policies has shape {values.shape}: give (rounds, ..., K).")
    first = int(single(share(burn_in, "burn_in"), "burn_in") * len(values))
    if first == len(values):
        raise InsufficientData(
            f"a burn-in of {burn_in:g} leaves none of {len(values)} rounds: discard fewer."
        )
    weights = np.arange(1, len(values) - first + 1).reshape(-1, *[1] * (values.ndim - 1))
    return np.concatenate([values[:first], np.cumsum(values[first:], axis=0) / weights])


def nash_equilibrium(game: PreferenceMatrix) -> Array:
    """A Nash equilibrium (..., K) of the plain game, by linear programming.

    The policy whose worst-case win rate is largest, 1/2, to 1e-10 of the largest ``|A|``.  Where
    there are several it is one of them; the limit of the regularised equilibria as tau falls may be
    another.

    Parameters
    ----------
    game : PreferenceMatrix
        Who beats whom.

    Raises
    ------
    InsufficientData
        If the solver reports anything but an optimum.
    """
    flat = checked_game(game).skew.reshape(-1, game.K, game.K)
    # No response wins against it: -A p >= 0, whose best margin is 0.
    found = [best_margin(-skew)[1] for skew in flat]
    return np.stack(found).reshape(*game.batch_shape, game.K)


def _log_best_response(game: PreferenceMatrix, log_policy: Array, tau: Array, log_ref: Array):
    from scipy.special import log_softmax

    common_shape(
        games=game.batch_shape,
        policy=log_policy.shape[:-1],
        tau=tau.shape,
        reference=log_ref.shape[:-1],
    )
    drive = _times(game.skew, np.exp(log_policy)) / tau[..., None]
    return log_softmax(log_ref + drive, axis=-1)


def _plain_gap(game: PreferenceMatrix, policy: Array) -> Array:
    return 2 * _times(game.skew, policy).max(-1)


def _times(matrix: Array, vector: Array) -> Array:
    return (matrix @ vector[..., None])[..., 0]


def _kl(log_p: Array, log_q: Array) -> Array:
    # 0 log 0 is 0; an opponent that misses a response is infinitely far.
    with np.errstate(invalid="ignore"):
        terms = np.where(log_p > -np.inf, np.exp(log_p) * (log_p - log_q), 0.0)
    return np.maximum(terms.sum(-1), 0.0)  # rounding of a sum that is 0


def _logs(values: ArrayLike, K: int, what: str, log: bool) -> Array:
    if log:
        return log_distribution(values, K, what)
    with np.errstate(divide="ignore"):
        return np.log(distribution(values, K, what))


def _reference(game: PreferenceMatrix, reference: ArrayLike | None, log: bool) -> Array:
    if reference is None:
        return np.full(game.K, -np.log(game.K))
    if not log:
        return np.log(distribution(reference, game.K, "reference", interior=True))
    return log_distribution(reference, game.K, "reference")
