"""Which preference pairs will hurt, before any training."""
