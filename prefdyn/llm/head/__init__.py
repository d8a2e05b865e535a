"""The output head: token log-probabilities and their gradients without all logits at once."""
