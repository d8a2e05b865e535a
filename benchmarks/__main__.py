"""`python -m benchmarks`: run the CPU comparisons in turn, print them, keep them in results/."""

from importlib import import_module

for name in ("cpu", "llm", "geometry", "sweep"):
    import_module(f"benchmarks.{name}").main()
