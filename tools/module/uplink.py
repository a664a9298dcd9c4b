"""A module at its link: who it is, what it holds, and an update sent to it (SPEC.md sections 2 and 8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from acqwire.names import FAULT_NAMES

from plumeproof.clock import SystemClock
from plumeproof.errors import LinkError, LinkTimeout, LinkVersionError, UnreachableError
from plumeproof.evidence.framing import FrameCodec
from plumeproof.link.line import Line
from plumeproof.link.serial_port import SerialPort
from plumeproof.link.session import Session
from plumeproof.link.updating import ReleaseFile, UpdateRefused, read_release, send_release
from tools.module.refusal import FAULT, UNREACHABLE, USAGE, Refusal

RELEASE_SUFFIX = ".ppu"
RELEASE_MAX_BYTES = 2 << 20


@contextmanager
def open_link(port: str, baud: int, address: int) -> Iterator[Line]:
    """The line to the module at `address`. Raises Refusal."""
    try:
        stream = SerialPort(port, baud)
    except UnreachableError as error:
        raise Refusal(str(error), UNREACHABLE) from error
    try:
        yield Line(stream, FrameCodec(), Session(address), SystemClock())
    finally:
        stream.close()


def ask_link(port: str, baud: int, address: int) -> dict[str, Any] | None:
    """What the module says of itself; None when nobody answers. Raises Refusal for any other trouble."""
    with open_link(port, baud, address) as line:
        try:
            hello = line.hello()
        except LinkTimeout:
            return None
        except LinkVersionError as error:
            raise Refusal(f"{port}: {error}") from error
        except LinkError as error:
            raise Refusal(f"{port}: {error}", UNREACHABLE) from error
        kept = hello.newest_seq - hello.oldest_seq + 1 if hello.newest_seq else 0
        return {
            "port": port,
            "seen_at": "link",
            "device": hello.device,
            "kid": hello.kid.hex(),
            "wire_version": hello.wire_version,
            "boot": hello.boot,
            "records_kept": kept,
            "oldest_seq": hello.oldest_seq,
            "newest_seq": hello.newest_seq,
            "newest_hash": hello.newest_hash.hex(),
            "program": _program(line),
            "faults": _faults(line),
        }


def _program(line: Line) -> dict[str, Any] | None:
    """Which program runs; None where the module knows no updates."""
    try:
        state = line.update_ask()
    except LinkTimeout as error:
        raise Refusal(f"the module greeted and then fell silent: {error}", UNREACHABLE) from error
    except LinkError:  # refused: a board without a place for a second program
        return None
    return {"slot": state.slot, "is_trial": state.is_trial, "version": state.version}


def _faults(line: Line) -> list[dict[str, Any]] | None:
    """Why its last runs ended, newest first; None of a module that does not know the question."""
    try:
        kept = line.faults_ask().faults
    except LinkError:  # one of an older release is silent
        return None
    names = dict(FAULT_NAMES)
    return [
        {"fault": names.get(one.code, str(one.code)), "boot": one.boot or None, "uptime_s": one.uptime_s or None}
        for one in reversed(kept)
    ]


def find_release(place: Path) -> ReleaseFile:
    """A release file, or the only one of a folder. Raises Refusal."""
    path = place
    if place.is_dir():
        found = sorted(place.glob(f"*{RELEASE_SUFFIX}"))
        if len(found) != 1:
            raise Refusal(
                f"--release {place}: holds {len(found)} release files (*{RELEASE_SUFFIX}); name the one to send", USAGE
            )
        path = found[0]
    try:
        with path.open("rb") as file:
            return read_release(file.read(RELEASE_MAX_BYTES))
    except OSError as error:
        raise Refusal(f"--release {path}: {error.strerror}; name a release file or its folder", USAGE) from error
    except ValueError as error:
        raise Refusal(f"--release {path}: {error}", USAGE) from error


def update(
    port: str, baud: int, address: int, release: ReleaseFile, report: Callable[[int, int], None]
) -> dict[str, Any]:
    """Send it; the module has switched and starts anew when this returns. Raises Refusal."""
    with open_link(port, baud, address) as line:
        try:
            device = line.hello().device
            send_release(line, release, report)
        except UpdateRefused as error:
            raise Refusal(f"{port}: {error}; it runs the program that it ran before", FAULT) from error
        except LinkVersionError as error:
            raise Refusal(f"{port}: {error}") from error
        except LinkError as error:
            raise Refusal(f"{port}: {error}; nothing was switched if it cannot be greeted", UNREACHABLE) from error
    return {"port": port, "device": device, "bytes": len(release.stream), "manifest": release.manifest_hash.hex()}
