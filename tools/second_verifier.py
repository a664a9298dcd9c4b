"""A second verifier of bundles, written from bridge/BUNDLE.md, bridge/EVIDENCE.md and firmware/SPEC.md alone.

Imports numpy, cryptography and cbor2 only. Checks container, manifest, keys and their changes, signatures, chains,
parameter sets, averages; not figures of plants. Prints one JSON object; exit status 0 fine, 1 not, 2 unusable file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
DTYPES = {"uint16": ">u2", "int16": ">i2", "uint32": ">u4", "int32": ">i4", "float32": ">f4", "float64": ">f8"}
NAMES = "valid timeout crc mismatch length backoff overrun bus_fault unconfirmed".split()
NAMES += [f"exception_{code - 64}" for code in range(len(NAMES), 128)]  # 65 and above; what follows is of this program
NAMES += "overflow warning failure function_check out_of_specification status_missing over_range under_range".split()
NAMES += "not_finite loop_failure loop_out_of_specification wire_break calibration absent parameters_changed".split()
WORDS = {"M": "warning", "S": "out_of_specification", "C": "function_check", "F": "failure"}
TAGS = {69: "<u2", 70: "<u4", 79: "<i8", 86: "<f8"}  # RFC 8746
SHARED = "interval_s start_utc_ms revision last_seq first_seq head_hash set n_expected rule reason".split()
CELLS = "channel n_valid mean minimum maximum deviation".split()
REST = "row_count invalid_row invalid_cause invalid_count channels rules reasons causes sets".split()
FAULTS = (ValueError, KeyError, TypeError, IndexError, cbor2.CBORError, InvalidSignature)
Found = tuple[int, dict[int, Any], bytes, bytes]
CODE = {name: number for number, name in enumerate(NAMES)}


def members_of(raw: memoryview) -> dict[str, memoryview]:
    """The container: built again from names, sizes and CRCs, and compared (BUNDLE.md section 1)."""
    found: dict[str, memoryview] = {}
    at, directory, last = 0, b"", b""
    while bytes(raw[at : at + 4]) == b"PK\3\4":
        crc, size, _, length = struct.unpack_from("<LLLH", raw, at + 14)
        name = bytes(raw[at + 30 : at + 30 + length])
        content = raw[at + 30 + length : at + 30 + length + size]
        head = struct.pack("<4sHHHHHLLLHH", b"PK\3\4", 10, 0, 0, 0, 0x21, zlib.crc32(content), size, size, length, 0)
        if head + name != bytes(raw[at : at + 30 + length]) or name <= last or len(content) != size:
            raise ValueError(f"zip: member at byte {at} is not as it must be")
        fixed = (b"PK\1\2", 10, 10, 0, 0, 0, 0x21, crc, size, size, length, 0, 0, 0, 0, 0, at)
        directory += struct.pack("<4sHHHHHHLLLHHHHHLL", *fixed) + name
        found[name.decode("ascii")] = content
        at, last = at + 30 + length + size, name
    end = struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, len(found), len(found), len(directory), at, 0)
    if bytes(raw[at:]) != directory + end:
        raise ValueError("zip: the directory is not that of the members before it")
    return found


def digest(raw: bytes | memoryview) -> bytes:
    return hashlib.sha256(raw).digest()


def hold(key: ec.EllipticCurvePublicKey, signed: bytes, signature: bytes) -> None:
    """ES256 with a low s. Raises InvalidSignature, ValueError."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if len(signature) != 64 or not 1 <= s <= ORDER // 2:
        raise ValueError("no 64 bytes, or s is not low")
    key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))


