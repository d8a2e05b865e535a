"""How log-probabilities move when parameters move."""

from prefdyn.policies.softmax import centre, entropy, kl, log_softmax, softmax, softmax_jacobian

__all__ = ["centre", "entropy", "kl", "log_softmax", "softmax", "softmax_jacobian"]
