"""Locking an ATECC608 that comes open from the works. LOCKING IS FOR EVER: no command undoes it. Provisioning only.

A chip ex works has a slot 0 that fits (SlotConfig 83 20, KeyConfig 33 00), so nothing is written to its configuration:
it is read, judged and locked as it stands. The CRC of what was read goes along, and the chip refuses to lock another
configuration (ATECC508A complete data sheet, Microchip DS20005927A, Lock). Chips of the Trust Platform come locked.
"""

from acqwire import causes

from acq import atecc_packet as packet
from acq import atecc_zone as zones
from acq.faults import SignerFault

CONSENT = "lock for ever"
_LOCK_CONFIG = 0x00  # with a CRC of the zone
_LOCK_DATA = 0x81  # without: what is in the slots is secret


def lock_zones(start, slot: int, consent: str) -> None:
    """Lock configuration and data zone of a chip whose slot fits; start: atecc_start.ElementStart. Power failing within
    leaves one zone locked, and calling again goes on. Raises ValueError without consent, SignerFault."""
    if consent != CONSENT:
        raise ValueError("locking needs the words: " + CONSENT)
    reason = zones.refusal_of_slot(start.zone, slot)
    if reason:
        raise SignerFault(causes.FAULT_ELEMENT_REFUSED, reason)
    if zones.refusal(start.zone, slot) == zones.REFUSED_OPEN_CONFIG:
        summary = packet.crc16(start.zone, 0, zones.ZONE_BYTES)
        start.run(packet.Command(packet.LOCK, _LOCK_CONFIG, summary))
        start.read_zone()
    if zones.refusal(start.zone, slot) == zones.REFUSED_OPEN_DATA:
        start.run(packet.Command(packet.LOCK, _LOCK_DATA, 0))
        start.read_zone()
    reason = zones.refusal(start.zone, slot)
    if reason:
        raise SignerFault(causes.FAULT_ELEMENT_REFUSED, reason)
