"""``python -m thalweg``: the command line, also as ``torchrun … -m thalweg``."""

import sys

from thalweg.cli import main

if __name__ == "__main__":  # pragma: no branch
    sys.exit(main())
