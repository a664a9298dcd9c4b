"""Names that differ between the interpreters: the only file with a try around an import.

`const` folds a private constant on MicroPython (the parser knows the word); elsewhere it returns its argument.
"""

try:
    from micropython import const
except ImportError:

    def const(value):
        return value
