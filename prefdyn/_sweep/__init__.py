"""Grids of parameters, run in blocks that survive interruption."""
