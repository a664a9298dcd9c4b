"""The emulated Cortex-M rung: the unmodified firmware on MicroPython's QEMU port, M3 or M0 code, lines on ptys.

`python -m tools.cortex DIRECTORY` runs a module there as `MICROPYTHON firmware/main.py DIRECTORY` runs one on the unix
port. tools/setup/cortex.py compiles the port with our board of it (board/), images.py freezes the firmware into it,
machine.py runs QEMU; counts.py and instructions.json are the table of instruction counts.
"""
