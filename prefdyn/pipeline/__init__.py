"""From the settings of a real training pipeline to a recipe: objective, beta, alpha, lam, kappa."""
