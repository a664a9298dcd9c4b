"""The sockets of the emulated part: a tty that comes, goes and comes back, while the part's own end stays open."""

from __future__ import annotations

import os
import select
import time
import tty
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tools.cortex.plug import Plugs

PATIENCE_S = 5.0


@contextmanager
def far_side(link: Path):
    """A tty at `link`; what its peer sees is read and written at the descriptor given."""
    near, far = os.openpty()
    tty.setraw(far)
    link.symlink_to(os.ttyname(far))
    try:
        yield near
    finally:
        link.unlink()
        os.close(near)
        os.close(far)


@pytest.fixture
def part(tmp_path):
    """(the part's end of its line, where the other tty comes and goes)."""
    link = tmp_path / "bus.tty"
    with closing(Plugs(link)) as plugs:
        fd = os.open(plugs.near[0], os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            yield fd, link
        finally:
            os.close(fd)


def take(fd: int, count: int) -> bytes:
    """So many bytes, or what there is when patience ends."""
    raw = b""
    until_s = time.monotonic() + PATIENCE_S
    while len(raw) < count and (left_s := until_s - time.monotonic()) > 0:
        if select.select([fd], [], [], left_s)[0]:
            raw += os.read(fd, count - len(raw))
    return raw


def is_plugged(part_fd: int, far_fd: int) -> bool:
    """Whether a byte gets through; the first ones may be lost while the plug is in the air."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        os.write(part_fd, b"?")
        if select.select([far_fd], [], [], 0.05)[0]:
            os.read(far_fd, 4096)
            return True
    return False


def test_bytes_pass_both_ways_and_every_value_is_data(part):
    fd, link = part
    everything = bytes(range(256)) * 8
    with far_side(link) as far:
        assert is_plugged(fd, far)
        assert os.write(fd, everything) == len(everything)
        assert take(far, len(everything)) == everything
        assert os.write(far, everything) == len(everything)
        assert take(fd, len(everything)) == everything


def test_a_tty_that_goes_is_silence_and_one_that_comes_back_is_used(part):
    fd, link = part
    os.write(fd, b"nobody there")
    for _ in range(3):
        with far_side(link) as far:
            assert is_plugged(fd, far)
            os.write(far, b"here")
            assert take(fd, 4) == b"here"
        os.write(fd, b"gone again")
        assert not select.select([fd], [], [], 0.05)[0]
