"""Where tests on either interpreter find vectors: the project's own, and the reference folder outside it.

The reference folder is $PLUMEPROOF_REFERENCE or shared/reference beside the checkout (DESIGN section 7).
"""

import json
import os

from mini_unittest import Skipped

_HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."


def own(name):
    """A file of tests/vectors."""
    with open(_HERE + "/../vectors/" + name) as file:
        return json.load(file)


def reference(name):
    """A file of the reference folder; raises Skipped where there is none."""
    folder = os.getenv("PLUMEPROOF_REFERENCE") or _HERE + "/../../../shared/reference"
    try:
        file = open(folder + "/" + name)
    except OSError:
        raise Skipped("no reference folder: set PLUMEPROOF_REFERENCE")
    try:
        return json.load(file)
    finally:
        file.close()
