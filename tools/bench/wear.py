"""How long each board's flash lasts under the journal, and how many hours it holds without a gateway.

Sizes come from the module's own builder and sealer with the demo's parameter set; erases, programs and what fits are
counted while the module's own journal runs on a flash of the board's geometry: filled until there is no room, released,
then once more round. Cycles and nothing else are taken from data sheets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from acqwire import fields, limits

from tools.bench.figures import Figure
from tools.powercuts.flash import Flash, Geometry  # puts the firmware on the path, so it stands before acq

# isort: split
from acq.batch import Batch, capacity
from acq.chain import Chain
from acq.cose import Sealer
from acq.journal import Journal
from acq.record import RecordBuilder, Stamp
from acq.settings import read_plan
from tools.demo.layout import ANALYZERS, MODULES
from tools.parameters import compose, parse_choice

SEAL_MS = 60_000
SLOTS_MS = (1000, 10_000)
CYCLES = 100_000  # data sheets of W25Q16 to W25Q128 and of the GD25Q parts on ESP32 modules: erases of a sector
SMALL_A_DAY = 24 + 144  # health each hour; time syncs at the gateway's default of 600 s
SMALL_BYTES = 512  # sealing.py: more than any time sync or event envelope
DAY_S, YEAR_DAYS = 86_400, 365.25
KIB = 1024


@dataclass(frozen=True, slots=True)
class Region:
    """The journal's region of a board: where its figures come from is the board file's docstring."""

    name: str
    bytes: int
    unit: int


# boards/: esp32_partitions_4mb.csv; rp2_chip.py (two sizes of part); spi_nor.py with a whole W25Q128
REGIONS = (
    Region("esp32_4mib", 1536 * KIB, 16),
    Region("pico_2mib", 1024 * KIB, 256),
    Region("pico2_4mib", 2688 * KIB, 256),
    Region("rp2_16mib", 15 * KIB * KIB, 256),
    Region("stm32_w25q128", 16 * KIB * KIB, 256),
)
STEPS = len(REGIONS) * len(SLOTS_MS)


@dataclass(frozen=True, slots=True)
class Worn:
    """Of the full ring the samples records it holds; then over one lap: samples records, erases of a sector on average,
    how much more often than another one a sector was erased at most, bytes programmed."""

    held: int
    records: int
    erases: float
    unevenness: int
    programmed: int


class _Signer:
    """Signs nothing; a signature has 64 bytes whoever makes it."""

    kid = bytes(limits.KID_BYTES)
    signature = bytes(limits.SIGNATURE_BYTES)

    def begin(self, digest: bytes) -> None:
        pass

    def step(self) -> bool:
        return True


def samples_bytes(slot_ms: int) -> tuple[int, int]:
    """(slots of a record, bytes of its envelope) with the demo's parameter set, every slot a value."""
    device = MODULES[0]
    raw_set = compose(device, [parse_choice(text) for text in ANALYZERS], slot_ms, SEAL_MS)
    plan = read_plan(raw_set, b'{"link_address": 1}')
    slots = capacity(plan.blocks, max(1, plan.seal_ms // plan.slot_ms))
    batch = Batch(plan.blocks, slots, plan.slot_ms)
    batch.begin(1_000_000)
    source = bytes(256)
    for _ in range(slots):
        for k, block in enumerate(plan.blocks):
            batch.put_value(k, source, 0, block.width_bytes)
        batch.slot_count += 1
    stamp = Stamp()
    stamp.mono_ms, stamp.utc_status, stamp.utc_ms = 10**10, fields.UTC_HOST, 1_796_083_200_000
    stamp.utc_unc_ms, stamp.sync_seq = 105, 999_000
    sealer = Sealer(_Signer())
    builder = RecordBuilder(sealer.payload, plan.device, plan.hash)
    sealer.begin(builder.build_samples(Chain(1_000_000, 9, bytes(limits.HASH_BYTES)), stamp, batch))
    while not sealer.step():
        pass
    return slots, len(sealer.envelope())


def wear(region: Region, period_s: float, envelope_bytes: int) -> Worn:
    """Run the journal of this region through two fillings; samples and small records in the proportion of a day."""
    flash = Flash(Geometry(region.bytes // 4096, 4096, region.unit))
    journal = Journal(flash)
    journal.mount()
    small_each = DAY_S / period_s / SMALL_A_DAY  # samples records for one small record
    envelopes = (bytes(envelope_bytes), bytes(SMALL_BYTES))
    owed = 0.0
    seq = samples = 0

    def append(envelope: bytes) -> None:
        nonlocal seq
        seq += 1
        journal.append(fields.KIND_SAMPLES, seq, 1, seq.to_bytes(limits.HASH_BYTES), envelope)

    def work(is_over: Callable[[], bool]) -> None:
        nonlocal owed, samples
        while not is_over():
            append(envelopes[0])
            samples += 1
            owed += 1 / small_each
            while owed >= 1 and not is_over():
                append(envelopes[1])
                owed -= 1

    work(lambda: not journal.has_room(envelope_bytes, False))
    held = samples
    journal.release(seq, journal.head_hash)
    counted = _Counting(flash)
    samples = 0
    lap = held + held // 50
    while samples < lap:
        work(lambda until=samples + 1: samples >= until)
        journal.release(seq, journal.head_hash)
        journal.prepare()
    numbers = [counted.erases[sector] for sector in range(flash.sector_count)]
    erases = sum(numbers) / len(numbers)
    return Worn(held, samples, erases, max(numbers) - min(numbers), counted.programmed)


class _Counting:
    """Counts what the flash is asked to do, without keeping its images."""

    def __init__(self, flash: Flash) -> None:
        self.erases: Counter[int] = Counter()
        self.programmed = 0
        self._erase, self._program = flash.erase, flash.program
        flash.erase, flash.program = self.erase, self.program  # type: ignore[method-assign]

    def erase(self, sector: int) -> None:
        self.erases[sector] += 1
        self._erase(sector)

    def program(self, offset: int, buf) -> None:
        self.programmed += len(buf)
        self._program(offset, buf)


def measure(is_quick: bool, tick: Callable[[str], None]) -> list[Figure]:
    """For each region and slot: hours held, laps a day, years, bytes programmed for each byte of envelope."""
    figures = []
    for slot_ms in SLOTS_MS:
        slots, envelope_bytes = samples_bytes(slot_ms)
        period_s = slots * slot_ms / 1000
        name = f"slot_{slot_ms // 1000}s"
        beside = f"{slots} slots, one each {period_s:g} s"
        figures.append(Figure(f"record_bytes_{name}", envelope_bytes, "bytes", beside))
        for region in REGIONS[:2] if is_quick else REGIONS:
            tick(f"{region.name} {name}")
            worn = wear(region, period_s, envelope_bytes)
            days = worn.records * period_s / DAY_S
            erases_a_day = worn.erases / days
            key = f"{region.name}_{name}"
            where = f"{region.bytes // KIB:,} KiB, units of {region.unit}"
            figures += [
                Figure(f"hours_held_{key}", round(worn.held * period_s / 3600, 1), "h", where),
                Figure(
                    f"laps_a_day_{key}",
                    round(erases_a_day, 4),
                    "erases of a sector a day",
                    f"evenly but for {worn.unevenness}",
                ),
                Figure(f"years_{key}", round(CYCLES / erases_a_day / YEAR_DAYS), "years", f"{CYCLES:,} erases"),
                Figure(
                    f"programmed_{key}",
                    round(worn.programmed / (worn.records * envelope_bytes + _small(days)), 3),
                    "bytes a byte of envelope",
                ),
            ]
    return figures


def _small(days: float) -> float:
    return days * SMALL_A_DAY * SMALL_BYTES
