"""Runs on real MicroPython: `micropython iron_updates_run.py CHECKOUT CASE`. boards/iron_updates.py on the own LittleFS
of the interpreter (VfsLfs2), on a block device in memory whose power can be cut within every program and every erase.

A cut leaves the first bytes of a program done, or the first half of an erase; from then on the device answers with an
error, whatever the program still tries. Power-on mounts what is in the image anew. Prints one line: what was seen.
"""

import os
import sys

ROOT = sys.argv[1]
sys.path[:0] = [ROOT + "/firmware", ROOT + "/tests/firmware", ROOT + "/tests/doubles"]

import vfs  # noqa: E402
from acqwire import update  # noqa: E402
from update_parts import Bench, choose, read_choice, release, root, write_choice  # noqa: E402

from boards.iron_updates import IronUpdates  # noqa: E402

_BLOCK = 4096
_PROGRAM = 256
_EIO = 5
KEPT = {name: module for name, module in sys.modules.items() if name.split(".")[0] in ("acq", "acqwire", "boards")}
FOLDER = "/lfs/plumeproof/update"
SMALL = (("acq/app.py", b"new " * 700), ("acq/modbus/rtu.py", b"r" * 100), ("main.py", b"print(2)\n"))


class Device:
    """`writes`: programs and erases so far. `cut_at`, `prefix`: the write that is not finished, how far it comes."""

    def __init__(self, image) -> None:
        self.image = image
        self.writes = 0
        self.cut_at = -1
        self.prefix = 0
        self.is_off = False

    def readblocks(self, block, buf, offset=0):
        if self.is_off:
            return -_EIO
        start = block * _BLOCK + offset
        buf[:] = self.image[start : start + len(buf)]

    def writeblocks(self, block, buf, offset=0):
        start = block * _BLOCK + offset
        for at in range(0, len(buf), _PROGRAM):
            count = self._allowed(_PROGRAM, self.prefix)
            self.image[start + at : start + at + count] = buf[at : at + count]
            if self.is_off:
                return -_EIO

    def ioctl(self, op, argument):
        if op == 4:
            return len(self.image) // _BLOCK
        if op == 5:
            return _BLOCK
        if op == 6:
            count = self._allowed(_BLOCK, _BLOCK // 2)
            start = argument * _BLOCK
            self.image[start : start + count] = b"\xff" * count
            return -_EIO if self.is_off else 0
        return 0

    def _allowed(self, whole, cut) -> int:
        if self.is_off:
            return 0
        self.writes += 1
        if self.writes - 1 == self.cut_at:
            self.is_off = True
            return cut
        return whole


def make(blocks):
    """A formatted device with a provisioned folder."""
    device = Device(bytearray(b"\xff" * (blocks * _BLOCK)))
    vfs.VfsLfs2.mkfs(device, progsize=_PROGRAM)
    mount(device)
    for path in ("/lfs/plumeproof", FOLDER):
        os.mkdir(path)
    with open(FOLDER + "/root.bin", "wb") as file:
        file.write(root())
    return device


def mount(device) -> None:
    vfs.mount(vfs.VfsLfs2(device, progsize=_PROGRAM), "/lfs")


def bench():
    return Bench(IronUpdates(FOLDER, "host"))


def installed(blocks=56):
    """The image of a module that runs version 1 from slot A, confirmed."""
    device = make(blocks)
    bench().install(release(1))
    vfs.umount("/lfs")
    return device.image


def update_to_2(one) -> None:
    """The whole way, confirmed and told."""
    one.install(release(2, files=SMALL))
    one.choice.told_result = 0
    write_choice(one.store, one.choice)


def running() -> int:
    """Version that a start runs; the slot's files are what was signed, or it would not be chosen."""
    store = IronUpdates(FOLDER, "host")
    slot = choose(store, store.feed)
    assert slot, "the factory's: a confirmed program is lost"
    choice = read_choice(store)
    with store.open(slot, update.MANIFEST_NAME) as file:
        made = file.read(4096)
    version = 1 if made == release(1)[0] else 2
    assert choice.slot == slot and choice.version == version and (version == 1 or made == release(2, files=SMALL)[0])
    return version


def cut_everywhere(first, step, prefixes) -> None:
    """Power cut within every `step`th write of an update, from write number `first` on."""
    before = installed()
    device = Device(bytearray(before))
    mount(device)
    whole = bench()
    start = device.writes
    update_to_2(whole)
    writes = device.writes - start
    vfs.umount("/lfs")
    seen = [0, 0, 0]
    cases = 0
    for number in range(first, writes, step):
        for prefix in prefixes:
            device = Device(bytearray(before))
            mount(device)
            one = bench()
            device.cut_at, device.prefix = device.writes + number, prefix
            try:
                update_to_2(one)
            except (OSError, AssertionError):  # the updater refuses what the flash refuses
                pass
            assert device.is_off, (number, prefix)
            vfs.umount("/lfs")
            device = Device(device.image)
            mount(device)  # every image mounts
            version = running()
            seen[version] += 1
            again = bench()
            if again.choice.is_trial:  # it has switched: it need only be confirmed
                again.confirm()
            elif version == 1:
                update_to_2(again)
            assert running() == 2, (number, prefix)
            vfs.umount("/lfs")
            cases += 1
    assert seen[1] and seen[2]
    print("writes", writes, "cases", cases, "old", seen[1], "new", seen[2])


def full() -> None:
    """What finds no room is refused before the slot that it would replace is touched; nobody fills the file system."""
    image = installed(72)
    device = Device(image)
    mount(device)
    one = bench()
    assert one.store.footprint(0) == one.store.footprint(4096) == 4096 < one.store.footprint(4097)
    update_to_2(one)  # slot A holds version 1 now, and is the next to be replaced
    room = one.store.room(update.SLOT_A)
    many = tuple((f"acq/f{number:02d}.py", b"x") for number in range(room // 4096)) + (("main.py", b"y"),)
    held = sorted(one.store.names(update.SLOT_A))
    said = bench().send(release(3, files=many))
    assert said == update.REASON_SIZE, (said, room)  # few bytes, but a block for each
    assert bench().send(release(3, files=(("main.py", b"z" * 65536),) + SMALL[:1] + big())) == update.REASON_SIZE
    assert sorted(one.store.names(update.SLOT_A)) == held and running() == 2
    fitting = many[: one.store.room(update.SLOT_A) // 4096 - 3] + many[-1:]
    bench().install(release(3, files=fitting))
    assert read_choice(one.store).version == 3 and one.store.room(update.SLOT_B) >= 0
    print("room", room, "files", len(fitting))


def big():
    return tuple((f"boards/b{number}.py", b"z" * 65536) for number in range(3))


class Reset(Exception):
    """The chip begins anew: nothing behind it runs."""


def fake_machine(calls):
    """A port's `machine` with a timer and a reset, both told to `calls`."""

    class Timer:
        ONE_SHOT = 0

        def __init__(self, number):
            calls.append(number)

        def init(self, mode, period, callback):
            calls.append((mode, period))
            self.callback = callback

    def reset():
        calls.append("reset")
        raise Reset()

    class Machine:
        pass

    Machine.Timer = Timer
    Machine.reset = staticmethod(reset)
    sys.modules["machine"] = Machine


def resets() -> None:
    """What becomes of a trial that hangs: the timer behind it, on a port that has one."""
    calls = []
    fake_machine(calls)
    make(56)
    one = bench()
    made = release(1)
    assert one.send(made) == 0 and one.switch(made) == 0
    store = one.store
    timer = store.guard()
    assert calls == [-1, (0, 2700000)] and 2700000 > update.TRIAL_MAX_MS
    try:
        timer.callback(timer)
        raise AssertionError("a trial hangs for ever")
    except Reset:
        pass
    one.start()
    one.confirm()
    timer.callback(timer)
    store.give_up(2)
    assert calls[2:] == ["reset"]  # confirmed: nothing happens
    print("guarded")


PROGRAMS = {
    "works": b"def main(arguments):\n    import acq.app\n    return acq.app.status\n",
    "ends": b"raise ValueError('broken')\n",
    "refuses": b"def main(arguments):\n    return 2\n",
}


def starts() -> None:
    """boards/loader.py starts a slot's program from LittleFS, and the factory's when three trials were for nothing."""
    import boards
    import boards.iron_updates
    import boards.loader

    boards.iron_updates._PAUSE_S = 0
    own_path, load = sys.path[:], boards.loader.start
    for name in sorted(PROGRAMS):
        calls, seen = [], []
        fake_machine(calls)
        make(56)
        one = bench()
        made = release(
            1, files=(("acq/__init__.py", b""), ("acq/app.py", b"status = 0\n"), ("main.py", PROGRAMS[name]))
        )
        assert one.send(made) == 0 and one.switch(made) == 0
        store = one.store
        for _ in range(update.TRIALS + 1):
            sys.path[:] = own_path
            sys.modules.update(KEPT)  # a reset forgets what the last start has imported
            boards.open_updates = lambda arguments, store=store: store
            try:
                seen.append(load(None, []))
            except Reset:
                seen.append("reset")
        assert seen == [0 if name == "works" else "reset"] * update.TRIALS + [2], (
            name,
            seen,
        )  # the factory's misses its arguments
        sys.modules.update(KEPT)
        vfs.umount("/lfs")
    print("started", len(PROGRAMS))


def program(folder, prefix=""):
    """A compiled program as a release has it."""
    found = []
    for entry in os.ilistdir(folder + "/" + prefix):
        name = prefix + entry[0]
        if entry[1] & 0x4000:
            found += program(folder, name + "/")
        else:
            with open(folder + "/" + name, "rb") as file:
                found.append((name, file.read()))
    return sorted(found)


def takes_two(files, blocks, is_frozen) -> bool:
    """Whether a file system of so many blocks takes this program twice in a row, beside the one it was flashed with."""
    make(blocks)
    one = bench()
    store = one.store
    try:
        for name, content in () if is_frozen else files:
            with store.create(update.INCOMING, "../../" + name) as file:
                file.write(content)
        for number in (1, 2):
            made = release(number, files=files, mpy=store.mpy)
            if one.send(made) or one.switch(made):
                return False
            one.start()
            one.confirm()
    except OSError:  # the program that it was flashed with finds no room
        return False
    finally:
        vfs.umount("/lfs")
    return True


def sizes(folder) -> None:
    """The least file system that takes updates of the program in `folder` (tools.mpy --board NAME --out FOLDER)."""
    files = program(folder)
    least = []
    for is_frozen in (True, False):
        low, high = 32, 512
        while high - low > 1:
            middle = (low + high) // 2
            if takes_two(files, middle, is_frozen):
                high = middle
            else:
                low = middle
        least.append(high)
    print(len(files), "files", sum(len(content) for _, content in files), "bytes; least file system, sectors of 4096:")
    print("frozen", least[0], "as files", least[1])


if __name__ == "__main__":
    case, numbers = sys.argv[2], [int(word) for word in sys.argv[3:] if sys.argv[2] == "cut"]
    if case == "cut":
        cut_everywhere(numbers[0], numbers[1], numbers[2:])
    elif case == "sizes":
        sizes(sys.argv[3])
    elif case == "full":
        full()
    elif case == "starts":
        starts()
    else:
        resets()
