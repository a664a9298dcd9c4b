"""Starts the program that the record of choice names: the factory's, which this file belongs to, or a slot's.

Only where the board has places for a second program. The slot is judged by the factory's code; then everything of it is
forgotten, so that no module of the factory stands in for one of the slot, and the slot's own main.py runs. A program
that asks for it (RESTART) is followed by the next choice without the process ending; a fault of a program ends the
process, as it does without a loader.
"""

import gc
import sys

RESTART = 4  # exit status of a program that wants to be started anew
_PACKAGES = ("acq", "acqwire", "boards")
_IS_MICROPYTHON = sys.implementation.name == "micropython"


def start(main, arguments) -> int:
    """Run whatever is chosen until it ends for good; exit status. main: the factory's."""
    own_path = sys.path[:]
    store, folder = _choose(arguments)
    # Judging leaves half a program behind: the factory's too starts anew then, or it would not fit the heap
    status = _run(store, folder, arguments) if "acq.update_boot" in sys.modules else main(arguments)
    while status == RESTART:
        _forget_program()
        sys.path[:] = own_path
        status = _run(*_choose(arguments), arguments)
    return status


def _choose(arguments):
    """(ports.UpdateStore, folder of the slot to run): None for the factory."""
    from boards import open_updates

    store = open_updates(arguments)
    if store is None or not (store.read_choice(0) or store.read_choice(1)):
        return store, None
    from acq.update_boot import choose

    slot = choose(store, store.feed)
    return store, store.folder(slot) if slot else None


def _run(store, folder, arguments) -> int:
    """The program in this folder, None: the factory's once more."""
    _forget_program()
    if folder is not None:
        sys.path.insert(0, folder)
        guard = store.guard()  # noqa: F841  # lives as long as this call: a board's timer behind a trial
    if not _IS_MICROPYTHON:
        import importlib

        sys.dont_write_bytecode = True  # a file that nobody signed would condemn the slot
        importlib.invalidate_caches()
    try:
        status = __import__("main").main(arguments)
    except Exception as fault:
        if folder is not None:
            store.give_up(fault)
        raise
    if folder is not None and status not in (0, RESTART):
        store.give_up(status)
    return status


def _forget_program() -> None:
    """Every module of the program that has run, this one included: two would not fit the heap."""
    for name in list(sys.modules):
        if name == "main" or name.split(".")[0] in _PACKAGES:
            del sys.modules[name]
    gc.collect()
