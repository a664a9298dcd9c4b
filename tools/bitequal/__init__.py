"""The same bits: a year of a plant's figures in one piece and in a thousand, shuffled, by one thread and by two, for
this processor and for the oldest x86-64 that numba knows (a child process each, the latter with a cache of its own).

Compared is the SHA-256 of all figures of all levels, every field of them, numbers by their exact bits.
"""
