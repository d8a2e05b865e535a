"""Three responses in symbols, and the population loss of an objective over them."""

from typing import Any, NamedTuple

from prefdyn import Objective


class ThreeResponses(NamedTuple):
    """Symbols: the free win rates p = (P_01, P_02, P_12), the matrix P they make, the sampler."""

    p: Any
    P: Any
    mu: Any


def three_responses() -> ThreeResponses:
    """A general game and sampler of three responses; mu is not assumed to sum to 1."""
    import sympy

    p = sympy.symbols("p01 p02 p12", positive=True)
    mu = sympy.symbols("mu:3", positive=True)
    half = sympy.Rational(1, 2)
    P = sympy.Matrix([[half, p[0], p[1]], [1 - p[0], half, p[2]], [1 - p[1], 1 - p[2], half]])
    return ThreeResponses(p, P, mu)


def symbolic_population_loss(objective: Objective, s: ThreeResponses, u: Any) -> tuple[Any, Any]:
    """``sum_ij mu_i mu_j P_ij loss`` for log-ratios u, and the symbol of beta.

    The loss is the objective's own, from the shared loss core.
    """
    form = objective.symbolic()
    pair = form.pair

    def loss(i: int, j: int) -> Any:
        no_reference = {pair.ref_chosen: 0, pair.ref_rejected: 0}
        values = {pair.chosen: u[i], pair.rejected: u[j], **no_reference}
        return form.loss.subs(values, simultaneous=True)

    total = sum(s.mu[i] * s.mu[j] * s.P[i, j] * loss(i, j) for i in range(3) for j in range(3))
    return total, form.parameters["beta"]
