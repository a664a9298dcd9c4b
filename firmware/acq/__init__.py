"""The module's program: the same files on every board and on the emulated one."""

VERSION = "0.1.0"  # module release, in every boot record
