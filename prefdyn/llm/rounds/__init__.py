"""Rounds of preference optimisation on a language model."""
