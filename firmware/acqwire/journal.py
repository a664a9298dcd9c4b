"""Numbers of the journal layout on the module's flash. SPEC.md section 6.

Shared with tools that explain a flash image; the bridge does not use them. All numbers are big-endian.
"""

LAYOUT_VERSION = 1  # written
LAYOUT_VERSION_OLDEST = 1  # still mounted
SEGMENT_MIN_BYTES = 8192  # a segment is this many bytes or one erase sector, whichever is larger
SEGMENTS_MIN = 4

SEGMENT_MAGIC = b"PPJS"
SEGMENT_FORMAT = ">4sBBHIQI"  # magic, layout version, 0, 0, segment number, first seq, CRC-32 of these
SEGMENT_HEADER_BYTES = 24  # padded with 0xFF to one program unit

ENTRY_MAGIC = b"PPJE"
ENTRY_FORMAT = (
    ">4sBBHIQI32sI"  # magic, layout version, kind, 0, envelope bytes, seq, boot, content hash, CRC-32 of these
)
ENTRY_HEADER_BYTES = 60
ENTRY_CRC_BYTES = 4  # CRC-32 of the envelope, directly behind it
COMMIT_MARKER = b"PPOK"  # last four bytes of the entry's last program unit, which is programmed after all others
