"""What the 128 bytes of an ATECC608's configuration zone say about the slot that holds the module's key.

Sources: ATECC508A complete data sheet (Microchip DS20005927A), configuration zone, which the ATECC608 keeps; bit names
by Microchip's cryptoauthlib (lib/atca_device.h). A chip is refused rather than used where its key could be read, could
have come from outside, or could stop signing one day. SECURE_ELEMENT.md says what to do about each refusal.
"""

from acq.dialect import const

ZONE_BYTES = 128
LOCKED = 0x00  # of a lock byte; 0x55: open

REFUSED_CHIP = 1  # neither an ATECC508 nor an ATECC608
REFUSED_OPEN_CONFIG = 2  # the configuration zone is not locked
REFUSED_OPEN_DATA = 3  # the data zone is not locked
REFUSED_KEY_KIND = 4  # the slot is not for a private P-256 key
REFUSED_READABLE = 5  # IsSecret is off, or EncryptRead on
REFUSED_WRITABLE = 6  # a key made elsewhere may be written to it (PrivWrite)
REFUSED_NO_SIGN = 7  # it may not sign digests made outside the chip
REFUSED_LIMITED = 8  # its use is counted, or needs an authorisation
REFUSED_NO_PUBLIC = 9  # the public key may not be asked for
REFUSED_PERMANENT = 10  # of making a key: the slot's key cannot be replaced
REFUSED_HAS_KEY = 11  # of making a key: there is one already

_REVISION = const(6)  # 0x50 or 0x60
_SLOT_CONFIG = const(20)  # 16 x 2 bytes, low byte first
_LOCK_DATA = const(86)
_LOCK_CONFIG = const(87)
_SLOT_LOCKED = const(88)  # 2 bytes, low byte first; a cleared bit is a locked slot
_KEY_CONFIG = const(96)  # 16 x 2 bytes, low byte first

_SIGN_OUTSIDE = const(0x0001)  # SlotConfig of a private key: ReadKey bit 0
_LIMITED_USE = const(0x0020)
_ENCRYPT_READ = const(0x0040)
_IS_SECRET = const(0x0080)
_GENKEY = const(0x2000)  # WriteConfig bit 1: GenKey may make a new key
_PRIV_WRITE = const(0x4000)  # WriteConfig bit 2

_PRIVATE = const(0x0001)  # KeyConfig
_PUBLIC = const(0x0002)
_KIND_MASK = const(0x001C)
_KIND_P256 = const(0x0010)
_LOCKABLE = const(0x0020)
_NEEDS_AUTHORISATION = const(0x0080)
_PERSISTENT_DISABLE = const(0x1000)


def serial(zone) -> bytes:
    """The chip's serial number, 9 bytes."""
    return bytes(zone[0:4]) + bytes(zone[8:13])


def revision(zone) -> bytes:
    """4 bytes, as Info tells them."""
    return bytes(zone[4:8])


def refusal(zone, slot: int) -> int:
    """REFUSED_*, or 0: the chip can hold the module's key in this slot."""
    if zone[_LOCK_CONFIG] != LOCKED:
        return refusal_of_slot(zone, slot) or REFUSED_OPEN_CONFIG
    if zone[_LOCK_DATA] != LOCKED:
        return refusal_of_slot(zone, slot) or REFUSED_OPEN_DATA
    return refusal_of_slot(zone, slot)


def refusal_of_slot(zone, slot: int) -> int:
    """As `refusal`, without a look at the locks: whether locking this chip would make it usable."""
    if zone[_REVISION] not in (0x50, 0x60):
        return REFUSED_CHIP
    rights, kind = _word(zone, _SLOT_CONFIG, slot), _word(zone, _KEY_CONFIG, slot)
    if not kind & _PRIVATE or kind & _KIND_MASK != _KIND_P256:
        return REFUSED_KEY_KIND
    if not rights & _IS_SECRET or rights & _ENCRYPT_READ:
        return REFUSED_READABLE
    if rights & _PRIV_WRITE:
        return REFUSED_WRITABLE
    if not rights & _SIGN_OUTSIDE:
        return REFUSED_NO_SIGN
    if rights & _LIMITED_USE or kind & (_NEEDS_AUTHORISATION | _PERSISTENT_DISABLE):
        return REFUSED_LIMITED
    return 0 if kind & _PUBLIC else REFUSED_NO_PUBLIC


def is_permanent(zone, slot: int) -> bool:
    """Nobody can put another key in the place of the slot's key."""
    is_locked = not _word(zone, _SLOT_LOCKED, 0) >> slot & 1
    return is_locked or not _word(zone, _SLOT_CONFIG, slot) & _GENKEY


def is_lockable(zone, slot: int) -> bool:
    """The slot can be locked by itself."""
    return bool(_word(zone, _KEY_CONFIG, slot) & _LOCKABLE)


def _word(zone, start: int, slot: int) -> int:
    return zone[start + 2 * slot] | zone[start + 2 * slot + 1] << 8
