"""An emulated module's directory (boards/host.py) seen as a console: its files are files, its interpreter a process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from plumeproof.enrolment import sync_folder
from tools.module.boards import FIRMWARE
from tools.module.refusal import UNREACHABLE, USAGE, Refusal

RUN_S = 120
INTERPRETER = Path(__file__).resolve().parents[1] / "setup" / "interpreter.py"


class Directory:
    """The same questions as Console's, of a directory. `port`: for what people read."""

    def __init__(self, folder: Path) -> None:
        self.port = str(folder)
        self._folder = folder

    def run(self, code: str) -> str:
        """Run code on the module's interpreter with its program at hand. Raises Refusal."""
        environment = dict(os.environ, MICROPYPATH=os.pathsep.join((str(FIRMWARE), ".frozen")))
        command = [find_interpreter(), "-X", "heapsize=128wk", "-c", code]
        try:
            ended = subprocess.run(
                command, env=environment, cwd=self._folder, capture_output=True, text=True, timeout=RUN_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise Refusal(f"{self.port}: the interpreter did not end within {RUN_S} s", UNREACHABLE) from error
        if ended.returncode:
            lines = (ended.stderr or ended.stdout).strip().splitlines() or [f"exit status {ended.returncode}"]
            raise Refusal(f"{self.port}: the module says {lines[-1][:200]}")
        return ended.stdout

    def write(self, path: str, content: bytes) -> None:
        """A file, whole; the old one stands until the new one is on the disk."""
        place = self._folder / path
        beside = place.with_name(place.name + ".new")
        try:
            with open(os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, place)
            sync_folder(place.parent)
        except OSError as error:
            raise Refusal(f"{place}: {error.strerror}; name a directory that can be written", USAGE) from error

    def read(self, path: str) -> bytes:
        """A file, whole."""
        try:
            return (self._folder / path).read_bytes()
        except OSError as error:
            raise Refusal(f"{self._folder / path}: {error.strerror}; provision the module first", USAGE) from error

    def hash(self, path: str) -> bytes:
        """SHA-256 of what lies there now."""
        return hashlib.sha256(self.read(path)).digest()

    def make_folder(self, path: str) -> None:
        """A folder, unless it is there."""
        try:
            (self._folder / path).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            place = self._folder / path
            raise Refusal(f"{place}: {error.strerror}; name a directory that can be written", USAGE) from error

    def exists(self, path: str) -> bool:
        return (self._folder / path).exists()


def find_interpreter() -> str:
    """The MicroPython that demo and tests run on. Raises Refusal."""
    found = subprocess.run(
        [sys.executable, str(INTERPRETER), "--print"], capture_output=True, text=True, check=False
    )  # fmt: skip
    if found.returncode:
        lines = found.stderr.strip().splitlines() or ["no MicroPython"]
        raise Refusal(lines[-1], UNREACHABLE)
    return found.stdout.strip()
