"""Rules that play a game near a reference, and DPO with samplers: the claims GAME-*."""
