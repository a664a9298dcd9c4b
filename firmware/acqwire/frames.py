"""Link frames between gateway and module. SPEC.md section 2.

The gateway asks, the module answers. A frame is header, body and CRC-32, encoded by COBS and closed by one
zero byte. All numbers are big-endian. Answers repeat address and number of the question.
"""

FRAME_MAX_BYTES = 4608  # header + body + CRC, before COBS
HEADER_BYTES = 4  # wire version, address, type, number: one byte each
CRC_BYTES = 4  # CRC-32 of IEEE 802.3 (binascii.crc32; polynomial 0x04C11DB7, reflected) of header and body, big-endian
DELIMITER = 0  # COBS delimiter
WINDOW_MAX = 8  # record frames in answer to one FETCH
ADDRESS_MIN = 1
ADDRESS_MAX = 247
PARTIAL_MAX_MS = 2000  # an unfinished frame older than this is dropped
UPDATE_PIECE_BYTES = 512  # at most, of one UPDATE_DATA
NONCE_BYTES = 8
NONCE_VALID_MS = 2000  # a TIME_SET later than this after its TIME_NONCE is not taken

# Gateway -> module                body
HELLO = 0x01  #                    oldest u8, newest u8 wire version understood
FETCH = 0x02  #                    from seq u64, window u8
ACKNOWLEDGE = 0x03  #              seq u64, content hash 32
TIME_ASK = 0x04  #                 empty
TIME_SET = 0x05  #                 nonce 8, UTC ms u64, uncertainty ms u32
UPDATE_ASK = 0x06  #               empty
UPDATE_BEGIN = 0x07  #             roots bytes u32, manifest bytes u32, total bytes u32
UPDATE_DATA = 0x08  #              offset u32, a piece of 1..UPDATE_PIECE_BYTES
UPDATE_END = 0x09  #               SHA-256 of the manifest 32
FAULTS_ASK = 0x0A  #               empty

# Module -> gateway                body
WELCOME = (
    0x81  #                  wire version u8, boot u32, oldest seq u64, newest seq u64, newest hash 32, kid 16, device
)
RECORD = 0x82  #                   seq u64, content hash 32, envelope
END = 0x92  #                      oldest seq u64, newest seq u64 (0, 0: empty); closes the answer to FETCH
MISSING = 0xA2  #                  first seq u64, last seq u64 that the journal can no longer read
RELEASED = 0x83  #                 result u8 (RELEASE_*), oldest seq u64 still kept, newest seq u64
TIME_NONCE = 0x84  #               nonce 8
TIME_TAKEN = 0x85  #               decision u8 (fields.SYNC_*; 0: nonce unknown), round trip ms u32
UPDATE_STATE = 0x86  #             phase u8, reason u8 (update.*), next offset u32, slot u8, is trial u8, version u32
FAULTS = 0x87  #                   the last faults, life.FAULT_FORMAT x life.FAULTS_MAX at most
BUSY = 0x8E  #                     wait ms u16, then ask again
REFUSED = 0x8F  #                  reason u8 (REFUSE_*), oldest u8, newest u8 wire version

RELEASE_DONE = 0
RELEASE_UNKNOWN_SEQ = 1
RELEASE_WRONG_HASH = 2

REFUSE_VERSION = 1
REFUSE_TYPE = 2
REFUSE_BODY = 3
