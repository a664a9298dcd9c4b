"""The parameter set: what register bytes mean (SPEC.md section 5). RFC 8785 JSON (June 2020), integers and text only.

Strict: exactly the canonical bytes, unknown keys refused, every number in range, every reference to an analyzer,
block or status resolved. Nothing here computes a value; decoding.py does, with the dataclasses made here.

    parameters = parse_parameters(raw, record.parameters_hash)
    check_samples(record.body, parameters)
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import NoReturn

import rfc8785
from acqwire import calibration, causes, inputs, limits

from plumeproof.errors import ParametersError
from plumeproof.evidence.calibrations import Mark, read_mark
from plumeproof.evidence.loops import Loop, read_loop
from plumeproof.evidence.reader import Reader
from plumeproof.model import Samples

ORDERS = {
    "uint16": ("AB", "BA"),
    "int16": ("AB", "BA"),
    "uint32": ("ABCD", "CDAB", "BADC", "DCBA"),
    "int32": ("ABCD", "CDAB", "BADC", "DCBA"),
    "float32": ("ABCD", "CDAB", "BADC", "DCBA"),
    "float64": ("ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA"),
    "bit": ("AB",),
}
REGISTERS_OF_ORDER_BYTES = 2  # bytes of one register
CODES = ("F", "C", "S", "M")  # NAMUR NE 107: failure, check function, out of specification, maintenance; worst first
BIT_FUNCTIONS = (1, 2)  # read coils, read discrete inputs: Modbus Application Protocol V1.1b3
OWN_FUNCTIONS = (inputs.LEVELS_FUNCTION, inputs.COUNTERS_FUNCTION, inputs.COUNTS_FUNCTION)
REGISTER_FUNCTIONS = (3, 4)  # read holding registers, read input registers
STATUS_BITS_MAX = 64
TIMEOUT_MAX_MS = 60_000
RETRIES_MAX = 10
REVISION_MAX = 2**31 - 1
BAUDS = (1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 57_600, 115_200)


@dataclass(frozen=True, slots=True)
class Bus:
    """Serial settings of the analyzer bus."""

    baud: int
    parity: str
    stop_bits: int


@dataclass(frozen=True, slots=True)
class Analyzer:
    """One Modbus server; `unit` is its unit id. Unit 0: an instrument that is wired to the module's own inputs."""

    id: str
    profile: str
    profile_version: str
    unit: int
    timeout_ms: int
    retries: int


@dataclass(frozen=True, slots=True)
class Block:
    """One read request per slot. `analyzer`: index into analyzers. `width_bytes`: register bytes of one value.
    `is_confirmed`: on a bad line the module reads it twice."""

    analyzer: int
    function: int
    address: int
    quantity: int
    is_confirmed: bool = False

    @property
    def is_bits(self) -> bool:
        """Whether coils or discrete inputs are read (one bit each, LSB first)."""
        return self.function in BIT_FUNCTIONS

    @property
    def width_bytes(self) -> int:
        """Bytes that one answer carries (SPEC.md section 4.3)."""
        return (self.quantity + 7) // 8 if self.is_bits else 2 * self.quantity

    @property
    def bit_count(self) -> int:
        """Bits that can be named in it."""
        return self.quantity if self.is_bits else 16 * self.quantity


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """One measured quantity. `register`: offset in the block (type bit: bit number). value = number * scale + offset.

    `status`: index into statuses or None. `minimum`, `maximum` bound a value that can be valid.
    """

    id: str
    quantity: str
    block: int
    register: int
    type: str
    order: str
    scale: float
    offset: float
    unit: str
    minimum: float
    maximum: float
    status: int | None
    loop: Loop | None = None


@dataclass(frozen=True, slots=True)
class StatusBit:
    """A bit of the status block: where it equals `is_set`, `code` (F C S M) applies."""

    bit: int
    is_set: bool
    code: str


@dataclass(frozen=True, slots=True)
class StatusSpec:
    """Where the status of channels comes from. `block`: index into blocks."""

    id: str
    block: int
    bits: tuple[StatusBit, ...]


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """A complete parameter set; `parameters_hash` is the SHA-256 of its bytes."""

    parameters_hash: bytes
    revision: int
    device: str
    slot_ms: int
    seal_ms: int
    bus: Bus
    analyzers: tuple[Analyzer, ...]
    blocks: tuple[Block, ...]
    channels: tuple[ChannelSpec, ...]
    statuses: tuple[StatusSpec, ...]
    debounce_ms: int | None = None  # of own digital inputs; None: it uses no own inputs
    calibrations: tuple[Mark, ...] = ()


