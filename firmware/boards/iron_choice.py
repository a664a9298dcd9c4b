"""Which board file fits the port and the chip that this program runs on. Needed once, and not on a computer."""

import os
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


def wanted_board() -> str:
    """The name in the module's board.json, "" for none."""
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


def open_board(arguments):
    """The board that is no computer: its file, imported by name, so that nothing of another chip is."""
    if sys.platform == "qemu":
        from boards import cortex_mps2

        return cortex_mps2.MpsBoard(arguments[1])
    name = choose(sys.platform, getattr(sys.implementation, "_machine", ""), wanted_board())
    board = getattr(__import__("boards." + name), name).open_board()
    board.updates = open_updates()
    return board


def open_updates():
    """Where a board of hardware keeps further programs (ports.UpdateStore), None without the folder that provisioning
    makes for them. Opens no line. Raises ValueError."""
    for folder in _FOLDERS:
        try:
            os.stat(folder + "/update")
        except OSError:  # absent, or no file system: then nothing else of the module can be read either
            continue
        from boards.iron_updates import IronUpdates

        machine = getattr(sys.implementation, "_machine", "")
        return IronUpdates(folder + "/update", choose(sys.platform, machine, wanted_board()))
    return None
