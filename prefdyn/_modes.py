"""Dominant multipliers of a measured sequence, by dynamic mode decomposition."""
