"""Integer keys of the record map, with type and unit. SPEC.md section 4; grammar: record.cddl.

Keys below 20 are in every record (those marked "absent" may be left out); the others belong to kinds.
A retired key stays listed and is never used again.
"""

# Every record
VERSION = 1  # uint        wire version
KIND = 2  # uint           record kind, KIND_* below
DEVICE = 3  # text         device id, 1..32 characters of a-z 0-9 . _ -
BOOT = 4  # uint           boot number, 32 bit, durable before the first record of a boot
SEQ = 5  # uint            record number, 64 bit, from 1, never restarts
PREV = 6  # bytes 32       content hash of record seq-1; 32 zero bytes for seq 1
MONO_MS = 7  # uint, ms    monotonic time since boot at sealing
UTC_MS = 8  # uint, ms     estimate of UTC at sealing since 1970-01-01; absent while UTC_STATUS is none
UTC_STATUS = 9  # uint     UTC_* below
UTC_UNC_MS = 10  # uint, ms  uncertainty of UTC_MS; absent with it
SYNC_SEQ = 11  # uint      seq of the time sync record that set the mapping; absent with UTC_MS
PARAMETERS_HASH = 12  # bytes 32  SHA-256 of the parameter set in force

# Samples and overflow
FIRST_SLOT = 20  # uint            number of the first slot, counted from 0 at each boot
SLOT_COUNT = 21  # uint            consecutive slots covered
SLOT_MS = 22  # uint, ms           planned distance of two slots
FIRST_SLOT_MONO_MS = 23  # uint, ms  planned monotonic time of the first slot
BLOCKS = 24  # array               one [outcomes, data] pair per block of the parameter set, in its order
RETRIES = 25  # uint               requests repeated inside these slots

# Boot
RESET_CAUSE = 30  # uint       RESET_* below
FIRMWARE_VERSION = 31  # text  release of the module's program
FIRMWARE_HASH = 32  # bytes 32  SHA-256 over the program's files, SPEC.md section 4.3
INTERPRETER = 33  # text       interpreter name, version and platform
JOURNAL_VERSION = 34  # uint   layout mounted
PUBLIC_KEY = 35  # bytes 65    SEC1 uncompressed point of the signing key
TORN_COUNT = 36  # uint        unfinished or unreadable journal entries seen by the mount
ELEMENT_COUNTER = 37  # uint   secure element's monotonic counter, counted at this start; absent where it is not used

# Parameters
PART_HASH = 40  # bytes 32  SHA-256 of the whole parameter set that is being carried
PART = 41  # uint           number of this part, from 0
PARTS = 42  # uint          how many parts
PART_BYTES = 43  # bytes    the part, at most limits.PARAMETERS_PART_BYTES

# Time sync
SYNC_HOST_UTC_MS = 50  # uint, ms     the gateway's claim
SYNC_HOST_UNC_MS = 51  # uint, ms     the gateway's own uncertainty
SYNC_NONCE = 52  # bytes 8            number made by the module for this exchange
SYNC_ROUND_TRIP_MS = 53  # uint, ms   measured by the module from nonce to claim
SYNC_STEP_MS = 54  # int, ms          new minus old UTC at this instant; absent for the first mapping
SYNC_DECISION = 55  # uint            SYNC_* below

# Event
EVENT_CODE = 60  # uint   causes.EVENT_*
EVENT_ARGS = 61  # array  integers, meaning by code

# Health (RESET_CAUSE as in the boot record); the rows and pairs: counts.py
HEALTH_ANALYZERS = 70  # array         one row of counters per analyzer of the parameter set, in its order
HEALTH_STRAY_BYTES = 71  # uint        bytes found on the bus that belonged to no answer
HEALTH_LINK = 72  # array              [good frames, dropped frames, frames for others]
HEALTH_JOURNAL = 73  # array           [torn entries at the mount, failed flash operations, records not acknowledged]
HEALTH_HEAP_FREE = 74  # uint, bytes   least free heap behind a collection so far; 0: not known

# Record kinds
KIND_BOOT = 1
KIND_SAMPLES = 2
KIND_PARAMETERS = 3
KIND_TIME_SYNC = 4
KIND_EVENT = 5
KIND_OVERFLOW = 6
KIND_HEALTH = 7
KIND_CALIBRATION = 8  # its fields: calibration.py
KIND_KEY_CHANGE = 9  # its fields: key_change.py

# UTC status
UTC_NONE = 0  # never set since boot
UTC_HOST = 1  # the gateway's word, recent
UTC_ATTESTED = 2  # bounded by a verifiable token
UTC_HOLDOVER = 3  # mapping older than limits.HOLDOVER_AFTER_S
UTC_STEPPED = 4  # the last sync moved UTC by more than limits.SLEW_MAX_MS

# Decision on a time sync
SYNC_FIRST = 1  # first mapping of this boot
SYNC_SLEWED = 2  # |step| <= limits.SLEW_MAX_MS: later records use the new mapping
SYNC_STEPPED = 3  # larger step, taken, status becomes stepped
SYNC_REFUSED = 4  # step over limits.STEP_MAX_MS or implausible date: mapping unchanged

# Reset cause
RESET_UNKNOWN = 0
RESET_POWER = 1
RESET_WATCHDOG = 2
RESET_WANTED = 3
