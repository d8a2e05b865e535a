"""Cures for oscillation, ours and borrowed ones (arXiv 1311.1869, 2503.08942): CURE-1 to CURE-6."""
