"""This package against its alternatives, as ratios measured in one run."""
