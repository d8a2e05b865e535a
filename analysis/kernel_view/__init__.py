"""The kernel view of every policy (after arXiv 2407.10490 and 2410.13828): KER-1 to KER-7."""
