"""A module's key gives over to the next one, on the real interpreter: asked for by a file, taken by `keys rotate`."""

from __future__ import annotations

import json

from plumeproof.cli import main
from plumeproof.evidence.envelope import kid_of
from plumeproof.keys import build_entry, load_keys
from plumeproof.model import KeyChange, Samples
from tests.doubles.module_rig import ModuleRig


def test_a_rotation_leaves_no_gap(make_rig, tmp_path, capsys):
    rig: ModuleRig = make_rig()
    rig.start_plant()
    rig.start()
    first = rig.gateway()
    first.collect(lambda records: any(isinstance(one.body, Samples) for one in records))
    old = (rig.folder / "public_key.bin").read_bytes()
    rig.kill()
    (rig.folder / "rotate").touch()
    rig.start()
    gateway = rig.gateway()
    gateway.head, gateway.records, gateway.envelopes = first.head, first.records, first.envelopes
    points = {kid_of(old): old}

    def point(kid: bytes) -> bytes:
        new = (rig.folder / "public_key.bin").read_bytes()
        points[kid_of(new)] = new
        return points[kid]

    gateway._public_key = point
    gateway.greet()

    def has_measured(records) -> bool:
        change = next((at for at, one in enumerate(records) if isinstance(one.body, KeyChange)), None)
        return change is not None and sum(isinstance(one.body, Samples) for one in records[change:]) >= 2

    gateway.collect(has_measured)
    new = (rig.folder / "public_key.bin").read_bytes()
    assert new != old and not (rig.folder / "rotate").exists() and not (rig.folder / "next_key.bin").exists()
    rig.stop_plant()

    keys, envelopes = tmp_path / "keys.json", tmp_path / "envelopes.cbor"
    keys.write_text(json.dumps([build_entry(rig.name, old)]))
    envelopes.write_bytes(b"".join(gateway.envelopes))
    verify = ["verify", str(envelopes), "--keys", str(keys)]
    assert main(verify) == 1 and "key_unknown" in capsys.readouterr().out
    rotate = ["keys", "rotate", "--envelopes", str(envelopes), "--device", rig.name, "--keys", str(keys)]
    assert main(rotate) == 0
    assert load_keys(keys).entries[1].public_key == new
    capsys.readouterr()
    assert main(verify) == 0, capsys.readouterr().out
