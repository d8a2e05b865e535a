"""The explorable page: one HTML file with the dynamics of three responses in it."""
