"""What is frozen into a production image (MicroPython 1.25): the module's program and nothing to talk to it with.

    PLUMEPROOF_PORT=rp2 make -C ports/rp2 BOARD=RPI_PICO2 FROZEN_MANIFEST=.../firmware/manifest.py    (or esp32, stm32)

PLUMEPROOF_IMAGE=bench freezes nothing but rp2's boot file: program and console stay open, for work at the bench.
Frozen: acq, acqwire, the boards of the port, main.py, frozen_hash.py (SHA-256 of all of them, SPEC.md section 4.3), and
of MicroPython only what its start needs. On rp2 our rp2_boot.py takes the place of `_boot.py`, which formats.

What no manifest can do, because it is the port's own C code, are these build options, in the board's mpconfigboard.h:

    all     MICROPY_ENABLE_COMPILER (0)      nothing can be compiled on the module
    rp2     MICROPY_HW_ENABLE_USBDEV (0), MICROPY_HW_ENABLE_UART_REPL (0)
    esp32   MICROPY_HW_ENABLE_USBDEV (0), MICROPY_HW_ESP_USB_SERIAL_JTAG (0), MICROPY_HW_ENABLE_UART_REPL (0)
    stm32   MICROPY_HW_ENABLE_USB (0), no MICROPY_HW_UART_REPL

and the chip's own protection: read-out protection (stm32), flash encryption of the program and secure boot (esp32),
secure boot (RP2350; the RP2040 has none). Without them whoever opens the box reads the flash: BOARDS.md section 7.
Optimisation level 3 removes asserts and line numbers.
"""

import hashlib
import os
import tempfile

_OPTIMISE = 3
_PORTS = {
    "esp32": ("esp32_chip", "esp32_s3_waveshare", "esp32_t_can485"),
    "rp2": ("rp2_boot", "rp2_chip", "rp2_pico_2ch", "rp2_pico_de", "rp2_pio_bus"),
    "stm32": ("stm32_pyboard",),
}
_EVERY = (
    "__init__", "ads1115", "block_flash", "iron", "iron_choice", "iron_entropy", "iron_i2c", "iron_inputs",
    "iron_start", "iron_updates", "loader", "notes", "notes_start", "spi_nor", "uart_bus", "update_folder",
)  # fmt: skip
_OF_PORT = {  # from MicroPython's ports/PORT/modules
    "esp32": ("_boot.py", "flashbdev.py", "inisetup.py"),
    "rp2": ("rp2.py",),
    "stm32": (),
}
_HERE = os.getcwd()  # makemanifest executes a manifest in its own folder


def _program(port):
    """Paths of the release's files below firmware/."""
    found = ["main.py"]
    for folder in ("acq", "acqwire"):
        for where, folders, names in os.walk(os.path.join(_HERE, folder)):
            folders[:] = [name for name in folders if name != "__pycache__"]
            found += [
                os.path.relpath(os.path.join(where, name), _HERE).replace(os.sep, "/")
                for name in names
                if name.endswith(".py") and name != "ports.py"  # states promises only
            ]
    found += ["boards/{}.py".format(name) for name in _EVERY + _PORTS[port]]
    return sorted(found)


def _hash(paths):
    whole = hashlib.sha256()
    for path in sorted(paths, key=str.encode):
        with open(os.path.join(_HERE, path), "rb") as file:
            whole.update(path.encode() + b"\x00" + hashlib.sha256(file.read()).digest())
    return whole.digest()


_port = os.environ.get("PLUMEPROOF_PORT")
if _port not in _PORTS:
    raise SystemExit("manifest.py: set PLUMEPROOF_PORT to one of " + ", ".join(sorted(_PORTS)))
_image = os.environ.get("PLUMEPROOF_IMAGE", "production")
if _image not in ("production", "bench"):
    raise SystemExit("manifest.py: PLUMEPROOF_IMAGE is production or bench")
_made = tempfile.mkdtemp(prefix="plumeproof-manifest-")
if _image == "production":
    _paths = _program(_port)
    freeze(_HERE, tuple(_paths), opt=_OPTIMISE)  # noqa: F821
    with open(os.path.join(_made, "frozen_hash.py"), "w") as _file:
        _file.write('"""SHA-256 of the frozen program, SPEC.md section 4.3; made by manifest.py."""\n\n')
        _file.write("HASH = {!r}\n".format(_hash(_paths)))
    freeze(_made, "frozen_hash.py", opt=_OPTIMISE)  # noqa: F821
if _port == "rp2":
    with open(os.path.join(_HERE, "boards", "rp2_boot.py")) as _file:
        _text = _file.read()
    with open(os.path.join(_made, "_boot.py"), "w") as _file:
        _file.write(_text)
    freeze(_made, "_boot.py", opt=_OPTIMISE)  # noqa: F821
if _OF_PORT[_port]:
    freeze("$(PORT_DIR)/modules", _OF_PORT[_port], opt=_OPTIMISE)  # noqa: F821
if _port == "esp32":
    require("neopixel")  # noqa: F821
