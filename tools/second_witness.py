"""What the anchors of a bundle and the signature under its manifest say, beside second_verifier.py; from BUNDLE.md.

Reads envelopes as that program does and imports nothing of PlumeProof either. An anchor that was left out, or that
names another record than the bundle has, and a manifest that the gateway did not sign, are findings. Time-stamps are
not looked at. Prints one JSON object; exit status 0 fine, 1 not, 2 unusable file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from typing import Any

from second_verifier import Check, run


def witness(check: Check) -> dict[str, Any]:
    """Anchors of the period: signature, order, how far the records must reach; and who signed the manifest."""
    members, said_of = check.members, check.findings.append
    reach = {one["device"]: one["last_seq"] for one in check.manifest["devices"]}
    start, end = check.manifest["period_utc_ms"]
    number, count, prev, heads = 0, 0, b"", {}
    anchored: dict[tuple[str, int], bytes] = {}
    for line in bytes(members.get("data/anchors.jsonl", b"")).splitlines():
        _, said, this, _ = check.record(base64.b64decode(json.loads(line)["statement"]), None, "anchor+cbor")
        now = {device: (seq, content_hash, total) for device, seq, content_hash, total in said[6]}
        grown = all(d in now and now[d][0] >= old[0] and now[d][2] >= old[2] for d, old in heads.items())
        if said[3] <= number or (said[3] == number + 1 and number and said[4] != prev) or not grown:
            said_of(f"anchor: {said[3]} does not extend {number}")
        for device in (d for d, head in now.items() if start <= said[5] < end and reach.get(d, 0) < head[0]):
            said_of(f"anchor: {device} seq {now[device][0]} of anchor {said[3]} is left out")
        anchored |= {(device, head[0]): head[1] for device, head in now.items()}
        number, count, prev, heads = said[3], count + 1, this, now
    for device in reach:
        for _, record, content_hash, _ in check.envelopes(device):
            if anchored.get((device, record[5]), content_hash) != content_hash:
                said_of(f"anchor: {device} seq {record[5]} is another record than was anchored")
    if "manifest.cose" in members:
        _, said, _, _ = check.record(bytes(members["manifest.cose"]), None, "manifest+cbor")
        if said[3] != number or said[4] != hashlib.sha256(members["manifest.json"]).digest():
            said_of("manifest: manifest.cose is about another manifest, or other anchors")
    return {"anchors": count, "manifest_signed": "manifest.cose" in members, "is_there": count > 0}


if __name__ == "__main__":
    sys.exit(run(str(__doc__), witness))
