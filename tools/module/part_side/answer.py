"""Runs on the module, under its own interpreter: opens its signer (which makes the key at the first time), publishes
the public key and signs the registrar's statement (SPEC.md section 9). Prints one line: `answer ` and JSON, all in hex.

Sent over the console, or run beside the program of an emulated module. Any refusal of the module's own is a ValueError.
"""

import json
import sys


def answer(directory, nonce):
    """directory: of an emulated module; a board knows its own."""
    from acq import possession
    from acq.identity import firmware_hash

    if sys.platform in ("linux", "darwin"):
        from boards.host_start import HostStart

        start = HostStart(directory)  # opens neither lines nor journal: the module itself may be running
        serial = b""
    else:
        from boards import open_board

        start = open_board(("main.py", directory)).start
        serial = _serial()
    # Only what the statement needs is read here; main.py judges both files as a whole at its start
    device = json.loads(start.read_file("parameters.json"))["device"]
    signer = start.open_signer()
    start.publish_key(signer.public_key)
    digest = firmware_hash(start)
    signature = possession.prove(signer, nonce, device, serial, digest)
    said = {
        "device": device,
        "nonce": nonce.hex(),
        "public_key": bytes(signer.public_key).hex(),
        "serial": serial.hex(),
        "firmware_hash": digest.hex(),
        "signature": bytes(signature).hex(),
    }
    print("answer " + json.dumps(said))


def _serial():
    """The chip's own number, where the port has one."""
    try:
        from machine import unique_id
    except ImportError:
        return b""
    return unique_id()[:32]
