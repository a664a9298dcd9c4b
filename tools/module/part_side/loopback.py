"""Runs on the module, under its own interpreter: sends a few bytes on the analyzer bus at each speed and tells for how
long the driver stayed on and what came back. Prints one line: `loopback ` and JSON. Nothing else may hold the bus.
"""

import json


def loopback(board_file, bauds, folder):
    """folder: None for the board's own."""
    module = getattr(__import__("boards." + board_file), board_file)
    bus = (module.open_board() if folder is None else module.open_board(folder)).bus
    said = []
    for baud in bauds:
        bus.set_line(baud, "E", 1)
        test = getattr(module, "self_test", None)  # a board that must let its receiver hear first
        tail_us, echoed, wrong = bus.self_test() if test is None else test(bus)
        said.append([baud, bus.bit_us, bus.character_us, tail_us, echoed, wrong])
    print("loopback " + json.dumps(said))
