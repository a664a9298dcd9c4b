"""settings.json and the parameter set, read once at the start and checked completely (SPEC.md section 5).

The parameter set is hashed over its bytes as they are; the module reads only what it needs to poll. What the numbers
mean is the gateway's business. Anything doubtful is refused with code and key: a module that does not start is seen,
one that polls something else is not. Nothing keeps a reference to this file: main.py drops it after use.
"""

import hashlib
import json

from acqwire import causes, frames, limits

from acq.batch import capacity
from acq.faults import SettingsError
from acq.modbus.pdu import READ_COILS, READ_DISCRETE_INPUTS, READ_INPUT_REGISTERS, data_bytes
from acq.plan import Analyzer, Block, Plan

_BAUDS = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)  # as the gateway's reader knows them
_TIMEOUT_MAX_MS = 60000
_RETRIES_MAX = 10
_DEPTH_MAX = 16


def read_plan(parameters: bytes, settings: bytes) -> Plan:
    """The plan of both files. Raises SettingsError."""
    plan = _read_parameters(parameters)
    top = _parse(settings, "settings")
    for key in top:
        if key != "link_address":
            raise SettingsError(causes.FAULT_SETTINGS_VALUE, "settings." + key)
    plan.link_address = _integer(top, "settings.link_address", frames.ADDRESS_MIN, frames.ADDRESS_MAX)
    return plan


def _read_parameters(raw: bytes) -> Plan:
    if not 0 < len(raw) <= limits.PARAMETERS_MAX_BYTES:
        raise SettingsError(causes.FAULT_SETTINGS_VALUE, "parameters")
    top = _parse(raw, "parameters")
    if _value(top, "parameters.format") != limits.PARAMETERS_FORMAT:
        raise SettingsError(causes.FAULT_SETTINGS_VALUE, "parameters.format")
    plan = Plan(len(raw), hashlib.sha256(raw).digest())
    plan.device = _value(top, "parameters.device")
    if not isinstance(plan.device, str) or not 1 <= len(plan.device) <= limits.DEVICE_MAX_BYTES:
        raise SettingsError(causes.FAULT_SETTINGS_VALUE, "parameters.device")
    for character in plan.device:
        if character not in limits.DEVICE_CHARACTERS:
            raise SettingsError(causes.FAULT_SETTINGS_VALUE, "parameters.device")
    plan.slot_ms = _integer(top, "parameters.slot_ms", limits.SLOT_MIN_MS, limits.SLOT_MAX_MS)
    plan.seal_ms = _integer(top, "parameters.seal_ms", plan.slot_ms, limits.SEAL_MAX_MS)
    _read_bus(plan, _value(top, "parameters.bus"))
    minimum = 0 if "inputs" in top else limits.UNIT_MIN
    plan.analyzers = [
        _read_analyzer(item, minimum) for item in _list(top, "parameters.analyzers", limits.ANALYZERS_MAX)
    ]
    count = len(plan.analyzers)
    plan.blocks = [_read_block(item, count) for item in _list(top, "parameters.blocks", limits.BLOCKS_MAX)]
    plan.confirm = [plan.blocks[index] for index, item in enumerate(top["blocks"]) if "confirm" in item]
    if capacity(plan.blocks, 1) == 0:  # one slot is larger than a record: split the blocks over two modules
        raise SettingsError(causes.FAULT_SETTINGS_VALUE, "parameters.blocks")
    if "inputs" in top or "calibrations" in top:
        from acq.notice_settings import read_notices

        plan.notices = read_notices(top, plan, _integer, _list)
    return plan


def _read_bus(plan: Plan, item) -> None:
    plan.baud = _integer(item, "bus.baud", 1, 1000000)
    if plan.baud not in _BAUDS:
        raise SettingsError(causes.FAULT_SETTINGS_VALUE, "bus.baud")
    plan.parity = _value(item, "bus.parity")
    if plan.parity not in ("N", "E", "O"):
        raise SettingsError(causes.FAULT_SETTINGS_VALUE, "bus.parity")
    plan.stop_bits = _integer(item, "bus.stop_bits", 1, 2)


def _read_analyzer(item, minimum: int) -> Analyzer:
    return Analyzer(
        _integer(item, "analyzers.unit", minimum, limits.UNIT_MAX),
        _integer(item, "analyzers.timeout_ms", 1, _TIMEOUT_MAX_MS),
        _integer(item, "analyzers.retries", 0, _RETRIES_MAX),
    )


def _read_block(item, count: int) -> Block:
    analyzer = _integer(item, "blocks.analyzer", 0, count - 1)
    function = _integer(item, "blocks.function", READ_COILS, READ_INPUT_REGISTERS)
    address = _integer(item, "blocks.address", 0, 0xFFFF)
    maximum = limits.BITS_MAX if function <= READ_DISCRETE_INPUTS else limits.REGISTERS_MAX
    quantity = _integer(item, "blocks.quantity", 1, maximum)
    if address + quantity > 0x10000:
        raise SettingsError(causes.FAULT_SETTINGS_VALUE, "blocks.quantity")
    if "confirm" in item:
        _integer(item, "blocks.confirm", 1, 1)
    return Block(analyzer, function, address, quantity, data_bytes(function, quantity))


def _parse(raw: bytes, where: str):
    try:
        top = json.loads(raw) if _is_closed(raw) else None
    except ValueError:
        top = None
    if not isinstance(top, dict):
        raise SettingsError(causes.FAULT_SETTINGS_SYNTAX, where)
    return top


def _is_closed(raw: bytes) -> bool:
    """Whether every bracket has its partner and nothing follows the last: MicroPython 1.25 reads a JSON text that was
    cut off as if it had ended there (seen 2026-11-25)."""
    open_brackets = []
    is_text = is_escaped = False
    for index, byte in enumerate(raw):
        if is_text:
            if is_escaped or byte == 0x5C:
                is_escaped = not is_escaped
            elif byte == 0x22:
                is_text = False
        elif byte == 0x22:
            is_text = True
        elif byte in b"{[":
            open_brackets.append(byte + 2)  # its partner, in ASCII
            if len(open_brackets) > _DEPTH_MAX:
                return False
        elif byte in b"}]":
            if not open_brackets or open_brackets.pop() != byte:
                return False
            if not open_brackets:
                return raw[index + 1 :].strip() == b""
    return False


def _value(item, where: str):
    key = where[where.rfind(".") + 1 :]
    if not isinstance(item, dict):
        raise SettingsError(causes.FAULT_SETTINGS_VALUE, where)
    if key not in item:
        raise SettingsError(causes.FAULT_SETTINGS_MISSING, where)
    return item[key]


def _integer(item, where: str, minimum: int, maximum: int) -> int:
    value = _value(item, where)
    # True is an int on CPython and none on MicroPython: refused on both
    if value is True or value is False or not isinstance(value, int) or not minimum <= value <= maximum:
        raise SettingsError(causes.FAULT_SETTINGS_VALUE, where)
    return value


def _list(item, where: str, maximum: int):
    value = _value(item, where)
    if not isinstance(value, list) or not 1 <= len(value) <= maximum:
        raise SettingsError(causes.FAULT_SETTINGS_VALUE, where)
    return value
