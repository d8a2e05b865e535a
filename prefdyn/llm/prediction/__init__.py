"""Training runs foretold from one measurement of a model."""
