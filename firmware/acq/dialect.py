"""Names that differ between the interpreters: the only file with a try around an import.

`const` folds a private constant on MicroPython (the parser knows the word); elsewhere it returns its argument.
"""

try:
    from micropython import const
except ImportError:

    def const(value):
        return value


try:
    from gc import mem_free
except ImportError:

    def mem_free():
        """Free bytes of the heap; 0: nobody knows."""
        return 0
