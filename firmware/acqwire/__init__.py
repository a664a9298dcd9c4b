"""The agreement between module and gateway: names and numbers, no behaviour.

firmware/SPEC.md is the authority in words, these files in numbers, record.cddl is the grammar;
tests/contract/ holds the three together. Flashed to the module and installed with the bridge.
Only plain integers, byte strings, strings and tuples; nothing here imports anything.
"""

WIRE_VERSION = 1  # version of records and link frames written by this release
WIRE_VERSION_OLDEST = 1  # oldest version that this release still reads
