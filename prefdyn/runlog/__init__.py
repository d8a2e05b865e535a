"""Training logs: read them, and say what they show."""
