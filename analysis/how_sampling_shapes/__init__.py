"""How Sampling Shapes LLM Alignment: From One-Shot Optima to Iterative Dynamics (2602.12180)."""
