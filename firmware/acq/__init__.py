"""The module's program: the same files on every board and on the emulated one."""
