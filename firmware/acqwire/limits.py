"""Every maximum that both sides must know. SPEC.md names the reason of each; a test sits at each limit."""

# Records and envelopes
RECORD_MAX_BYTES = 4096  # payload
STRING_MAX_BYTES = 2048  # one byte string inside a payload
TEXT_MAX_BYTES = 256  # one text string inside a payload
DEPTH_MAX = 8  # nesting of a payload
ENTRIES_MAX = 256  # entries of one array or map
PROTECTED_MAX_BYTES = 128  # protected bucket
ENVELOPE_MAX_BYTES = 4224  # RECORD_MAX_BYTES + protected, kid, signature and heads
HASH_BYTES = 32  # SHA-256
SIGNATURE_BYTES = 64  # r || s
KID_BYTES = 16  # first bytes of SHA-256 over the SEC1 uncompressed public key
PUBLIC_KEY_BYTES = 65  # SEC1 uncompressed point
DEVICE_MAX_BYTES = 32  # device id
DEVICE_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789._-"

# Parameter set
PARAMETERS_MAX_BYTES = 16384
PARAMETERS_PART_BYTES = 2048
PARAMETERS_FORMAT = 1
ANALYZERS_MAX = 32
BLOCKS_MAX = 64
CHANNELS_MAX = 250
SLOT_MIN_MS = 100
SLOT_MAX_MS = 3600000
SEAL_MAX_MS = 3600000
SLOTS_PER_RECORD_MAX = 2048  # outcomes are one byte string

# Modbus RTU (MODBUS over Serial Line V1.02, Application Protocol V1.1b3)
ADU_MAX_BYTES = 256
ADU_MIN_BYTES = 4
REGISTERS_MAX = 125
BITS_MAX = 2000
UNIT_MIN = 1  # 0 stands for the module's own inputs, in parameter sets that have `inputs`
UNIT_MAX = 247

# Time
SLEW_MAX_MS = 500  # larger corrections are steps
STEP_MAX_MS = 3600000  # larger steps need an operator or attested time: refused here
HOLDOVER_AFTER_S = 3600  # a mapping older than this is holdover
DRIFT_PPM = 50  # assumed drift of the module's clock
UTC_PLAUSIBLE_FROM_MS = 1767225600000  # 2026-01-01T00:00Z: no release is older
UTC_PLAUSIBLE_UNTIL_MS = 4102444800000  # 2100-01-01T00:00Z
