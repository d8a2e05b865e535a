"""Learning dynamics of LLM finetuning (arXiv 2407.10490): the squeezing effect, SQZ-1 to SQZ-5."""
