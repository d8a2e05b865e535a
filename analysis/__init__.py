"""One module per paper: its derivations, and checks of its claims against the shipped code."""
