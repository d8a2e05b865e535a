"""Gradient flow on pairs, for a while each round."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError, NoOptimum
from prefdyn._inputs import positive
from prefdyn.rules._pair_training import PairTraining
from prefdyn.rules._rule import Jacobian
from prefdyn.rules.gradient_step import GradientStep

Array = Any

MOST_STEPS = 10_000
"""Steps of the solver in one flow; smooth flows take some hundreds."""


@dataclass(eq=False)
class GradientFlow(PairTraining):
    r"""Gradient flow for a fixed time a round.

    .. math:: \dot x = -M \nabla_x \sum_r w_r L_r(x), \qquad
              \frac{d}{dt}\log\pi_i = \sum_j K_{ij}\, p_j

    The limit of `GradientStep` at small rate; a round of duration T is T/rate steps.  Solved with
    error control by LSODA, which also follows stiff flows.  An objective with a kink (`DPOP`, the
    hinges) may hold the flow at it, where no solver of this kind gets on: it is refused then.

    Parameters
    ----------
    objective, policy, pairs, weights, reference, extra
        As of `GradientStep`.  Objectives that keep running statistics have no flow.
    duration
        Time of one round.
    rtol, atol
        Tolerances of the solver, on the parameters.

    Raises
    ------
    InputError
        As `GradientStep`, and for an objective with running statistics.
    NoOptimum
        If the solver gets stuck, as it does where the pushes jump.
    """

    duration: float = 1.0
    weights: ArrayLike | None = None
    reference: Any = None
    rtol: float = field(default=1e-9, kw_only=True)
    atol: float = field(default=1e-11, kw_only=True)
    extra: Mapping[str, ArrayLike] = field(default_factory=dict, kw_only=True)

    def __post_init__(self):
        duration = positive(self.duration, "duration")
        if duration.ndim:
            raise InputError(
                f"duration has shape {duration.shape}: a batch is solved for one time, give one."
            )
        self.duration = float(duration)
        self.rtol, self.atol = (
            float(positive(value, name))
            for name, value in (("rtol", self.rtol), ("atol", self.atol))
        )
        self._set_training(self.weights, self.reference, None, self.extra)
        self._check_batch()
        if self.training.initial_stats is not None:
            raise InputError(
                f"objective {self.objective.id!r} keeps statistics from batch to batch, which a "
                "flow has none of: use GradientStep, or fix them as numbers."
            )

    @property
    def memory(self) -> int:
        """Nothing."""
        return 0

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Common shape of the policy's batch and the objective's hyper-parameters."""
        return self.training.batch_shape

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """The state after `duration`; a batch is solved as one system."""
        return self._solved(lambda x: self.policy.direction(x, self.pushes(x)), state)

    def jacobian(self, state: Array) -> Jacobian:
        """Derivative of the flow, from the linear equation it obeys along the solution.

        Differences of two solutions would carry the solver's tolerance, magnified.
        """
        state = np.asarray(state, dtype=float)
        unit = GradientStep(
            self.objective,
            self.policy,
            self.pairs,
            1.0,
            self.weights,
            self.training.reference,
            extra=self.extra,
        )
        identity = np.eye(state.shape[-1])

        def velocity(joint):
            x, tangent = joint[..., 0], joint[..., 1:]
            slope = unit.jacobian(x).matrix - identity
            return np.concatenate([(unit.step(x, 0, None) - x)[..., None], slope @ tangent], -1)

        tangent = np.broadcast_to(identity, (*state.shape, len(identity)))
        solved = self._solved(velocity, np.concatenate([state[..., None], tangent], -1))
        return Jacobian(solved[..., 1:], unit.jacobian(state).by)

    def _solved(self, velocity, start: np.ndarray) -> np.ndarray:
        from scipy.integrate import LSODA

        solver = LSODA(
            lambda _, flat: velocity(flat.reshape(start.shape)).reshape(-1),
            0.0,
            start.reshape(-1),
            self.duration,
            rtol=self.rtol,
            atol=self.atol,
        )
        for _ in range(MOST_STEPS):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the solver's complaint is said below
                solver.step()
            if solver.status == "finished":
                return solver.y.reshape(start.shape)
            if solver.status == "failed":
                break
        raise NoOptimum(
            f"the flow came no further than {solver.t:g} of {self.duration:g}, as it does where "
            "the pushes jump (SLIME at m_h, DPOP, hinges): use GradientStep, or a larger rtol and "
            "atol."
        )
