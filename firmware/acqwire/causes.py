"""Gap causes, module fault codes and event codes. SPEC.md sections 4.3 and 4.4; their names: names.py.

An outcome byte of a samples record is 0 (value) or one of the gap causes. 64 + n is Modbus exception n.
Sentences for people are on the gateway; no text travels.
"""

VALUE = 0
GAP_TIMEOUT = 1  # no byte of an answer within the analyzer's time
GAP_CRC = 2  # a frame of the right length with a wrong CRC
GAP_MISMATCH = 3  # good CRC, but another unit, function or byte count
GAP_LENGTH = 4  # answer began and did not reach its length in time
GAP_BACKOFF = 5  # analyzer silent for long: not asked in this slot
GAP_OVERRUN = 6  # the slot ended before its turn came
GAP_BUS_FAULT = 7  # the port itself failed
GAP_UNCONFIRMED = 8  # a value came and no second one that equals it: block to be confirmed, on a bad line
GAP_EXCEPTION = 64  # + exception code 1..11 of the Modbus Application Protocol V1.1b3 section 7
GAP_OVERFLOW = 128  # found by the gateway: slot covered by an overflow record
GAP_POWER_OFF = 129  # found by the gateway: between last record of a boot and the next boot record
GAP_HOLE = 130  # found by the gateway: record missing from the chain

# Events (record kind event); arguments in brackets
EVENT_JOURNAL_DAMAGE = 1  # [first seq, last seq] entries of the journal that can no longer be read
EVENT_TIME_REFUSED = 2  # [step ms] a time sync that would have moved UTC too far
EVENT_TASK_FAULT = 3  # [FAULT_*, count] the program met a condition it does not know
EVENT_SAFE_MODE = 4  # [FAULT_*, bad starts in a row] this boot answers the link and does not poll
EVENT_INPUT_EDGES = 10  # [edges not told, then for each told: input, level, mono ms, ms it may have come earlier]
EVENT_UPDATE = 20  # [update.RESULT_*, update.REASON_*, version, old hash, new hash: four i64 each]

# Module faults: code carried by BusError, JournalError, SettingsError, SignerFault
FAULT_BUS_IO = 1
FAULT_FLASH_IO = 10
FAULT_FLASH_VERIFY = 11  # read-back differs from what was programmed
FAULT_JOURNAL_FULL = 12
FAULT_JOURNAL_TOO_LARGE = 13  # entry larger than a segment
FAULT_JOURNAL_GEOMETRY = 14
FAULT_SETTINGS_MISSING = 20
FAULT_SETTINGS_SYNTAX = 21
FAULT_SETTINGS_VALUE = 22
FAULT_SIGNER = 30  # own signature did not verify
FAULT_ELEMENT_SILENT = 31  # the secure element does not answer
FAULT_ELEMENT_GARBLED = 32  # its answers are damaged
FAULT_ELEMENT_STATUS = 33  # it reports an error
FAULT_ELEMENT_REFUSED = 34  # unlocked, or its key could be read, written or not used for records
FAULT_MEMORY = 40  # an allocation failed
FAULT_PROGRAM = 41  # a condition that the program does not know
FAULT_WATCHDOG = 42  # the watchdog ended the run: a task was stuck
