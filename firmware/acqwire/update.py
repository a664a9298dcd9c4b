"""Numbers of the module's update: documents, limits, the record of choice. SPEC.md section 8.

Shared with tools/release/, which makes what the module checks. All numbers are big-endian.
"""

PRODUCT = "plumeproof-module"
FORMAT = 1  # of both documents; the factory's loader reads this one for ever

# Document: head, signatures in ascending order of kid, signed bytes (RFC 8785 JSON), nothing behind them
ROOT_MAGIC = b"PPRT"
RELEASE_MAGIC = b"PPRL"
DOCUMENT_HEAD_FORMAT = ">4sBBH"  # magic, format, number of signatures, bytes that are signed
DOCUMENT_HEAD_BYTES = 8
SIGNATURE_BYTES = 80  # kid 16, r || s 64
ROOT_CONTEXT = b"plumeproof root 1\x00"  # goes before the signed bytes into SHA-256: a root signature signs no release
RELEASE_CONTEXT = b"plumeproof release 1\x00"

SIGNATURES_MAX = 16  # a threshold of two sets of keys
ROOT_MAX_BYTES = 4096
ROOTS_MAX = 8  # documents between the factory's root and the newest
ROOT_KEYS_MAX = 8
THRESHOLD_MIN = 2
MANIFEST_MAX_BYTES = 16384
FILES_MAX = 128
FILE_MAX_BYTES = 65536
TOTAL_MAX_BYTES = 1048576  # all files of a release; a board may have less room
PATH_MAX_BYTES = 64
PATH_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789_"  # of a folder's or a file's name, without its ending
FOLDERS = ("acq", "acqwire", "boards")
ENDINGS = ("py", "mpy")
VERSION_MAX = 2147483647
SECONDS_MAX = 4102444800  # 2100-01-01T00:00Z

IDLE_MAX_MS = 60000  # without a further piece: dropped
TRANSFER_MAX_MS = 3600000  # from UPDATE_BEGIN to UPDATE_END, however steadily it trickles: dropped
TRIALS = 3  # starts of a program that is not confirmed
TRIAL_MAX_MS = 1800000  # a trial without an acknowledgement ends by a restart

# Places
FACTORY = 0  # the program that the board was flashed with
SLOT_A = 1
SLOT_B = 2
INCOMING = 3  # roots and manifest while they are checked
ROOTS_NAME = "roots.bin"  # in a slot, beside the program: root documents, oldest first
MANIFEST_NAME = "manifest.bin"

# Record of choice, two copies; the valid one with the higher generation counts
CHOICE_MAGIC = b"PPCH"
CHOICE_FORMAT = ">4sBBBBIIIIIQI16sIIQI16sBBBxI32s32sI"
# magic, layout, slot, state, trials left, generation, version of the slot, version of the slot to return to; confirmed:
# newest version, floor, latest issue s, root version, kid of the release key that set them; the same five as they will
# be when the trial is confirmed; slot to return to; to be told: RESULT_*, REASON_*, version, hash of the old and of the
# new program; CRC-32 of all before it
CHOICE_LAYOUT = 1
CHOICE_BYTES = 168
STATE_CONFIRMED = 0
STATE_TRIAL = 1

# Phase in UPDATE_STATE
PHASE_IDLE = 0
PHASE_HEAD = 1  # roots and manifest are awaited
PHASE_CHECKING = 2  # their signatures are being verified, or files read back: ask again
PHASE_FILES = 3
PHASE_READY = 4  # every file is there and right: UPDATE_END switches
PHASE_SWITCHED = 5  # the next start tries the new program
PHASE_REFUSED = 6

# Result in the event
RESULT_SWITCHED = 1
RESULT_CONFIRMED = 2
RESULT_RETURNED = 3
RESULT_DAMAGED = 4  # what was chosen did not verify at a start
RESULT_REFUSED = 5

# Reason of a refusal, in UPDATE_STATE and in the event
REASON_NONE = 0
REASON_ORDER = 1  # not the moment: nothing begun, not ready, trial under way
REASON_SIZE = 2  # larger than a limit or than the board's room
REASON_DOCUMENT = 3  # no document of this format, or its content is not allowed
REASON_SIGNATURE = 4  # a signature that does not verify
REASON_THRESHOLD = 5  # too few signatures of the keys that count
REASON_ROOT_VERSION = 6  # a step in the roots is missing, or they end before the newest known
REASON_EXPIRED = 7
REASON_NO_TIME = 8  # the module has no UTC: set the time first
REASON_PRODUCT = 9
REASON_BOARD = 10  # other board or .mpy version
REASON_VERSION = 11  # older than the newest confirmed version or than the floor
REASON_PATH = 12
REASON_FILES = 13  # list of files: unsorted, repeated, too many, no main program
REASON_HASH = 14  # a file, or the set of files, is not what the manifest says
REASON_SLOW = 15
REASON_MEMORY = 16
REASON_FLASH = 17
REASON_NO_ROOT = 18  # the board was made without root keys
