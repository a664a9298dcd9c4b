"""The module's program: chooses the board, reads the plan, builds the App and runs it until the power goes.

The imports stand in the order of use, not on top: whatever is needed once makes room before the next file comes, so
that a program which is compiled on the module fits its heap. Where it is frozen they cost nothing.
"""

import gc
import sys

if sys.implementation.name == "micropython":
    import micropython

    # As frozen images are: the line numbers of all that is compiled from here on would take a tenth of the heap.
    micropython.opt_level(3)

from acqwire import causes

from acq.faults import JournalError, SettingsError, SignerFault, fault_code
from boards import open_board

_LARGE = (
    "acq.ring", "acq.journal", "acq.link", "acq.modbus.crc16", "acq.modbus.rtu", "acq.modbus.client", "acq.sampler",
    "acq.cbor", "acq.record", "acq.sealing",
)  # fmt: skip
_SMALL = ("acq.schedule", "acq.timebase", "acq.app")
_POLLING = ("acq.modbus.crc16", "acq.modbus.rtu", "acq.modbus.client", "acq.sampler", "acq.schedule")
_RESTART = 4  # asks boards/loader.py for the next start


def main(arguments) -> int:
    """Exit status; a board without an operating system has nobody to read it and restarts."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return 0  # whatever it was doing: the journal is whole at every instant


def _run(arguments) -> int:
    board = None
    try:
        board = open_board(arguments)
        app = _build(board)
    except SettingsError as refused:
        return _refuse("{} {}; see SPEC.md section 5".format(refused.key, board.start.explain(refused.code)))
    except (ValueError, OSError) as refused:
        return _refuse(str(refused))
    except SignerFault as refused:
        return _refuse("no signer (fault {}, detail {}); see SECURE_ELEMENT.md".format(refused.code, refused.detail))
    except JournalError as refused:
        if refused.code != causes.FAULT_JOURNAL_GEOMETRY:
            board.note_fault(refused.code, 0, 0)
            raise
        return _refuse("the flash cannot hold a journal: at least 4 segments of whole sectors; see SPEC.md section 6")
    except Exception as fault:
        if board is not None:
            board.note_fault(fault_code(fault), 0, 0)
        raise
    board.say("ready")
    try:
        while not app.is_over:
            board.wait(app.step())
    except Exception as fault:
        board.note_fault(fault_code(fault), app.boot, app.seconds)  # the next boot's event record carries it
        raise
    board.restart()
    return _RESTART


def _build(board):
    import acq
    from acq.settings import read_plan

    start = board.start
    plan = read_plan(start.read_file("parameters.json"), start.read_file("settings.json"))
    del read_plan, acq.settings, sys.modules["acq.settings"]
    if plan.notices is not None:
        del acq.notice_settings, sys.modules["acq.notice_settings"]
    if hasattr(board.bus, "set_line"):  # a pty has neither speed nor parity
        board.bus.set_line(plan.baud, plan.parity, plan.stop_bits)
    gc.collect()
    from acq.framing import FrameWriter

    writer = FrameWriter()
    change = None
    # Words that nobody else needs are no names here: a few more, and their table doubles (DESIGN.md, Heap)
    if board.exists(b"rotate".decode()) or board.exists("next_key.bin"):
        __import__("acq.key_change")
        signer, change = sys.modules["acq.key_change"].begin(board, start, plan.device)
    else:
        signer = start.open_signer()
    start.publish_key(signer.public_key)
    from acq.cose import Sealer

    sealer = Sealer(signer)
    sealer.change = change
    from acq.identity import BootFacts

    facts = BootFacts(start, signer.public_key)
    del BootFacts, acq.identity, sys.modules["acq.identity"]
    del start  # its class would keep the file's code until App stands
    board.forget_start()
    if getattr(board, "updates", None) is not None:
        for name in ("acq.record", "acq.update_door"):
            gc.collect()
            __import__(name)
    for name in _LARGE:
        _load(name, board.safe)
    if not board.safe:
        from acq.batch import pair

        # Compiling the large files needs room, and so do these; behind all files there would be no place left for them
        gc.collect()
        plan.batches = pair(plan)
    for name in _SMALL:
        _load(name, board.safe)
    from acq.app import App

    return App(board, plan, facts, writer, sealer)


def _load(name: str, is_safe) -> None:
    """Safe mode does without what polls: that may be what cannot run."""
    if not is_safe or name not in _POLLING:
        gc.collect()
        __import__(name)


def _refuse(reason: str) -> int:
    print("main.py: " + reason, file=sys.stderr)
    return 2


if __name__ == "__main__":
    from boards import open_updates

    if open_updates(sys.argv) is None:  # one program only: no room is spent on choosing
        sys.exit(main(sys.argv))
    from boards.loader import start

    sys.exit(start(main, sys.argv))
