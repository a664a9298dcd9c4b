"""Runs tests/firmware files on MicroPython, which ships no unittest: `micropython mini_unittest.py ROOT FILE...`

A test file holds functions named test_*; they use plain assert and raise `Skipped` with a reason where a folder outside
the project is absent. Prints one line a test and a last line "N passed, N failed, N skipped"; exit status 1 on failure,
5 when nothing was run.
"""

import gc
import sys


class Skipped(Exception):
    """What a test needs is not on this machine; the text says what."""


def run(name):
    """Import a test module and run its functions in order of name; returns [passed, failed, skipped]."""
    module = __import__(name)
    counts = [0, 0, 0]
    for entry in sorted(dir(module)):
        if not entry.startswith("test_"):
            continue
        gc.collect()  # a test is judged on its own heap, not on the holes that the one before left
        try:
            getattr(module, entry)()
        except Exception as error:
            if type(error).__name__ == "Skipped":
                counts[2] += 1
                print("skipped", name, entry, error.args[0])
                continue
            counts[1] += 1
            print("FAILED", name, entry)
            sys.print_exception(error)
            continue
        counts[0] += 1
        print("passed", name, entry)
    return counts


if __name__ == "__main__":
    root = sys.argv[1]
    sys.path[:0] = [root + "/firmware", root + "/tests/firmware"]
    sys.path.append(root + "/tests/doubles")
    total = [0, 0, 0]
    for argument in sys.argv[2:]:
        total = [a + b for a, b in zip(total, run(argument))]
    print("%d passed, %d failed, %d skipped" % tuple(total))
    sys.exit(1 if total[1] else 0 if total[0] else 5)
