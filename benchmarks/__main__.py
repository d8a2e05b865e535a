"""`python -m benchmarks`: run the CPU comparisons, print them, and keep them in results/."""

from benchmarks import cpu, llm

cpu.main()
llm.main()
