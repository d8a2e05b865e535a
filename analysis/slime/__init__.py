"""SLIME (arXiv 2602.02383): a loss with an anchor, a floor and a margin, token by token."""
