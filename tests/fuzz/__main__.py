"""``python -m tests.fuzz``: damaged files for every reader, on two processes."""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from tests.fuzz.readers import READERS
from tests.fuzz.run import feed_by_name


def main() -> int:
    """Say what became of the files of each reader; 1 if any of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", help="readers; all by default")
    parser.add_argument("--inputs", type=int, default=1000, help="files for each reader")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    names = asked.names or [reader.name for reader in READERS]
    work = partial(feed_by_name, inputs=asked.inputs, seed=asked.seed)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        tallies = dict(zip(names, pool.map(work, names), strict=True))
    for name, tally in tallies.items():
        failed = len(tally.failures)
        print(f"{name:22} {tally.read:8,} read {tally.refused:8,} refused {failed} failed")
        for data, what in tally.failures:
            print(f"    {what[:300]!r}\n    {data[:400]!r}")
    print(f"{sum(tally.inputs for tally in tallies.values()):,} files")
    return int(any(tally.failures for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
