"""Stable Preference Optimization (2507.07723)."""
