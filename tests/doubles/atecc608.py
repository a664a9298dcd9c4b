"""An ATECC608 at the level of bytes on its I2C bus, on both interpreters; every time is the clock's, none is real.

Written from Microchip's data sheet ATECC608B-TFLXTLS (online edition en-US-2): groups and status codes (4.1, 4.3),
commands (5), word addresses, polling and address counter (7), times (9.3); from the ATECC508A complete data sheet
DS20005927A as far as public texts quote it: configuration zone, its factory values (SlotConfig 83 20, KeyConfig 33 00
for slot 0) and the open chip's random pattern. Execution times: Microchip's cryptoauthlib,
lib/calib/calib_execution.c, commit 055dd4af. The curve is computed here by textbook formulas of its own, so that the
module's arithmetic is not asked to agree with itself. Where the public texts are silent it is the stricter: Sign uses
TempKey up, a slot is locked only after its zone. Another driver, adafruit-circuitpython-atecc 1.3.2 (it works with real
chips), was run against it on 2026-11-25, 1 ms slower a transfer than this machine: it locked an open chip, made a key,
signed (pyca/cryptography took the signature), counted and drew; what it sent is in tests/vectors/atecc_packets.json.

It does not imitate: AES, ECDH, KDF, SHA, MAC, secure boot, authorisations, limited use, encrypted reads and writes,
writing at all, single-wire mode, the self-test at wake, electrical levels, clock stretching. Nothing in it is secret.
"""

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)  # FIPS 186-4 appendix D.1.2.3

WATCHDOG_US = 1300000
WAKE_HIGH_US = 1500
COUNTER_MAX = 2097151
TIMES_MS = {0x02: 5, 0x16: 20, 0x17: 35, 0x1B: 23, 0x24: 25, 0x30: 5, 0x40: 115, 0x41: 115, 0x45: 105}
SLOW_TIMES_MS = {0x02: 5, 0x16: 20, 0x17: 35, 0x1B: 23, 0x24: 25, 0x30: 5, 0x40: 653, 0x41: 665, 0x45: 1085}

_ASLEEP, _WAKING, _AWAKE, _IDLE = 0, 1, 2, 3


def checksum(group):
    """CRC-16 of the chip, two bytes, low one first."""
    register = 0
    for byte in group:
        for bit in range(8):
            register ^= (byte >> bit & 1) << 15
            register = register << 1 ^ (0x8005 if register & 0x8000 else 0)
            register &= 0xFFFF
    return bytes((register & 0xFF, register >> 8))


def frame(data):
    """A group: count, data, checksum."""
    group = bytes((len(data) + 3,)) + bytes(data)
    return group + checksum(group)


def factory_zone(serial=b"\x01\x23\x4b\x16\x0f\x3a\x7d\xf2\xee"):
    """Configuration zone of an open ATECC608 ex works: as published for slot 0, the locks, the counters; the rest 0."""
    zone = bytearray(128)
    zone[0:4] = serial[:4]
    zone[4:8] = b"\x00\x00\x60\x03"
    zone[8:13] = serial[4:]
    zone[14] = 1
    zone[16] = 0xC0
    zone[20:22] = b"\x83\x20"
    zone[86:90] = b"\x55\x55\xff\xff"
    zone[96:98] = b"\x33\x00"
    return zone


def locked_zone():
    """The same, both zones locked."""
    zone = factory_zone()
    zone[86] = zone[87] = 0
    return zone


class Faults:
    """How often what goes wrong from now on. A number counts down to 0 with each time it happens; True never ends."""

    def __init__(self):
        self.deaf_wakes = 0  # wake pulses that pass unnoticed
        self.nacked_writes = 0  # writes that nobody acknowledges
        self.mute_reads = 0  # reads that nobody acknowledges
        self.short_reads = 0  # reads that end after half: the line stays high
        self.garbled_reads = 0  # reads with a wrong CRC
        self.stuck = 0  # commands that never end; the watchdog ends them
        self.ecc_faults = 0  # GenKey, Sign, Verify: status 05
        self.bad_signatures = 0  # signatures of another digest
        self.noise_signatures = 0  # 64 bytes of 0xFF
        self.high_s = 0  # s above half of the order
        self.short_of_time = 0  # status EE
        self.no_sleep = 0  # sleep words that pass unnoticed
        self.read_flips = {}  # {number of the read since the start: bit}
        self.write_flips = {}  # the same for writes

    def happens(self, name):
        left = getattr(self, name)
        if left is True:
            return True
        if left:
            setattr(self, name, left - 1)
            return True
        return False


