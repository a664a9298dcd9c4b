"""The rp2 module of the fakes: Flash, and a PIO state machine that carries out the program it is given.

Instructions out, nop, jmp x--, label; side-set and delays; autopull with a threshold. After the RP2040 data sheet,
section 3.5.4: a side-set counts from an instruction's first cycle even while it stalls; autopull refills the output
register, once it is empty, from the FIFO. FIFO of 8 words (joined). Bits and DE are noted with their time in ns.
Not imitated: other instructions, wrap targets, clock divider's fraction, the cycle that a refill takes.
"""

from board_fakes.iron_time import CALL_US


class _Line:
    def __init__(self, program, words) -> None:
        self.words, self.level, self.wait = words, 0, 0
        program.append(self)

    def side(self, level):
        self.level = level
        return self

    def __getitem__(self, count):
        self.wait = count
        return self


class Program:
    """What asm_pio makes of a function."""

    def __init__(self, function, options) -> None:
        self.options = options
        self.lines = lines = []
        self.labels = {}
        names = function.__globals__
        given = {
            "out": lambda target, count: _Line(lines, ("out", target, count)),
            "nop": lambda: _Line(lines, ("nop",)),
            "jmp": lambda condition, name: _Line(lines, ("jmp", condition, name)),
            "label": lambda name: self.labels.update({name: len(lines)}),
            "x": "x", "pins": "pins", "null": "null", "x_dec": "x_dec",
        }  # fmt: skip
        names.update(given)
        function()
        for name in given:
            del names[name]


class StateMachine:
    """Runs a frame as soon as all of its words are in; the program only looks at DE afterwards."""

    rig = None

    def __init__(self, number, program, freq, out_base, sideset_base) -> None:
        self.program, self.frequency = program, freq
        self.tx, self.enable = out_base, sideset_base
        self.fifo = []
        self.levels = []  # (time ns, TX) for each bit that went out
        self.driver = []  # (time ns, level) of DE
        self._x = self._left = self._shifted = self._at = 0
        self._osr = None
        self.is_active = False
        self._time = self.rig.time.now * 1000
        self.rig.state_machines.append(self)
        self.rig.pins[self.enable.name] = self._driver_now

    def active(self, is_active) -> None:
        now = self.rig.time.now * 1000
        if self.is_active:
            self._run(now)
        self._time = max(self._time, now)
        self.is_active = bool(is_active)

    def put(self, word) -> None:
        assert 0 <= word < 1 << 32
        self.rig.time.now += CALL_US
        self._run(self.rig.time.now * 1000)
        while len(self.fifo) == 8:
            assert self.is_active, "blocks for ever"
            self.rig.time.now += CALL_US
            self._run(self.rig.time.now * 1000)
        self.fifo.append(word)
        self._run(self.rig.time.now * 1000)

    def _driver_now(self) -> int:
        self._run(self.rig.time.now * 1000)
        levels = [level for when, level in self.driver if when <= self.rig.time.now * 1000]
        return levels[-1] if levels else 0

    def _run(self, until) -> None:
        if not self.is_active:
            return
        program, cycle_ns = self.program, 1000000000 // self.frequency
        while True:
            if self._at == len(program.lines):
                self._at = 0
            line = program.lines[self._at]
            self._side(line.level)
            if line.words[0] == "out" and not self._refill():
                self._time = max(self._time, until)
                return
            if self._time > until:
                return
            self._carry_out(line)
            self._time += (1 + line.wait) * cycle_ns

    def _carry_out(self, line) -> None:
        words = line.words
        self._at += 1
        if words[0] == "out":
            bits = self._osr & (1 << words[2]) - 1
            self._osr >>= words[2]
            self._shifted += words[2]
            if words[1] == "pins":
                self.levels.append((self._time, bits))
            elif words[1] == "x":
                self._x = bits
            if self._shifted >= self.program.options["pull_thresh"]:
                self._osr = None
        elif words[0] == "jmp":
            if self._x:
                self._at = self.program.labels[words[2]]
            self._x = (self._x - 1) & 0xFFFFFFFF

    def _refill(self) -> bool:
        if self._osr is None and self.fifo:
            self._osr, self._shifted = self.fifo.pop(0), 0
        return self._osr is not None

    def _side(self, level) -> None:
        if not self.driver or self.driver[-1][1] != level:
            self.driver.append((self._time, level))


def pio_module(rig):
    """What the rp2 module has."""

    class Machine(StateMachine):
        pass

    Machine.rig = rig

    class Pio:
        OUT_LOW, OUT_HIGH, SHIFT_RIGHT, JOIN_TX = 2, 3, 1, 1

    def make_flash(start=0, len=-1):
        rig.flash_start = start
        return rig.device

    return {
        "PIO": Pio,
        "StateMachine": Machine,
        "asm_pio": lambda **options: lambda function: Program(function, options),
        "Flash": make_flash,
    }