def parse_parameters(raw: bytes, expected_hash: bytes | None = None) -> ParameterSet:
    """Read the bytes of a parameter set; with `expected_hash` their SHA-256 must be that.

    Raises ParametersError: too_large, hash, json, not_canonical, format, key_missing, key_unknown, type, range,
    reference, double.
    """
    if len(raw) > limits.PARAMETERS_MAX_BYTES:
        raise ParametersError("too_large", f"{len(raw)} bytes, at most {limits.PARAMETERS_MAX_BYTES}")
    parameters_hash = hashlib.sha256(raw).digest()
    if expected_hash is not None and parameters_hash != expected_hash:
        raise ParametersError("hash", "other SHA-256 than the record names")
    top = Reader(_load(raw), "parameter set")
    if top.integer("format", 1, 2**31) != limits.PARAMETERS_FORMAT:
        raise ParametersError("format", f"format is not {limits.PARAMETERS_FORMAT}")
    analyzers = top.each("analyzers", 1, limits.ANALYZERS_MAX, _analyzer)
    blocks = top.each("blocks", 1, limits.BLOCKS_MAX, lambda reader: _block(reader, len(analyzers)))
    statuses = top.each("statuses", 0, limits.BLOCKS_MAX, lambda reader: _status(reader, blocks))
    channels = top.each("channels", 1, limits.CHANNELS_MAX, lambda reader: _channel(reader, blocks, len(statuses)))
    slot_ms = top.integer("slot_ms", limits.SLOT_MIN_MS, limits.SLOT_MAX_MS)
    found = ParameterSet(
        parameters_hash=parameters_hash,
        revision=top.integer("revision", 0, REVISION_MAX),
        device=_device(top),
        slot_ms=slot_ms,
        seal_ms=top.integer("seal_ms", slot_ms, limits.SEAL_MAX_MS),
        bus=_bus(top.inner("bus")),
        analyzers=analyzers,
        blocks=blocks,
        channels=channels,
        statuses=statuses,
        debounce_ms=_debounce(top.inner("inputs")) if "inputs" in top else None,
        calibrations=top.each(
            "calibrations", 1, calibration.MARKS_MAX, lambda reader: read_mark(reader, len(analyzers), blocks)
        )
        if "calibrations" in top
        else (),
    )
    top.done()
    _check_inputs(found)
    _check_single([analyzer.id for analyzer in analyzers], "analyzer id")
    _check_single([str(analyzer.unit) for analyzer in analyzers if analyzer.unit != inputs.UNIT], "unit id")
    _check_single([channel.id for channel in channels], "channel id")
    _check_single([status.id for status in statuses], "status id")
    return found


def check_samples(samples: Samples, parameters: ParameterSet) -> None:
    """Whether blocks, widths and slot distance of a samples record are those of its parameter set.

    Raises ParametersError (blocks, slot_ms, width).
    """
    if len(samples.blocks) != len(parameters.blocks):
        raise ParametersError("blocks", f"{len(samples.blocks)} blocks, parameter set has {len(parameters.blocks)}")
    if samples.slots.slot_ms != parameters.slot_ms:
        raise ParametersError("slot_ms", f"slots of {samples.slots.slot_ms} ms, parameter set has {parameters.slot_ms}")
    for index, (readings, block) in enumerate(zip(samples.blocks, parameters.blocks, strict=True)):
        if len(readings.data) != readings.outcomes.count(causes.VALUE) * block.width_bytes:
            raise ParametersError("width", f"block {index}: register bytes are not {block.width_bytes} a value")


def _refuse_number(text: str) -> NoReturn:
    raise ParametersError("type", f"number {text[:20]!r} is no integer")


def _load(raw: bytes) -> object:
    try:
        item = json.loads(raw.decode("utf-8"), parse_float=_refuse_number, parse_constant=_refuse_number)
        again = rfc8785.dumps(item)
    except (ValueError, RecursionError, rfc8785.CanonicalizationError) as fault:
        raise ParametersError("json", f"not readable as JSON: {type(fault).__name__}") from fault
    if again != raw:
        raise ParametersError("not_canonical", "other bytes than its RFC 8785 form")
    return item


def _device(reader: Reader) -> str:
    device = reader.text("device")
    if len(device) > limits.DEVICE_MAX_BYTES or not set(device) <= set(limits.DEVICE_CHARACTERS):
        raise ParametersError("range", "device is no device id")
    return device


