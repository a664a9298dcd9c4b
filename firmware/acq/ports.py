"""The seams of the module's program: what a board supplies (architecture B7).

Nothing here does anything: the classes state promises. A board may derive from them or not; acq calls
the methods only. All of them return at once unless the text says for how long they may block. Neither acq nor a board
imports this file: what only states promises takes no room on a module. The exceptions are those of faults.py.
"""

from acq.faults import BusError, JournalError, SettingsError, SignerFault

__all__ = (
    "Bus485", "BusError", "Clock", "ElementBus", "Entropy", "Flash", "HostStream", "Inputs", "JournalError",
    "SettingsError", "Signer", "SignerFault", "UpdateStore", "Watchdog",
)  # fmt: skip


class Bus485:
    """One RS-485 line. Raises BusError when the port fails."""

    def send(self, buf: bytearray, count: int) -> None:
        """Put buf[:count] on the line with the driver enabled; released when the last stop bit is out.
        May block for the transmission time."""

    def receive(self, buf: bytearray, start: int) -> int:
        """Copy bytes that have arrived into buf from index start, as many as fit; return how many (0: none)."""

    def drain(self) -> int:
        """Discard everything that has arrived; return how many bytes."""


class Flash:
    """A region of NOR flash. Raises JournalError(FAULT_FLASH_IO). Programs and erases are durable on return."""

    sector_bytes = 0  # erase unit
    program_bytes = 0  # program unit; offsets and lengths of program() are multiples of it
    sector_count = 0
    erase_ms = 0  # the longest that the erase of one journal segment may block
    append_ms = 0  # the longest that programming and reading back one record may block

    def read(self, offset: int, buf) -> None:
        """Fill buf from byte offset."""

    def program(self, offset: int, buf) -> None:
        """Clear bits: new = old AND buf. May block for the program time."""

    def erase(self, sector: int) -> None:
        """Set every byte of a sector to 0xFF. May block for the erase time (up to seconds)."""


class Signer:
    """ES256 in slices, so that polls go on between them. Raises SignerFault when it can give out none."""

    kid = b""  # 16 bytes
    public_key = b""  # 65 bytes

    def begin(self, digest: bytes) -> None:
        """Start a signature over a 32-byte SHA-256 digest."""

    def step(self) -> bool:
        """Do one slice; True when `signature` (64 bytes r || s, low s, verified) is ready."""

    def wait_us(self) -> int:
        """For how long `step` has nothing to do (a chip is working); 0: it has."""


class ElementBus:
    """I2C line to a secure element, 7-bit addresses. Raises nothing: False is a byte that nobody acknowledged (a chip
    that is busy or asleep), a line that another holds, or a failed port."""

    def wake(self) -> None:
        """Hold SDA low for 60 us or longer, then leave the line alone: a zero byte to address 0 at 100 kHz or slower
        does it. Whether somebody acknowledges does not matter. May block for 0.5 ms."""

    def write(self, address: int, buf) -> bool:
        """All of buf in one transaction. May block for the transmission time (136 bytes at most)."""

    def read(self, address: int, buf) -> bool:
        """Fill all of buf in one transaction (67 bytes at most)."""


class Inputs:
    """The module's own inputs, numbered from 0 (SPEC.md section 5); a board makes them by its `open_inputs` when the
    parameter set asks for them. Raises BusError(FAULT_BUS_IO). No method may block for longer than 1 ms."""

    analog_count = 0
    digital_count = 0

    def begin(self, index: int) -> None:
        """Start the conversion of an analog input."""

    def counts(self) -> int:
        """-1 while it is being converted, then its counts, 0 to 65,535."""

    def levels(self) -> int:
        """The digital inputs as they are now, input 0 in bit 0; 1: active, a closed contact or a voltage."""


class Clock:
    """Modular tick counter in microseconds; only differences have a meaning."""

    def ticks(self) -> int:
        """Now, 0 <= n < 2**30."""

    def elapsed(self, later: int, earlier: int) -> int:
        """Signed microseconds from earlier to later; right for spans below 2**29 (536 s)."""


class HostStream:
    """Serial line to the gateway. Every byte value is data."""

    def read(self, buf: bytearray) -> int:
        """Copy bytes that have arrived into buf; return how many (0: none)."""

    def write(self, buf, start: int, end: int) -> int:
        """Send what fits of buf[start:end]; return how many bytes were taken."""


class Entropy:
    """Random numbers for nonces of the link."""

    def random(self, count: int) -> bytes:
        """count bytes that nobody can foretell."""


class Watchdog:
    """Restarts the module unless fed."""

    def feed(self) -> None:
        """Everything is alive: a round has ended, slots end in time, no signature takes for ever (app.py)."""


class UpdateStore:
    """Places for programs: two slots, the incoming place (update.SLOT_A, SLOT_B, INCOMING), two copies of the record of
    choice. Raises OSError. What is written and closed is durable. Nothing is said to happen at once: power may fail
    between any two bytes of a write, and a file may then be absent, short or empty."""

    board = ""  # what a manifest calls this board
    mpy = 0  # low 10 bits of sys.implementation._mpy; 0: takes .py files only

    def feed(self) -> None:
        """Called in between at a start: the watchdog's."""

    def guard(self):
        """A slot's program starts, whose trial must not hang for ever: what has to be kept alive while it runs."""

    def give_up(self, reason) -> None:
        """A slot's program has ended by itself, not for a restart; one on trial must not stay so. May not return."""

    def room(self, place: int) -> int:
        """Bytes that files in this place may take, what lies there now counted as free."""

    def footprint(self, size: int) -> int:
        """What a file of so many bytes takes of it."""

    def factory_root(self) -> bytes:
        """The root document that came with the board, b"" for none."""

    def read_choice(self, copy: int) -> bytes:
        """Copy 0 or 1 of the record of choice, b"" for none."""

    def write_choice(self, copy: int, record: bytes) -> None:
        """Replace one copy; the other is not touched."""

    def folder(self, place: int) -> str:
        """What goes to the front of sys.path to import from this place."""

    def clear(self, place: int) -> bool:
        """Remove one thing in it, so that no call takes long; False: there was nothing."""

    def create(self, place: int, name: str):
        """A new empty file, with the folders on its way: write(buf), close()."""

    def open(self, place: int, name: str):
        """A file for reading as json.load takes it, to be used in a with: also readinto(buf), seek(offset, whence)."""

    def names(self, place: int):
        """Path of every file in it, whatever it is."""