class Check:
    """One bundle: `findings` are sentences."""

    def __init__(self, members: dict[str, memoryview], registry: list[dict[str, Any]] | None) -> None:
        self.members, self.findings, self.strips = members, list[str](), dict[str, list[Strip]]()
        self.signatures = self.averages = 0
        manifest = bytes(members.get("manifest.json", b""))
        if bytes(members.get("manifest.sha256", b"")) != digest(manifest).hex().encode():
            raise ValueError("manifest: manifest.sha256 names another manifest.json")
        self.manifest = json.loads(manifest)
        seen = {(name, len(one), digest(one).hex()) for name, one in members.items() if name[:4] == "data"}
        wrong = {name for name, _, _ in seen ^ set(map(tuple, self.manifest["members"]))}
        self.findings += [f"member: {name} is not what the manifest names" for name in sorted(wrong)]
        self.keys = dict[bytes, tuple[dict[str, Any], ec.EllipticCurvePublicKey]]()
        for entry in json.loads(bytes(members["data/keys.json"])) if registry is None else registry:
            key: Any = serialization.load_pem_public_key(entry["public_key"].encode())
            point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
            if not isinstance(key.curve, ec.SECP256R1) or digest(point)[:16].hex() != entry["kid"]:
                raise ValueError(f"keys: {entry['kid']} is no P-256 key, or not that of its kid")
            self.keys[digest(point)[:16]] = entry, key
        texts = [bytes(members[name]) for name in self.inside("parameters")]  # found by their hash, not by their name
        self.sets = {digest(text): json.loads(text) for text in texts}

    def inside(self, folder: str) -> list[str]:
        return [name for name in self.members if name.startswith(f"data/{folder}/")]

    def envelopes(self, device: str) -> Iterator[Found]:
        """Of one module those that hold, in their order; the others are findings."""
        for name in self.inside(f"envelopes/{device}"):
            content, at = bytes(self.members[name]), 0
            while at < len(content):
                try:
                    found = self.record(content[at : at + 4224], device)
                    at += found[0]
                    yield found
                except FAULTS as error:
                    self.findings.append(f"record: {name} byte {at}: {type(error).__name__} {error}")
                    at = content.find(b"\xd2\x84", at + 1) if b"\xd2\x84" in content[at + 1 :] else len(content)

    def records(self, stated: dict[str, Any]) -> None:
        """Signatures and chain of one module."""
        device, head, count, first = stated["device"], None, 0, 0
        ended, due = dict[bytes, int](), (0, b"")  # kid to its last seq; seq and kid behind a key change
        strips = self.strips[device] = []
        for _, record, content_hash, kid in self.envelopes(device):
            self.signatures += 1
            seq, order = record[5], (record[4], record[7])
            head = head or (seq - 1, record[6] if seq > 1 else bytes(32), order)  # the first names what lies before
            if seq != head[0] + 1 or record[6] != head[1] or order < head[2]:
                self.findings.append(f"chain: {device} seq {seq} does not follow seq {head[0]}")
            head, count, first = (seq, content_hash, order), count + 1, first or seq
            if seq > ended.get(kid, seq) or (seq == due[0] and kid != due[1]):
                self.findings.append(f"key change: {device} seq {seq} is signed by kid {kid.hex()}, which may not")
            if record[2] == 9:
                ended[kid], due = seq, (seq + 1, digest(record[90])[:16])
            if record[2] in (2, 6) and 8 in record:
                if (parameters := self.sets.get(record[12], {})).get("device") != device:
                    self.findings.append(f"parameters: those of {device} seq {seq} are not there")
                else:
                    strips.append(Strip(record, content_hash, parameters))
        said = (stated["first_seq"], stated["last_seq"], stated["record_count"], stated["head_hash"])
        if head is None or said != (first, head[0], count, head[1].hex()):
            self.findings.append(f"manifest: records of {device} are not those it names")

    def record(self, raw: bytes, device: str | None, kind: str = "") -> Found:
        """Length, payload, content hash and kid of the first envelope. `kind`: end of the gateway's content types."""
        protected, unprotected, payload, signature = cbor2.loads(raw).value
        again = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]), canonical=True)
        is_whole = raw.startswith(again) and not unprotected and (not kind or again == raw)
        headers, record = cbor2.loads(protected), cbor2.loads(payload)
        wanted = {1: -7, 4: headers[4]} | ({3: f"application/vnd.plumeproof.{kind}"} if kind else {})
        is_map = isinstance(record, dict) and cbor2.dumps(record, canonical=True) == payload
        if not is_whole or not is_map or cbor2.dumps(wanted, canonical=True) != protected:
            raise ValueError("no envelope of the strict profile")
        entry, key = self.keys[headers[4]]
        own, number = (record[2], record[3] or entry["valid_from_seq"]) if kind else (record[3], record[5])
        is_own = (entry["purpose"], entry["device"], device or own) == ("anchor" if kind else "record", own, own)
        until = (0 if entry["revoked"] else 2**63) if entry["valid_until_seq"] is None else entry["valid_until_seq"]
        if not is_own or not entry["valid_from_seq"] <= number <= until:
            raise ValueError(f"key {headers[4].hex()} may not sign {number} of {own}, or is revoked")
        signed = cbor2.dumps(["Signature1", protected, b"", payload], canonical=True)
        hold(key, signed, signature)
        if not kind and record[2] == 9:  # SPEC.md section 10: the next key has signed too
            said = cbor2.dumps(["PlumeProof key change", 1, own, headers[4], record[90]], canonical=True)
            hold(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), record[90]), said, record[91])
        return len(again), record, digest(signed), headers[4]

    def rows(self, stated: dict[str, Any]) -> None:
        device, count = stated["device"], 0
        for name in self.inside(f"averages/{device}"):
            day, newest = int(name.split("/")[3].removesuffix(".cbor")), {}
            for row in rows_of(bytes(self.members[name])):
                count += 1
                if not day <= row["start_utc_ms"] <= day + 86_400_000 - row["interval_s"] * 1000:
                    raise ValueError(f"average: {name}: an interval of another day")
                own = newest.setdefault((row["interval_s"], row["start_utc_ms"]), {})
                due = own[row["channel"]]["revision"] + 1 if row["channel"] in own else 0
                if row["revision"] != due:
                    self.findings.append(f"average: {name}: revision {row['revision']} where {due} is due")
                own[row["channel"]] = row
            strips = [one for one in self.strips[device] if one.first < day + 86_400_000 and one.end > day]
            for (interval_s, start), own in newest.items():
                until, end = max(row["last_seq"] for row in own.values()), start + interval_s * 1000
                inside = [one for one in strips if one.seq <= until and one.first < end and one.end > start]
                for channel in sorted({spec for one in inside for spec in one.specs} | set(own)):
                    again, row = average(inside, channel, start, interval_s) or {}, own.get(channel, {})
                    if bool(again) != bool(row) or {key: row[key] for key in again} != again:
                        self.findings.append(f"average: {name}: {channel} {interval_s} s from {start} is another")
                    self.averages += bool(again)
        if count != stated["average_count"]:
            self.findings.append(f"manifest: {device} has {count} averages")