def _bus(reader: Reader) -> Bus:
    bus = Bus(
        baud=reader.integer("baud", BAUDS[0], BAUDS[-1]),
        parity=reader.word("parity", ("N", "E", "O")),
        stop_bits=reader.integer("stop_bits", 1, 2),
    )
    if bus.baud not in BAUDS:
        raise ParametersError("range", f"{reader.where}: baud {bus.baud} is no usual rate")
    reader.done()
    return bus


def _analyzer(reader: Reader) -> Analyzer:
    return Analyzer(
        id=reader.identifier("id"),
        profile=reader.identifier("profile"),
        profile_version=reader.text("profile_version"),
        unit=reader.integer("unit", inputs.UNIT, limits.UNIT_MAX),
        timeout_ms=reader.integer("timeout_ms", 1, TIMEOUT_MAX_MS),
        retries=reader.integer("retries", 0, RETRIES_MAX),
    )


def _block(reader: Reader, analyzers: int) -> Block:
    function = reader.integer("function", 1, 4)
    quantity_max = limits.BITS_MAX if function in BIT_FUNCTIONS else limits.REGISTERS_MAX
    block = Block(
        analyzer=reader.index("analyzer", analyzers),
        function=function,
        address=reader.integer("address", 0, 0xFFFF),
        quantity=reader.integer("quantity", 1, quantity_max),
        is_confirmed="confirm" in reader and reader.integer("confirm", 1, 1) == 1,
    )
    if block.address + block.quantity > 0x10000:
        raise ParametersError("range", f"{reader.where}: reads beyond address 65535")
    return block


def _status(reader: Reader, blocks: tuple[Block, ...]) -> StatusSpec:
    block = reader.index("block", len(blocks))
    bits = reader.each("bits", 1, STATUS_BITS_MAX, lambda inner: _status_bit(inner, blocks[block]))
    return StatusSpec(id=reader.identifier("id"), block=block, bits=bits)


def _status_bit(reader: Reader, block: Block) -> StatusBit:
    return StatusBit(
        bit=reader.integer("bit", 0, block.bit_count - 1),
        is_set=bool(reader.integer("is", 0, 1)),
        code=reader.word("code", CODES),
    )


def _channel(reader: Reader, blocks: tuple[Block, ...], statuses: int) -> ChannelSpec:
    block = reader.index("block", len(blocks))
    kind = reader.word("type", tuple(ORDERS))
    order = reader.word("order", ORDERS[kind])
    if kind == "bit":
        register_max = blocks[block].bit_count - 1
    elif blocks[block].is_bits:
        raise ParametersError("reference", f"{reader.where}: type {kind} in a block of bits")
    else:
        register_max = blocks[block].quantity - len(order) // REGISTERS_OF_ORDER_BYTES
    channel = ChannelSpec(
        id=reader.identifier("id"),
        quantity=reader.text("quantity"),
        block=block,
        register=reader.integer("register", 0, register_max),
        type=kind,
        order=order,
        scale=reader.decimal("scale"),
        offset=reader.decimal("offset"),
        unit=reader.text("unit"),
        minimum=reader.decimal("min"),
        maximum=reader.decimal("max"),
        status=reader.index("status", statuses) if "status" in reader else None,
        loop=read_loop(reader.inner("loop")) if "loop" in reader else None,
    )
    if channel.loop is not None and kind == "bit":
        raise ParametersError("reference", f"{reader.where}: a loop of one bit")
    if channel.minimum > channel.maximum:
        raise ParametersError("range", f"{reader.where}: min is above max")
    return channel


def _debounce(reader: Reader) -> int:
    debounce_ms = reader.integer("debounce_ms", inputs.DEBOUNCE_MIN_MS, inputs.DEBOUNCE_MAX_MS)
    reader.done()
    return debounce_ms


def _check_inputs(found: ParameterSet) -> None:
    """Own inputs are said to be there exactly when an analyzer has their unit, and are read by their functions."""
    units = [analyzer.unit for analyzer in found.analyzers]
    if (inputs.UNIT in units) != (found.debounce_ms is not None):
        raise ParametersError("reference", "inputs and an analyzer with unit 0 go together: one is there alone")
    for index, block in enumerate(found.blocks):
        if units[block.analyzer] != inputs.UNIT:
            continue
        most = inputs.ANALOG_MAX if block.function == inputs.COUNTS_FUNCTION else inputs.DIGITAL_MAX
        if block.is_confirmed:
            raise ParametersError("range", f"blocks[{index}]: own inputs are not read twice, leave confirm out")
        if block.function not in OWN_FUNCTIONS or block.address + block.quantity > most:
            raise ParametersError("range", f"blocks[{index}]: no own inputs, or more than {most} of them")


def _check_single(names: list[str], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ParametersError("double", f"{what} {name!r} is there twice")
