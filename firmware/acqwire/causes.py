"""Gap causes, module fault codes and event codes: number and name. SPEC.md sections 4.4 and 4.7.

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
GAP_EXCEPTION = 64  # + exception code 1..11 of the Modbus Application Protocol V1.1b3 section 7
GAP_OVERFLOW = 128  # found by the gateway: slot covered by an overflow record
GAP_POWER_OFF = 129  # found by the gateway: between last record of a boot and the next boot record
GAP_HOLE = 130  # found by the gateway: record missing from the chain

GAP_NAMES = (
    (GAP_TIMEOUT, "timeout"),
    (GAP_CRC, "crc"),
    (GAP_MISMATCH, "mismatch"),
    (GAP_LENGTH, "length"),
    (GAP_BACKOFF, "backoff"),
    (GAP_OVERRUN, "overrun"),
    (GAP_BUS_FAULT, "bus_fault"),
    (GAP_EXCEPTION + 1, "exception_1_illegal_function"),
    (GAP_EXCEPTION + 2, "exception_2_illegal_address"),
    (GAP_EXCEPTION + 3, "exception_3_illegal_value"),
    (GAP_EXCEPTION + 4, "exception_4_server_failure"),
    (GAP_EXCEPTION + 5, "exception_5_acknowledge"),
    (GAP_EXCEPTION + 6, "exception_6_busy"),
    (GAP_EXCEPTION + 8, "exception_8_memory_parity"),
    (GAP_EXCEPTION + 10, "exception_10_gateway_path"),
    (GAP_EXCEPTION + 11, "exception_11_gateway_target"),
    (GAP_OVERFLOW, "overflow"),
    (GAP_POWER_OFF, "power_off"),
    (GAP_HOLE, "hole"),
)

# Events (record kind event); arguments in brackets
EVENT_JOURNAL_DAMAGE = 1  # [first seq, last seq] entries of the journal that can no longer be read
EVENT_TIME_REFUSED = 2  # [step ms] a time sync that would have moved UTC too far
EVENT_TASK_FAULT = 3  # [FAULT_*, count] the program met a condition it does not know
EVENT_NAMES = (
    (EVENT_JOURNAL_DAMAGE, "journal_damage"),
    (EVENT_TIME_REFUSED, "time_refused"),
    (EVENT_TASK_FAULT, "task_fault"),
)

# Module faults: code carried by BusError, JournalError, SettingsError
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
FAULT_NAMES = (
    (FAULT_BUS_IO, "bus_io"),
    (FAULT_FLASH_IO, "flash_io"),
    (FAULT_FLASH_VERIFY, "flash_verify"),
    (FAULT_JOURNAL_FULL, "journal_full"),
    (FAULT_JOURNAL_TOO_LARGE, "journal_too_large"),
    (FAULT_JOURNAL_GEOMETRY, "journal_geometry"),
    (FAULT_SETTINGS_MISSING, "settings_missing"),
    (FAULT_SETTINGS_SYNTAX, "settings_syntax"),
    (FAULT_SETTINGS_VALUE, "settings_value"),
    (FAULT_SIGNER, "signer"),
)
