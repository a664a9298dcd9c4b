"""A stack at work for benchmarks: a module with twelve channels at 1 Hz, signed records, and its plant description.

Values wander slowly as a plant's do; a few slots are gaps, a few are failures. Sealed by cbor2 and cryptography.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import rfc8785
from acqwire import fields

from plumeproof.evidence.parameters import parse_parameters
from tests.doubles.sealed_module import SealedModule

START_UTC_MS = 1_796_079_600_000  # 2026-12-01T00:00 at +01:00
DEVICE = "stack-01"
SLOTS = 60
CHANNELS = (  # id, unit, mean, spread
    ("nox", "mg/m3", 180.0, 20.0), ("so2", "mg/m3", 40.0, 8.0), ("co", "mg/m3", 30.0, 10.0),
    ("hcl", "mg/m3", 6.0, 1.0), ("nh3", "mg/m3", 3.0, 0.5), ("dust", "mg/m3", 4.0, 1.0),
    ("co2", "%", 10.0, 0.5), ("o2", "%", 9.0, 0.7), ("h2o", "%", 15.0, 1.0),
    ("temperature", "degC", 140.0, 3.0), ("pressure", "hPa", 998.0, 2.0), ("flow", "m3/h", 210_000.0, 4_000.0),
)  # fmt: skip
PER_BLOCK = 6  # float32 channels of one request: 24 bytes a slot


def compose_set(device: str = DEVICE) -> bytes:
    """The parameter set."""
    channels = [
        {
            "id": name, "quantity": name, "block": index // PER_BLOCK, "register": 2 * (index % PER_BLOCK),
            "type": "float32", "order": "ABCD", "scale": "1", "offset": "0", "unit": unit, "min": "-1e6", "max": "1e7",
        }
        for index, (name, unit, _, _) in enumerate(CHANNELS)
    ]  # fmt: skip
    blocks = [
        {"analyzer": 0, "function": 3, "address": 100 * number, "quantity": 2 * PER_BLOCK}
        for number in range(len(CHANNELS) // PER_BLOCK)
    ]
    analyzer = {"id": "cabinet", "profile": "p", "profile_version": "1", "unit": 1, "timeout_ms": 200, "retries": 1}
    return rfc8785.dumps(
        {
            "format": 1, "revision": 1, "device": device, "slot_ms": 1000, "seal_ms": 60_000,
            "bus": {"baud": 19200, "parity": "E", "stop_bits": 1},
            "analyzers": [analyzer], "blocks": blocks, "channels": channels, "statuses": [],
        }
    )  # fmt: skip


def describe_plant(device: str = DEVICE, plant: str = "stack") -> str:
    """Its description: six pollutants at reference conditions with limits, CO2, two rule sets."""
    lines = [
        "[plant]", f'id = "{plant}"', 'title = "Stack of the benchmark"', 'utc_offset = "+01:00"',
        'rule_sets = ["eu_ied_waste", "eu_mrr"]',
        "[[state]]", 'state = "stopped"', f'source = "{device}/o2"', "above = 19.5",
    ]  # fmt: skip
    for kind, name in (("O2", "o2"), ("H2O", "h2o"), ("T", "temperature"), ("p", "pressure")):
        lines += ["[[peripheral]]", f'kind = "{kind}"', f'source = "{device}/{name}"']
    lines += ["[flow]", f'source = "{device}/flow"']
    for name in ("nox", "so2", "co", "hcl", "nh3", "dust"):
        lines += [
            "[[measurand]]", f'id = "{name}"', f'source = "{device}/{name}"', 'unit = "mg/m3"', "range_max = 1000.0",
            'needs = ["T", "p", "H2O", "O2"]', "o2_reference_pct = 11.0", "ci_pct = 20.0", "ci_qal2 = 2.0",
            "[[measurand.limit]]", 'kind = "day"', "value = 200.0",
            "[[measurand.calibration]]", 'id = "qal2"', 'begins = "2026-01-01T00:00:00Z"', "a = 0.3", "b = 1.02",
        ]  # fmt: skip
    lines += ["[[measurand]]", 'id = "CO2"', f'source = "{device}/co2"', 'unit = "%"', 'gas = "CO2"']
    lines += ['needs = ["T", "p", "H2O"]', 'greenhouse_gas = "CO2"']
    return "\n".join(lines) + "\n"


def seal_stack(days: int, seed: int = 1, device: str = DEVICE) -> SealedModule:
    """A module whose journal holds so many days; another `seed` is another key and other values."""
    raw_set = compose_set(device)
    parameters = parse_parameters(raw_set)
    module, rng = SealedModule(device, 999 + seed), np.random.default_rng(seed)
    known: dict[str, object] = {"PARAMETERS_HASH": parameters.parameters_hash}
    module.start()
    parts = [raw_set[at : at + 2048] for at in range(0, len(raw_set), 2048)]
    for number, part in enumerate(parts):
        own = {fields.PART_HASH: parameters.parameters_hash, fields.PART: number, fields.PARTS: len(parts)}
        module.seal(fields.KIND_PARAMETERS, {**own, fields.PART_BYTES: part}, **known)
    known |= {"UTC_STATUS": fields.UTC_HOST, "UTC_UNC_MS": 105, "SYNC_SEQ": 1}
    means = np.array([mean for _, _, mean, _ in CHANNELS])
    spreads = np.array([spread for _, _, _, spread in CHANNELS])
    for minute in range(days * 1440):
        wave = np.sin(minute / 97.0 + np.arange(len(CHANNELS)))
        values = means + spreads * (wave + 0.2 * rng.standard_normal((SLOTS, len(CHANNELS))))
        blocks = []
        for first in range(0, len(CHANNELS), PER_BLOCK):
            outcomes = np.zeros(SLOTS, np.uint8)
            if minute % 50 == 7:
                outcomes[10:13] = 1  # time-outs
            data = values[outcomes == 0, first : first + PER_BLOCK].astype(">f4").tobytes()
            blocks.append([outcomes.tobytes(), data])
        module.mono_ms = (minute + 1) * 60_000
        own = {
            fields.FIRST_SLOT: minute * SLOTS, fields.SLOT_COUNT: SLOTS, fields.SLOT_MS: 1000,
            fields.FIRST_SLOT_MONO_MS: minute * 60_000, fields.BLOCKS: blocks, fields.RETRIES: 0,
        }  # fmt: skip
        module.seal(fields.KIND_SAMPLES, own, UTC_MS=START_UTC_MS + module.mono_ms, **known)
    return module


def write_archive(folder: Path, days: int) -> tuple[Path, Path, Path]:
    """(archive, keys.json, plant description) of a stack in a folder."""
    from cryptography.hazmat.primitives import serialization

    module = seal_stack(days)
    archive, keys, plant = folder / "stack.cbor", folder / "keys.json", folder / "stack.toml"
    archive.write_bytes(b"".join(raw for _, raw in module.journal.values()))
    pem = module.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    kid = hashlib.sha256(module.public_key).digest()[:16].hex()
    entry = {"device": DEVICE, "kid": kid, "public_key": pem.decode(), "purpose": "record"}
    keys.write_text(json.dumps([entry | {"valid_from_seq": 1, "valid_until_seq": None, "revoked": False}]))
    plant.write_text(describe_plant())
    return archive, keys, plant