def rows_of(raw: bytes) -> list[dict[str, Any]]:
    """The rows of a day from its columns (BUNDLE.md section 3), in the one form of their CBOR."""
    tree = cbor2.loads(raw)
    if cbor2.dumps(tree, canonical=True) != raw or set(tree) != {*SHARED, *CELLS, *REST}:
        raise ValueError("average: other bytes than columns have")
    col = {name: np.frombuffer(one.value, TAGS[one.tag]) for name, one in tree.items() if hasattr(one, "tag")}
    columns = col | {"head_hash": np.frombuffer(tree["head_hash"], "V32")}
    keys = list(zip(*(columns[name].tolist() for name in SHARED), strict=True))
    owners = np.repeat(np.arange(len(keys)), col["row_count"]).tolist()
    cells = list(zip(owners, *(col[name].tolist() for name in CELLS), strict=True))
    invalid: dict[int, dict[str, int]] = {}
    for at, cause, number in zip(*(col[name].tolist() for name in REST[1:4]), strict=True):
        invalid.setdefault(at, {})[tree["causes"][cause]] = number
    rows = []
    for at, (owner, *cell) in enumerate(cells):
        row: dict[str, Any] = dict(zip((*SHARED, *CELLS), (*keys[owner], *cell), strict=True))
        row |= {name: None for name, value in row.items() if value != value}
        row |= dict(zip(("channel", "quantity", "unit"), tree["channels"][row["channel"]], strict=True))
        row |= dict(zip(("rule", "rule_version", "summation"), tree["rules"][row["rule"]], strict=True))
        row |= {"head_hash": row["head_hash"].hex(), "parameters_hash": tree["sets"][row["set"]].hex()}
        rows.append(row | {"reason": tree["reasons"][row["reason"]], "n_invalid": invalid.get(at, {})})
    return rows


