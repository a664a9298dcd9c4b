"""Picks the board. One file per board; only those files may import what a board offers (architecture B4)."""

import sys


def open_board(arguments):
    """The board this program runs on. On a computer, arguments[1] names the directory of an emulated module."""
    if sys.platform in ("linux", "darwin"):
        from boards import host

        if len(arguments) != 2:
            raise ValueError("usage: main.py DIRECTORY (with board.json, settings.json, parameters.json)")
        return host.HostBoard(arguments[1])
    from boards import iron_choice

    return iron_choice.open_board(arguments)


def open_updates(arguments):
    """Where this board keeps further programs (ports.UpdateStore), None if it has no place for them. Opens no line."""
    if sys.platform in ("linux", "darwin") and len(arguments) == 2:
        from boards.host_files import exists

        if exists(arguments[1] + "/update"):
            from boards.host_updates import HostUpdates

            return HostUpdates(arguments[1] + "/update")
    if sys.platform in ("linux", "darwin", "qemu"):
        return None
    from boards import iron_choice

    return iron_choice.open_updates()
