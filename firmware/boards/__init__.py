"""Picks the board. One file per board; only those files may import what a board offers (architecture B4)."""

import sys

# A word of what a stock image says it runs on -> the board file that fits it unless board.json names another
_FIRST = (
    ("esp32", "ESP32S3", "esp32_s3_waveshare"),
    ("esp32", "ESP32", "esp32_t_can485"),
    ("rp2", "RP2040", "rp2_pico_2ch"),
    ("rp2", "RP2350", "rp2_pico_2ch"),
    ("pyboard", "PYBv1.1", "stm32_pyboard"),
)
_OTHERS = (("rp2", "rp2_pico_de"),)
_FOLDERS = ("/plumeproof", "/flash/plumeproof")


def open_board(arguments):
    """The board this program runs on. On a computer, arguments[1] names the directory of an emulated module."""
    if sys.platform in ("linux", "darwin"):
        from boards import host

        if len(arguments) != 2:
            raise ValueError("usage: main.py DIRECTORY (with board.json, settings.json, parameters.json)")
        return host.HostBoard(arguments[1])
    if sys.platform == "qemu":
        from boards import cortex_mps2

        return cortex_mps2.MpsBoard(arguments[1])
    name = choose(sys.platform, getattr(sys.implementation, "_machine", ""), _wanted())
    return getattr(__import__("boards." + name), name).open_board()


def choose(platform: str, machine: str, wanted: str) -> str:
    """The board file for a port and what it says it runs on; `wanted`: the name in board.json, "" for none."""
    fitting = [name for port, words, name in _FIRST if port == platform and words in machine.split()]
    fitting += [name for port, name in _OTHERS if port == platform and fitting]
    if wanted:
        if wanted not in fitting:
            raise ValueError("board.json: {} does not fit {} ({}): {}".format(
                wanted, platform, machine, ", ".join(fitting) or "no board file does"
            ))  # fmt: skip
        return wanted
    if not fitting:
        raise ValueError("no board file for {} ({}): see BOARDS.md".format(platform, machine))
    return fitting[0]


def _wanted() -> str:
    import json

    for folder in _FOLDERS:
        try:
            with open(folder + "/board.json") as file:
                return json.load(file)["board"]
        except OSError:
            continue
        except (ValueError, KeyError, TypeError):
            raise ValueError(folder + '/board.json is not {"board": "..."}')
    return ""


def open_updates(arguments):
    """Where this board keeps further programs (ports.UpdateStore), None if it has no place for them. Opens no line."""
    if sys.platform in ("linux", "darwin") and len(arguments) == 2:
        from boards.host_files import exists

        if exists(arguments[1] + "/update"):
            from boards.host_updates import HostUpdates

            return HostUpdates(arguments[1] + "/update")
    return None