class Strip:
    """The slots of one record: UTC of the first, and values and statuses by channel, made when they are asked for."""

    def __init__(self, record: dict[int, Any], content_hash: bytes, parameters: dict[str, Any]) -> None:
        self.seq, self.hash, self.set = record[5], content_hash, parameters
        self.set_hash, self.count, self.slot_ms = record[12], record[21], record[22]
        self.first = record[8] - (record[7] - record[23])
        self.end = self.first + self.count * self.slot_ms
        self.blocks, self.specs = record.get(24), {one["id"]: one for one in parameters["channels"]}
        self.measured = {name: (one["quantity"], one["unit"], self.slot_ms) for name, one in self.specs.items()}

    def rows(self, index: int) -> tuple[Any, Any]:
        """Outcomes of a block, and its bytes for every slot (zeros where there is no value)."""
        block = self.set["blocks"][index]
        width = (block["quantity"] + 7) // 8 if block["function"] < 3 else 2 * block["quantity"]
        outcomes = np.frombuffer(self.blocks[index][0], np.uint8)
        rows = np.zeros((self.count, width), np.uint8)
        rows[outcomes == 0] = np.frombuffer(self.blocks[index][1], np.uint8).reshape(-1, width)
        return outcomes, rows

    def bit(self, index: int, bit: int) -> Any:
        at = bit // 8 if self.set["blocks"][index]["function"] < 3 else 2 * (bit // 16) + 1 - bit % 16 // 8
        return self.rows(index)[1][:, at] >> bit % 8 & 1

    def decode(self, spec: dict[str, Any]) -> tuple[Any, Any]:
        """EVIDENCE.md section 1: the first cause that applies."""
        if self.blocks is None:
            return np.zeros(self.count), np.full(self.count, CODE["overflow"])
        outcomes, rows = self.rows(spec["block"])
        if spec["type"] == "bit":
            number = self.bit(spec["block"], spec["register"]).astype(np.float64)
        else:
            order = [2 * spec["register"] + spec["order"].index(one) for one in "ABCDEFGH"[: len(spec["order"])]]
            with np.errstate(invalid="ignore"):  # a signalling NaN; it is not finite
                number = np.ascontiguousarray(rows[:, order]).view(DTYPES[spec["type"]])[:, 0].astype(np.float64)
        with np.errstate(all="ignore"):  # what is no number or too large is named below
            value = number * float(spec["scale"]) + float(spec["offset"])
        status, finite = np.zeros(self.count, np.int64), np.isfinite(number) & np.isfinite(value)
        status[value > float(spec["max"])] = CODE["over_range"]
        status[value < float(spec["min"])] = CODE["under_range"]
        status[~finite] = CODE["not_finite"]
        if "loop" in spec:
            zero, span = float(spec["loop"]["zero"]), float(spec["loop"]["span"])
            current = (number - zero) / (span - zero) * 16.0 + 4.0
            status[(current < 3.8) | (current > 20.5)] = CODE["loop_out_of_specification"]
            status[(current <= 3.6) | (current >= 21.0)] = CODE["loop_failure"]
            status[current < 1.185] = CODE["wire_break"]
        if "status" in spec:
            source = self.set["statuses"][spec["status"]]
            said = np.zeros(self.count, np.int64)
            for entry in sorted(source["bits"], key=lambda one: "MSCF".index(one["code"])):  # the worst wins
                said[self.bit(source["block"], entry["bit"]) == entry["is"]] = CODE[WORDS[entry["code"]]]
            said[self.rows(source["block"])[0] != 0] = CODE["status_missing"]
            np.copyto(status, said, where=(said != 0) & ~((said == CODE["warning"]) & (status != 0)))
        analyzer = self.set["blocks"][spec["block"]]["analyzer"]
        is_set, is_unknown = np.zeros(self.count, np.bool_), np.zeros(self.count, np.bool_)
        for one in self.set.get("calibrations", ()):
            if one["analyzer"] == analyzer:
                known = self.rows(one["block"])[0] == 0
                is_set |= known & (self.bit(one["block"], one["bit"]) == one["is"])
                is_unknown |= ~known
        status[is_unknown & ((status == 0) | (status == CODE["warning"]))] = CODE["status_missing"]
        status[is_set] = CODE["calibration"]
        np.copyto(status, outcomes, where=outcomes != 0)
        return np.where((outcomes != 0) | ~finite, 0.0, value), status


