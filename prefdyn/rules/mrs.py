"""Iterated preference optimisation of any objective, through the shared loss core."""

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from prefdyn import objectives
from prefdyn._errors import InputError, NoOptimum
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.objectives import Objective, Pair
from prefdyn.policies.softmax import centre, log_softmax
from prefdyn.rules._mixed_reference_sampling import MixedReferenceSampling

Array = Any

MAX_NEWTON_STEPS = 200


@dataclass(eq=False)
class MRS(MixedReferenceSampling):
    r"""Every round minimises the population loss of an objective (arXiv 2602.12180).

    .. math:: \theta_{t+1} \in \arg\min_\theta \sum_{ij}\mu_i\mu_j P_{ij}\,
              \ell(\log\pi_i, \log\pi_j;\ \log\mathrm{ref}_{t,i}, \log\mathrm{ref}_{t,j})

    with both members of a pair drawn from :math:`\mu_t`.  Solved by Newton's method on derivatives
    that autodiff takes from `Objective.loss`; as a function of torch logits, `update` carries the
    implicit derivative of the optimum.  For IPO and DPO the specialisations `MRSIPO` and `MRSDPO`
    are the same map and far faster.

    Parameters
    ----------
    objective
        An `Objective`, or the id of one; its ``beta`` is set to the rule's.  Every response counts
        as one token; win rates, where an objective wants them, are against :math:`\mu_t`.
    beta
        As in `prefdyn.rules.MixedReferenceSampling`; None for an objective without a ``beta``.
    game, alpha, lam, reference, offline, log_reference
        As in `prefdyn.rules.MixedReferenceSampling`.

    Raises
    ------
    InputError
        If beta is given to an objective without one or missing for one that has it, or if the
        objective sorts its batch, so that it has no loss per pair.
    NoOptimum
        If Newton's method does not settle.
    """

    game: PreferenceMatrix
    objective: Objective | str
    beta: ArrayLike | None
    alpha: ArrayLike
    lam: ArrayLike
    reference: ArrayLike | None = None
    offline: ArrayLike | None = None
    log_reference: ArrayLike | None = field(default=None, kw_only=True)

    def __post_init__(self):
        if isinstance(self.objective, str):
            self.objective = objectives.get(self.objective)
        if not isinstance(self.objective, Objective):
            raise InputError(
                f"objective is a {type(self.objective).__name__}: give an Objective or one of the "
                f"ids {objectives.names()}."
            )
        if self.objective.couples_rows:
            raise InputError(
                f"{self._named()} sorts its batch, so it has no loss per pair: choose another "
                "objective."
            )
        if (self.beta is None) == self.objective.takes("beta"):
            cure = "needs a beta: give a number above 0"
            if self.beta is not None:
                cure = "has no beta for the rule to set: give beta=None"
            raise InputError(f"objective {self._named()!r} {cure}.")
        super().__post_init__()

    @property
    def backends(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Numpy alone for an objective that holds something constant which moves with the policy.

        Its implicit derivative cannot be seen by autodiff, which holds that constant too.
        """
        assert isinstance(self.objective, Objective)
        return ("numpy",) if self.objective.detaches else ("numpy", "torch")

    def _checked_beta(self) -> np.ndarray | None:
        return None if self.beta is None else super()._checked_beta()

    def easier(self, strength: float) -> "MRS":
        """The same rule with a weaker drive; see `MixedReferenceSampling.easier`."""
        if self.beta is None:
            raise NoOptimum(
                f"no fixed point found: the drive of {self._named()} has no beta to weaken, so try "
                "another start."
            )
        return super().easier(strength)

    def update(self, theta: Array) -> Array:
        """Logits of the next round, as the kind of array that came in."""
        import torch

        if isinstance(theta, torch.Tensor):
            mu, reference = self.sampler(theta), self._normalised_reference(theta)
            solution = self._solve(mu.detach(), reference.detach())
            if not (mu.requires_grad or reference.requires_grad):
                return solution
            # The solver stays off the differentiated path: one more Newton step leaves the
            # solution where it is and carries its implicit derivative.
            last = self._system(solution, mu, reference, create_graph=True)
            return (
                solution
                - torch.linalg.solve(last.hessian.detach(), last.gradient[..., None])[..., 0]
            )
        return self._solve(
            torch.as_tensor(self.sampler(theta)), torch.as_tensor(self._normalised_reference(theta))
        ).numpy()

    def _normalised_reference(self, theta: Array) -> Array:
        """The mixed reference as log-probabilities: an objective may see a log-ratio by itself."""
        return log_softmax(self.mixed_reference(theta))

    def _solve(self, mu, reference):
        """Damped Newton on the stationarity equations, from the mixed reference."""
        import torch

        shape = np.broadcast_shapes(mu.shape, reference.shape, (*self.batch_shape, self.K))
        theta = centre(reference.expand(shape).clone())
        system = self._system(theta, mu, reference)
        for _ in range(MAX_NEWTON_STEPS):
            try:
                raw = torch.linalg.solve(system.hessian, system.gradient[..., None])[..., 0]
            except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage]
                break
            # Rounding of a large Hessian leaks into the constant, which means nothing.
            step = -centre(raw)
            before = system.gradient.abs().amax(-1).clamp(min=1e-14)
            for _ in range(30):
                trial = self._system(theta + step, mu, reference)
                worse = ~(trial.gradient.abs().amax(-1) <= before)
                if not worse.any():
                    break
                step = torch.where(worse[..., None], step / 2, step)
            theta, system = centre(theta + step), trial
            size = theta.abs().amax(-1).clamp(min=1.0)
            if (step.abs().amax(-1) <= 1e-12 * size).all():
                self._check_minimum(system.hessian)
                return theta
            if (worse & (raw.abs().amax(-1) > 1e-6 * size)).any():
                break  # at a kink no fraction of the step helps, nor will that of the next
        raise NoOptimum(
            f"the population loss of {self._named()} has no minimum that Newton's method finds "
            "here: a log-ratio may be unbounded (a preference of 0 or 1) or the loss not convex."
        )

    def _check_minimum(self, hessian) -> None:
        """Refuse a saddle or a maximum; dividing rows by mu leaves the signs of curvatures."""
        import torch

        curvature = torch.linalg.eigvals(hessian).real
        if (curvature < -1e-9 * curvature.abs().amax(-1, keepdim=True)).any():
            raise NoOptimum(
                f"from the reference Newton's method finds a stationary point of {self._named()} "
                "that is no minimum: the loss is not convex there, so this rule cannot follow it."
            )

    def _system(self, theta, mu, reference, *, create_graph: bool = False) -> "_System":
        """Gradient and Hessian in the logits, each row divided by its mu_i.

        Division keeps responses of vanishing probability in the equations.  The sums over all
        pairs are taken of ``c + r`` (and of its derivatives), which is exactly 0 for objectives
        of the log-ratio gap, so that no rounding is blown up by a large ``pi_i / mu_i``.
        """
        import torch

        P = torch.tensor(self.game.P)
        log_policy, objective = log_softmax(theta), self._objective()
        pair = every_pair(objective, log_policy, reference, (P @ mu[..., None])[..., 0])
        by = objective.derivatives(pair, create_graph=create_graph)
        policy, mu = log_policy.exp(), mu.clamp(min=1e-300)
        wins, losses, transposed = P * mu[..., None, :], P.mT * mu[..., None, :], lambda x: x.mT

        gradient = (wins * by.c + losses * transposed(by.r)).sum(-1)
        total = (mu[..., :, None] * wins * (by.c + by.r)).sum((-1, -2))
        leverage = policy / mu
        gradient = gradient - leverage * total[..., None]

        cross = wins * by.cr + losses * transposed(by.cr)
        diagonal = (wins * by.cc + losses * transposed(by.rr)).sum(-1)
        rows = (wins * (by.cc + by.cr) + losses * transposed(by.rr + by.cr)).sum(-1)
        columns = mu * rows  # the unscaled Hessian is symmetric
        hessian = (
            cross
            + torch.diag_embed(diagonal)
            - leverage[..., :, None] * columns[..., None, :]
            - rows[..., :, None] * policy[..., None, :]
            + (columns.sum(-1)[..., None] * leverage)[..., :, None] * policy[..., None, :]
            - (total[..., None] * leverage)[..., :, None]
            * (torch.eye(self.K, dtype=theta.dtype) - policy[..., None, :])
        )
        # 1 mu^T is regular on the all-ones null space and leaves the solution otherwise alone.
        return _System(gradient, hessian + mu[..., None, :])

    def _objective(self) -> Objective:
        import torch

        assert isinstance(self.objective, Objective)
        if self.beta is None:
            return self.objective
        return self.objective.replace(beta=torch.as_tensor(np.asarray(self.beta))[..., None, None])

    def _named(self) -> str:
        return str(getattr(self.objective, "id", self.objective))


class _System(NamedTuple):
    gradient: Any
    hessian: Any


def every_pair(objective: Objective, log_policy: Array, reference: Array, win_rates: Array) -> Pair:
    """Every ordered pair of K responses as an objective sees it, each response as one token.

    Parameters
    ----------
    objective
        Which fields it needs decides which are there.
    log_policy, reference
        Log-probabilities (..., K) as torch tensors.
    win_rates
        Of each response against the sampler, (..., K).

    Returns
    -------
    Pair
        With fields (..., K, K): rows are chosen, columns rejected.
    """
    import torch

    chosen, rejected = torch.broadcast_tensors(log_policy[..., :, None], log_policy[..., None, :])
    pair = Pair(
        chosen=chosen,
        rejected=rejected,
        ref_chosen=reference[..., :, None],
        ref_rejected=reference[..., None, :],
        chosen_win_rate=win_rates[..., :, None],
        rejected_win_rate=win_rates[..., None, :],
    )
    if not objective.token_level:
        return pair
    tokens = {
        f"{name}_tokens": value[..., None]
        for name, value in pair.given().items()
        if not name.endswith(("_length", "_win_rate"))
    }
    return replace(pair, **tokens)
