"""Names of kinds, causes and codes for people: number and name. The numbers live in fields.py and causes.py; a test in
tests/contract/ compares. In a file of their own because the module needs none: it sends numbers.
"""

KIND_NAMES = (
    (1, "boot"),
    (2, "samples"),
    (3, "parameters"),
    (4, "time sync"),
    (5, "event"),
    (6, "overflow"),
    (7, "health"),
    (8, "calibration"),
    (9, "key change"),
)

UTC_NAMES = (
    (0, "none"),
    (1, "host"),
    (2, "attested"),
    (3, "holdover"),
    (4, "stepped"),
)

GAP_NAMES = (
    (1, "timeout"),
    (2, "crc"),
    (3, "mismatch"),
    (4, "length"),
    (5, "backoff"),
    (6, "overrun"),
    (7, "bus_fault"),
    (8, "unconfirmed"),
    (65, "exception_1_illegal_function"),
    (66, "exception_2_illegal_address"),
    (67, "exception_3_illegal_value"),
    (68, "exception_4_server_failure"),
    (69, "exception_5_acknowledge"),
    (70, "exception_6_busy"),
    (72, "exception_8_memory_parity"),
    (74, "exception_10_gateway_path"),
    (75, "exception_11_gateway_target"),
    (128, "overflow"),
    (129, "power_off"),
    (130, "hole"),
)

EVENT_NAMES = (
    (1, "journal_damage"),
    (2, "time_refused"),
    (3, "task_fault"),
    (4, "safe_mode"),
    (10, "input_edges"),
    (20, "update"),
)

UPDATE_RESULT_NAMES = (
    (1, "switched"),
    (2, "confirmed"),
    (3, "returned"),
    (4, "damaged"),
    (5, "refused"),
)

UPDATE_REASON_NAMES = (
    (0, "none"),
    (1, "order"),
    (2, "size"),
    (3, "document"),
    (4, "signature"),
    (5, "threshold"),
    (6, "root_version"),
    (7, "expired"),
    (8, "no_time"),
    (9, "product"),
    (10, "board"),
    (11, "version"),
    (12, "path"),
    (13, "files"),
    (14, "hash"),
    (15, "slow"),
    (16, "memory"),
    (17, "flash"),
    (18, "no_root"),
)

FAULT_NAMES = (
    (1, "bus_io"),
    (10, "flash_io"),
    (11, "flash_verify"),
    (12, "journal_full"),
    (13, "journal_too_large"),
    (14, "journal_geometry"),
    (20, "settings_missing"),
    (21, "settings_syntax"),
    (22, "settings_value"),
    (30, "signer"),
    (31, "element_silent"),
    (32, "element_garbled"),
    (33, "element_status"),
    (34, "element_refused"),
    (40, "memory"),
    (41, "program"),
    (42, "watchdog"),
)
