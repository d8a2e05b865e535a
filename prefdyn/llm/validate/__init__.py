"""Six experiments on a language model: prediction before training, measurement, verdict."""
