"""Gradient entanglement (arXiv 2410.13828): when the pushes of a pair move both answers alike."""
