"""``python -m prefdyn``, the same as the command ``prefdyn``."""

import sys

from prefdyn.cli import main

if __name__ == "__main__":
    sys.exit(main())
