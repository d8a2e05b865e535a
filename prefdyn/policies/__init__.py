"""How log-probabilities move when parameters move.

A `Policy` holds candidate responses with their log-probabilities as a function of parameters, the
Gram matrix of their gradients, and the move that pushes on them cause.
"""

from prefdyn.policies._contexts import ContextPolicy
from prefdyn.policies._policy import Policy
from prefdyn.policies.autoregressive import Autoregressive
from prefdyn.policies.differentiable import Differentiable
from prefdyn.policies.kernel import KernelPolicy, LinearisedPolicy
from prefdyn.policies.log_linear import LogLinear
from prefdyn.policies.softmax import centre, entropy, kl, log_softmax, softmax, softmax_jacobian
from prefdyn.policies.tabular import Tabular
from prefdyn.policies.unconstrained_features import UnconstrainedFeatures

__all__ = [
    "Autoregressive",
    "ContextPolicy",
    "Differentiable",
    "KernelPolicy",
    "LinearisedPolicy",
    "LogLinear",
    "Policy",
    "Tabular",
    "UnconstrainedFeatures",
    "centre",
    "entropy",
    "kl",
    "log_softmax",
    "softmax",
    "softmax_jacobian",
]
