"""`python -m plumeproof`: the same as the command `plumeproof`."""

from __future__ import annotations

import sys

from plumeproof.cli import main

if __name__ == "__main__":
    sys.exit(main())
