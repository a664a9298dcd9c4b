"""One bridge per ledger: an advisory lock on a file beside it, given back by the system when the process dies."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from plumeproof.errors import ConfigError


class LedgerLock:
    """Holds `bridge.lock` in the data folder for as long as the object lives."""

    def __init__(self, folder: Path) -> None:
        """Create the folder where it is missing. Raises ConfigError naming the other bridge, or the folder."""
        path = folder / "bridge.lock"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigError(f"{path}", f"{error.strerror}; gateway.data_dir must be a folder to write to") from error
        try:
            _lock(self._file)
        except OSError as error:
            holder = os.read(self._file, 32).decode("ascii", "replace").strip()
            os.close(self._file)
            who = f" (process {holder})" if holder.isdigit() else ""
            raise ConfigError(f"{folder}", f"another bridge{who} works with this ledger; stop it first") from error
        try:
            os.ftruncate(self._file, 0)
            os.write(self._file, f"{os.getpid()}\n".encode())
        except OSError as error:
            os.close(self._file)
            raise ConfigError(f"{path}", f"{error.strerror}; make room in gateway.data_dir") from error

    def release(self) -> None:
        """Let another bridge in."""
        os.close(self._file)


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        # A byte far behind the end, so that the process id at the front stays readable for the other one.
        os.lseek(file, 1 << 20, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
