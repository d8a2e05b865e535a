"""The errors prefdyn raises on purpose; each message is one sentence a person can act on."""


class InputError(ValueError):
    """Something the caller passed is wrong: says what, where, and what to do."""


class NoOptimum(InputError):
    """The optimum or fixed point that was asked for does not exist."""


class InsufficientData(ValueError):
    """A run is too short, or too calm, to support the estimate that was asked for."""
