"""The emulated Cortex-M rung: the unmodified firmware on MicroPython's QEMU port, M3 or M0 code, lines on ptys.

`python -m tools.cortex DIRECTORY` runs a module there as `MICROPYTHON firmware/main.py DIRECTORY` runs one on the unix
port. The images are made by tools/setup/cortex.py; board/ is our board of the QEMU port; rom.py makes the ROM file
system with the program, machine.py runs QEMU; counts.py and instructions.json are the table of instruction counts.
"""
