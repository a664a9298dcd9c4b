"""The module's own inputs: the analyzer with unit 0 (SPEC.md section 5). Numbers that both sides must know.

In a file of their own because only a module whose parameter set has `inputs` needs them.
"""

UNIT = 0  # no Modbus server has it: it is the address of a broadcast (MODBUS over Serial Line V1.02 section 2.2)
LEVELS_FUNCTION = 2  # debounced levels, a bit each
COUNTERS_FUNCTION = 3  # rising edges of each digital input since the boot, uint16, goes round
COUNTS_FUNCTION = 4  # analog inputs, uint16 each
DEBOUNCE_MIN_MS = 1
DEBOUNCE_MAX_MS = 10000
DIGITAL_MAX = 16  # inputs of one module
ANALOG_MAX = 32
EDGES_MAX = 3  # told in one event
EDGE_ARGS = 4  # input, level, mono ms, how many ms it may have come earlier
