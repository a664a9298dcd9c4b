"""Instruction counts on the emulated part: `import counting; counting.run(DIRECTORY)` prints `name ticks` a line.

A tick is 40 instructions with `-icount shift=0`. Garbage is collected before each, and inside where the heap asks for
it: that belongs to the price. The parameter set is the directory's, the records are as full as they may be.
"""

import gc

import mps2
import signing
from acqwire import fields

from acq.batch import Batch, capacity
from acq.chain import Chain
from acq.cose import Sealer
from acq.journal import Journal
from acq.modbus.crc16 import crc16
from acq.record import RecordBuilder, Stamp
from acq.settings import read_plan
from acq.soft_signer import SoftSigner
from boards.cortex_mps2 import MpsFlash

SECRET = bytes.fromhex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")  # published: RFC 6979 A.2.5
ADU_BYTES = 255  # the longest answer: 125 registers


def tell(name, start):
    print(name, mps2.cycles() - start)


def run(directory, flash_bytes):
    """sign, verify, crc, encode, seal, mount; `payload BYTES` of the record, `records COUNT` of the journal mounted."""
    mps2.start()
    signer = SoftSigner(SECRET)
    sign, verify = signing.count(signer, 5)
    print("sign", sign)
    print("verify", verify)
    plan = read_plan(mps2.file_read(directory + "/parameters.json", 0, 65536), b'{"link_address": 1}')
    flash = MpsFlash(directory + "/flash.bin", flash_bytes)
    sealer = Sealer(signer)
    count_crc()
    batch = fill_batch(plan)
    builder = RecordBuilder(sealer.payload, plan.device, plan.hash)
    stamp = Stamp()
    stamp.utc_status, stamp.utc_ms, stamp.utc_unc_ms, stamp.sync_seq = fields.UTC_HOST, 1796083200000, 105, 3
    chain = Chain(0, 0, b"")
    gc.collect()
    start = mps2.cycles()
    count = builder.build_samples(chain, stamp, batch)
    tell("encode", start)
    print("payload", count)
    journal = Journal(flash)
    journal.mount()
    gc.collect()
    start = mps2.cycles()
    sealer.begin(builder.build_samples(chain, stamp, batch))
    while not sealer.step():
        pass
    journal.append(fields.KIND_SAMPLES, chain.seq, chain.boot, sealer.content_hash, sealer.envelope())
    tell("seal", start)
    fill_journal(journal, chain.seq, chain.boot, sealer)
    count_mount(flash)


def count_crc():
    buf = bytearray(ADU_BYTES)
    gc.collect()
    start = mps2.cycles()
    crc16(buf, 0, ADU_BYTES)
    tell("crc", start)


def fill_batch(plan):
    """As many slots as a record can hold for certain, each block a value."""
    batch = Batch(plan.blocks, capacity(plan.blocks, 60), plan.slot_ms)
    source = bytes(range(250))
    batch.begin(0)
    while batch.slot_count < batch.slots_max:
        for number, block in enumerate(plan.blocks):
            batch.put_value(number, source, 0, block.width_bytes)
        batch.slot_count += 1
    return batch


def fill_journal(journal, seq, boot, sealer):
    """The same envelope again and again, until nothing fits any more."""
    envelope = sealer.envelope()
    while journal.has_room(len(envelope), False):
        seq += 1
        journal.append(fields.KIND_SAMPLES, seq, boot, sealer.content_hash, envelope)


def count_mount(flash):
    journal = Journal(flash)
    gc.collect()
    start = mps2.cycles()
    journal.mount()
    tell("mount", start)
    print("records", journal.newest_seq - journal.oldest_seq + 1)