def add(numbers: Any) -> float:
    """lanes20-v1."""
    lanes = np.zeros(20)
    for row in np.append(numbers, np.zeros(-len(numbers) % 20)).reshape(-1, 20):
        lanes = lanes + row
    five = (lanes[:5] + lanes[10:15]) + (lanes[5:10] + lanes[15:])
    return ((five[0] + five[1]) + (five[2] + five[3])) + five[4]


def from_slots(strips: list[Strip], channel: str, start: int, interval_s: int) -> dict[str, Any] | None:
    """Sums of a channel over an interval from the slots of its records, by position."""
    begins = [(one, one.first - start, one.slot_ms) for one in strips if channel in one.specs]
    spans = [(one, -(at // slot_ms), -((at - interval_s * 1000) // slot_ms)) for one, at, slot_ms in begins]
    parts = [(one, max(0, a), min(one.count, b)) for one, a, b in spans if max(0, a) < min(one.count, b)]
    if not parts:
        return None
    newest = parts[-1][0]
    measure = newest.measured.get(channel)
    width = -(-interval_s * 1000 // newest.slot_ms)
    value, status = np.zeros(width), np.full(width, CODE["absent"])
    taken, overlap = np.zeros(width, np.bool_), 0
    for one, first, behind in parts:
        slots = np.arange(first, behind)
        places, where = np.unique((one.first + slots * one.slot_ms - start) // newest.slot_ms, return_index=True)
        free = ~taken[places]
        overlap += len(slots) - int(free.sum())
        places, slots = places[free], slots[where[free]]
        taken[places] = True
        if one.measured.get(channel) != measure:
            status[places] = CODE["parameters_changed"]
        else:
            read, said = one.decode(one.specs[channel])
            value[places], status[places] = read[slots], said[slots]
    counts = (status == 0) | (status == CODE["warning"])
    n = int(counts.sum())
    total = add(np.where(counts, value, 0.0))
    away = np.where(counts, value - total / n, 0.0) if n else value * 0.0
    bad = status[~counts & (status != CODE["absent"])]
    invalid = {NAMES[code]: int((bad == code).sum()) for code in np.unique(bad)} | {"overlap": overlap}
    found = {"newest": newest, "first": parts[0][0].seq, "has": any(part[0].blocks is not None for part in parts)}
    low, high = (value[counts].min(), value[counts].max()) if n else (0.0, 0.0)
    return found | {"n": n, "total": total, "m2": add(away * away), "low": low, "high": high, "invalid": invalid}


def from_minutes(strips: list[Strip], channel: str, start: int, interval_s: int) -> dict[str, Any] | None:
    """Sums of a longer interval from those of its minutes."""
    starts = range(start, start + interval_s * 1000, 60_000)
    inside = [[one for one in strips if one.first < at + 60_000 and one.end > at] for at in starts]
    found = [from_slots(own, channel, at, 60) if own else None for own, at in zip(inside, starts, strict=True)]
    there = [one for one in found if one is not None]
    if not there:
        return None
    newest = max(there, key=lambda one: one["newest"].seq)["newest"]
    measure = newest.measured.get(channel)
    same = [one if one and one["newest"].measured.get(channel) == measure else {} for one in found]
    invalid: dict[str, int] = {"parameters_changed": 0}
    for one, own in ((one, own) for one, own in zip(found, same, strict=True) if one):
        for name, number in (*one["invalid"].items(), ("parameters_changed", 0 if own else one["n"])):
            invalid[name] = invalid.get(name, 0) + number
    n, total, m2 = (np.array([one.get(key, 0) for one in same]) for key in ("n", "total", "m2"))
    has = n > 0
    low, high = (np.array([one.get(key, 0.0) for one in same])[has] for key in ("low", "high"))
    whole, sum_of = int(n.sum()), add(total)
    away = np.where(has, total / np.where(has, n, 1) - sum_of / max(whole, 1), 0.0)
    sums = {"n": whole, "total": sum_of, "m2": add(np.where(has, m2 + (away * away) * n, 0.0)), "invalid": invalid}
    sums |= {"low": low.min(), "high": high.max()} if whole else {"low": 0.0, "high": 0.0}
    first, has_any = min(one["first"] for one in there), any(one["has"] for one in there)
    return sums | {"newest": newest, "first": first, "has": has_any}


def average(strips: list[Strip], channel: str, start: int, interval_s: int) -> dict[str, Any] | None:
    """The row as a bundle has it, without revision and reason."""
    sums = (from_slots if interval_s % 60 or interval_s == 60 else from_minutes)(strips, channel, start, interval_s)
    if sums is None or not sums["has"]:  # overflow alone makes no row
        return None
    newest, n, (quantity, unit, _) = sums["newest"], sums["n"], sums["newest"].measured.get(channel)
    expected = -(-interval_s * 1000 // newest.slot_ms)
    invalid = {name: count for name, count in sums["invalid"].items() if count}
    absent = expected - n - sum(count for name, count in invalid.items() if name != "overlap")
    invalid |= {"absent": absent} if absent > 0 else {}
    numbers = {"mean": sums["total"] / n, "minimum": sums["low"], "maximum": sums["high"]} if n else {}
    numbers["deviation"] = np.sqrt(sums["m2"] / (n - 1)) if n > 1 else np.nan
    finite = {name: float(one) if np.isfinite(one) else None for name, one in numbers.items()}
    return {
        "channel": channel, "quantity": quantity, "unit": unit, "interval_s": interval_s, "start_utc_ms": start,
        "n_expected": expected, "n_valid": n, "n_invalid": dict(sorted(invalid.items())),
        **dict.fromkeys(("mean", "minimum", "maximum")), **finite, "first_seq": sums["first"], "last_seq": newest.seq,
        "head_hash": newest.hash.hex(), "parameters_hash": newest.set_hash.hex(), "rule": "plain_utc",
        "rule_version": "1", "summation": "lanes20-v1",
    }  # fmt: skip


def everything(check: Check) -> dict[str, Any]:
    for stated in check.manifest["devices"]:
        check.records(stated)
        check.rows(stated)
    return {"signatures": check.signatures, "averages": check.averages, "is_there": check.signatures > 0}


def run(about: str, judge: Callable[[Check], dict[str, Any]]) -> int:
    """A program: `judge` adds findings and tells what it has seen."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--keys", type=Path, help="key registry that you have from elsewhere")
    args = parser.parse_args()
    try:
        raw = memoryview(np.memmap(args.bundle, np.uint8, "r"))  # read as it is needed: a month need not fit in memory
        check = Check(members_of(raw), json.loads(args.keys.read_bytes()) if args.keys else None)
        told, findings = judge(check), check.findings
    except OSError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    except (*FAULTS, AttributeError, struct.error) as error:
        told, findings = {"is_there": False}, [f"{type(error).__name__}: {error}"]
    told |= {"fine": told.pop("is_there") and not findings, "finding_count": len(findings)}
    print(json.dumps(told | {"findings": findings[:1000]}))
    return 0 if told["fine"] else 1


if __name__ == "__main__":
    sys.exit(run(str(__doc__), everything))
