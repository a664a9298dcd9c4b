"""Files of the emulated board, on both interpreters: unbuffered, made for their owner only, replaced whole."""

import errno
import os
import sys

_IS_MICROPYTHON = sys.implementation.name == "micropython"


def open_raw(path: str, mode: str):
    """A binary file without a buffer of its own."""
    return open(path, mode) if _IS_MICROPYTHON else open(path, mode, buffering=0)


def exists(path: str) -> bool:
    """Whether there is anything at `path`."""
    try:
        os.stat(path)
    except OSError as failure:
        if failure.errno != errno.ENOENT:
            raise
        return False
    return True


def touch(path: str) -> None:
    """Create a file that only its owner may read, unless it is there. No quotation mark in `path`."""
    if exists(path):
        return
    if _IS_MICROPYTHON:  # has neither umask nor chmod
        if os.system("umask 077 && : > '" + path + "'"):
            raise OSError(errno.EACCES)
    else:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


def replace(path: str, content: bytes) -> None:
    """Write a file whole. Killed before the rename: the old one stands; after it: the new one."""
    touch(path + ".new")
    with open(path + ".new", "wb") as file:
        file.write(content)
    os.rename(path + ".new", path)
