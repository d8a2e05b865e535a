"""What a model says of some responses, and how they hang together: gradients and their Gram."""
