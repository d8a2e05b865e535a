"""The errors prefdyn raises on purpose; each message is one sentence a person can act on."""

BEGINNING, END = 700, 250
"""Characters of a message that are kept: what it quotes from a file may have no end."""


class InputError(ValueError):
    """Something the caller passed is wrong: says what, where, and what to do."""

    def __init__(self, message: str):
        if len(message) > BEGINNING + END:
            message = f"{message[:BEGINNING]} … {message[-END:]}"
        super().__init__(message)


class NoOptimum(InputError):
    """The optimum or fixed point that was asked for does not exist."""


class InsufficientData(ValueError):
    """A run is too short, or too calm, to support the estimate that was asked for."""