class Atecc608:
    """The chip and the bus to it (ports.ElementBus). `log`: what happened to it; `reads`: answered, `writes`: tried."""

    def __init__(self, clock, zone=None, address=0x60, times_ms=None, watchdog_us=WATCHDOG_US):
        self.clock = clock
        self.zone = locked_zone() if zone is None else zone
        self.address = address
        self.times_ms = TIMES_MS if times_ms is None else times_ms
        self.watchdog_us = watchdog_us
        self.keys = {}  # slot: private key
        self.counters = [0, 0]
        self.temp_key = None
        self.faults = Faults()
        self.log = []
        self.reads = self.writes = 0
        self.most_bytes = 0
        self._state = _ASLEEP
        self._woke = 0
        self._busy_until = 0
        self._is_stuck = False
        self._output = b""
        self._at = 0
        self._drawn = 0

    # The bus

    def wake(self):
        self._look_at_watchdog()
        if self._state in (_AWAKE, _WAKING) or self.faults.happens("deaf_wakes"):
            return
        self._state = _WAKING
        self._woke = self.clock.now
        self._output = frame(b"\x11")
        self._at = 0
        self.log.append("wake")

    def write(self, address, buf):
        self.writes += 1
        self.most_bytes = max(self.most_bytes, len(buf))
        if not self._listens(address) or self.faults.happens("nacked_writes"):
            return False
        data = bytearray(buf)
        if self.writes in self.faults.write_flips:
            bit = self.faults.write_flips[self.writes] % (8 * len(data))
            data[bit >> 3] ^= 1 << (bit & 7)
        word = data[0]
        if word == 0:
            self._at = 0
        elif word == 1:
            if not self.faults.happens("no_sleep"):
                self.sleep()
        elif word == 2:
            self._state = _IDLE
            self._output = b""
            self.log.append("idle")
        elif word == 3:
            self._take(bytes(data[1:]))
        return True

    def read(self, address, buf):
        if not self._listens(address) or self.faults.happens("mute_reads"):
            return False
        self.reads += 1
        output = self._output[self._at : self._at + len(buf)]
        self._at += len(output)
        buf[:] = b"\xff" * len(buf)  # behind the end the chip leaves the line alone
        buf[: len(output)] = output
        if self.faults.happens("short_reads"):
            half = len(buf) // 2
            buf[half:] = b"\xff" * (len(buf) - half)
        if self.faults.happens("garbled_reads"):
            buf[1] ^= 0x10
        if self.reads in self.faults.read_flips:
            bit = self.faults.read_flips[self.reads] % (8 * len(buf))
            buf[bit >> 3] ^= 1 << (bit & 7)
        return True

    # Power

    def sleep(self):
        """Also what a power cut leaves: nothing volatile."""
        self._state = _ASLEEP
        self.temp_key = None
        self._output = b""
        self._is_stuck = False
        self._busy_until = self.clock.now
        self.log.append("sleep")

    @property
    def is_asleep(self):
        self._look_at_watchdog()
        return self._state == _ASLEEP

    def _look_at_watchdog(self):
        if self._state in (_AWAKE, _WAKING) and self.clock.now - self._woke >= self.watchdog_us:
            self.log.append("watchdog")
            self.sleep()

    def _listens(self, address):
        self._look_at_watchdog()
        now = self.clock.now
        if self._state == _WAKING:
            if now - self._woke >= WAKE_HIGH_US:
                self._state = _AWAKE
            else:
                self.log.append("early")  # the line was to be left alone for tWHI
        is_busy = self._is_stuck or now < self._busy_until
        return address == self.address and self._state == _AWAKE and not is_busy

    # Commands

    def _take(self, group):
        if len(group) < 7 or group[0] != len(group) or checksum(group[:-2]) != group[-2:]:
            self._answer(b"\xff", 1)
            return
        opcode, mode, number, data = group[1], group[2], group[3] | group[4] << 8, group[5:-2]
        self.log.append(f"{opcode:02X}")
        if opcode not in self.times_ms:
            self._answer(b"\x03", 1)
            return
        time_ms = self.times_ms[opcode]
        is_late = self.clock.now - self._woke + time_ms * 1000 >= self.watchdog_us
        if is_late or self.faults.happens("short_of_time"):
            self._answer(b"\xee", 1)
            return
        if self.faults.happens("stuck"):
            self._is_stuck = True
            return
        self._answer(getattr(self, f"_do_{opcode:02X}")(mode, number, data), time_ms)

    def _answer(self, data, time_ms):
        self._output = frame(data)
        self._at = 0
        self._busy_until = self.clock.now + time_ms * 1000

    def _do_30(self, mode, number, data):  # Info
        return bytes(self.zone[4:8]) if mode == 0 and not data else b"\x03"

    def _do_02(self, mode, number, data):  # Read
        zone, count = mode & 0x03, 32 if mode & 0x80 else 4
        at = (number >> 3) * 32 + (0 if count == 32 else (number & 7) * 4)
        if data or zone == 3 or zone == 0 and at + count > 128:
            return b"\x03"
        if zone:
            return b"\x0f"  # data and one-time zone: secret here, whatever the slot says
        return bytes(self.zone[at : at + count])

    def _do_1B(self, mode, number, data):  # Random
        if self.zone[87] != 0:
            return b"\xff\xff\x00\x00" * 8
        return self._draw().to_bytes(32, "big")

    def _do_16(self, mode, number, data):  # Nonce
        if mode != 0x03 or len(data) != 32:
            return b"\x03"
        self.temp_key = data
        return b"\x00"

    def _do_24(self, mode, number, data):  # Counter
        if mode > 1 or number > 1 or data:
            return b"\x03"
        if mode == 1:
            if self.counters[number] >= COUNTER_MAX:
                return b"\x0f"
            self.counters[number] += 1
        return self.counters[number].to_bytes(4, "little")

    def _do_17(self, mode, number, data):  # Lock
        zone = mode & 0x03
        if zone == 2:
            slot = mode >> 2 & 0x0F
            bits = self.zone[88] | self.zone[89] << 8
            if not self._word(96, slot) & 0x20 or not bits >> slot & 1 or self.zone[86]:
                return b"\x0f"
            bits &= ~(1 << slot)
            self.zone[88], self.zone[89] = bits & 0xFF, bits >> 8
            return b"\x00"
        at = 87 if zone == 0 else 86
        if self.zone[at] == 0 or zone == 1 and self.zone[87] != 0:
            return b"\x0f"
        if not mode & 0x80 and (zone != 0 or checksum(self.zone) != bytes((number & 0xFF, number >> 8))):
            return b"\x0f"
        self.zone[at] = 0
        return b"\x00"

    def _do_40(self, mode, number, data):  # GenKey
        if mode not in (0, 4) or number > 15 or data:
            return b"\x03"
        if self.zone[87] != 0 or self._word(96, number) & 0x1D != 0x11:
            return b"\x0f"
        if self.faults.happens("ecc_faults"):
            return b"\x05"
        if mode == 4:
            bits = self.zone[88] | self.zone[89] << 8
            if not bits >> number & 1 or self.zone[86] == 0 and not self._word(20, number) & 0x2000:
                return b"\x0f"
            self.keys[number] = self._draw() % (N - 1) + 1
        elif number not in self.keys or not self._word(96, number) & 0x02:
            return b"\x0f"
        return point_bytes(multiply(self.keys[number], G))

    def _do_41(self, mode, number, data):  # Sign
        if mode != 0x80 or number > 15 or data:
            return b"\x03"
        may_sign = self.zone[86] == 0 and self._word(20, number) & 0x01
        if not may_sign or self.temp_key is None or number not in self.keys:
            return b"\x0f"
        if self.faults.happens("ecc_faults"):
            return b"\x05"
        digest, self.temp_key = self.temp_key, None
        if self.faults.happens("noise_signatures"):
            return b"\xff" * 64
        if self.faults.happens("bad_signatures"):
            digest = bytes(32)
        r, s = sign(self.keys[number], digest, self._draw() % (N - 1) + 1)
        if (s > N // 2) != self.faults.happens("high_s"):
            s = N - s
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def _do_45(self, mode, number, data):  # Verify, external key
        if mode != 0x02 or number != 4 or len(data) != 128:
            return b"\x03"
        if self.temp_key is None:
            return b"\x0f"
        numbers = [int.from_bytes(data[at : at + 32], "big") for at in range(0, 128, 32)]
        return b"\x00" if verify(numbers[2:], self.temp_key, numbers[0], numbers[1]) else b"\x01"

    def _word(self, start, slot):
        return self.zone[start + 2 * slot] | self.zone[start + 2 * slot + 1] << 8

    def _draw(self):
        """A number of 256 bits, the same ones in each run; good enough for a double, and for nothing else."""
        self._drawn += 1
        state = self._drawn * 0x9E3779B97F4A7C15F39CC0605CEDC8341082276BF3A27251F86C6A11D0C18E95
        state ^= state >> 127
        state = state * 0xD1B54A32D192ED03D6E8FEB86659FD93A0761D6478BD642FE7037ED1A0B428DB
        return (state ^ state >> 131) & ((1 << 256) - 1)


# The curve, by the formulas of any textbook (Jacobian coordinates, a = -3)


def multiply(scalar, point):
    """scalar * point, from the lowest bit up; (x, y)."""
    total, run = None, (point[0], point[1], 1)
    while scalar:
        if scalar & 1:
            total = run if total is None else add(total, run)
        run = add(run, run)
        scalar >>= 1
    z = pow(total[2], P - 2, P)
    return total[0] * z * z % P, total[1] * z * z * z % P


def add(one, other):
    x1, y1, z1 = one
    x2, y2, z2 = other
    u1, u2 = x1 * z2 * z2 % P, x2 * z1 * z1 % P
    s1, s2 = y1 * z2 * z2 * z2 % P, y2 * z1 * z1 * z1 % P
    if u1 == u2:
        assert s1 == s2  # the sum is infinity: not met below the order
        m = 3 * (x1 * x1 - z1 * z1 * z1 * z1) % P
        s = 4 * x1 * y1 * y1 % P
        x3 = (m * m - 2 * s) % P
        return x3, (m * (s - x3) - 8 * y1 * y1 * y1 * y1) % P, 2 * y1 * z1 % P
    h, r = u2 - u1, s2 - s1
    x3 = (r * r - h * h * h - 2 * u1 * h * h) % P
    return x3, (r * (u1 * h * h - x3) - s1 * h * h * h) % P, h * z1 * z2 % P


def point_bytes(point):
    return point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")


def sign(private, digest, nonce):
    """(r, s), s as it comes."""
    r = multiply(nonce, G)[0] % N
    return r, pow(nonce, N - 2, N) * (int.from_bytes(digest, "big") + r * private) % N


def verify(point, digest, r, s):
    """FIPS 186-4 section 6.4, by two products and one sum."""
    if not 0 < r < N or not 0 < s < N:
        return False
    w = pow(s, N - 2, N)
    one = multiply(int.from_bytes(digest, "big") * w % N, G)
    other = multiply(r * w % N, point)
    total = add((one[0], one[1], 1), (other[0], other[1], 1))
    z = pow(total[2], P - 2, P)
    return total[0] * z * z % P % N == r
