"""Checks of what long runs do: exponents, locking, chaos, basins (RUN-*)."""
