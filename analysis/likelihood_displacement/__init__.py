"""Unintentional Unalignment: Likelihood Displacement in DPO (arXiv 2410.08847)."""
