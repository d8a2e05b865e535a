"""Learning the sampler from votes: checks of VOTE-*."""
