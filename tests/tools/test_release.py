"""tools.release: what it makes the module's own code takes, what it refuses the module refuses; its command line."""

from __future__ import annotations

import io
import json
import stat
import struct

import pytest
from acqwire import update
from cryptography.hazmat.primitives.asymmetric import ec

from acq.update_document import UpdateError
from acq.update_trust import Trust, believe
from plumeproof.link.updating import read_release
from tools.release.__main__ import main
from tools.release.documents import (
    Document,
    DocumentError,
    compose_release,
    compose_root,
    parse_document,
    point_of,
    sign,
    signed_document,
    verify_roots,
)
from tools.release.package import Choice, build, collect, verify

KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("r1", "r2", "r3", "rel", "new", "thief")}
POINTS = {name: point_of(key.public_key()) for name, key in KEYS.items()}
FILES = {"main.py": b"print(1)\n", "acq/__init__.py": b"", "acq/modbus/rtu.py": b"x = 1\n" * 99, "boards/host.py": b"#"}
CHOICE = Choice("host", 0, 3, 2, "0.3.0", 1_790_000_000, 1_800_000_000)


def root(version=1, signers=("r1", "r2"), release="rel", keys=("r1", "r2", "r3"), threshold=2) -> bytes:
    signed = compose_root(version, threshold, [POINTS[name] for name in keys], POINTS[release], 1_900_000_000)
    return signed_document(update.ROOT_MAGIC, signed, [KEYS[name] for name in signers]).pack()


def module_believes(raw: bytes, factory: bytes) -> Trust:
    """What acq/update_trust.py makes of a release file."""
    release = read_release(raw)
    trust = Trust(factory)
    head = io.BytesIO(release.stream[: release.roots_bytes + release.manifest_bytes])
    for _ in believe(trust, factory, head, release.roots_bytes, head, release.roots_bytes, release.manifest_bytes):
        pass
    entries = trust.manifest.entries(head, trust.signed_at)
    assert [path for path, _, _ in entries] == sorted(FILES)
    return trust


def test_the_module_takes_what_is_built_and_reads_the_same():
    factory = root()
    roots = [factory, root(2, signers=("r1", "r2"), release="new")]
    made = build(FILES, roots, KEYS["new"], CHOICE)
    body = verify(made.pack(), factory)
    trust = module_believes(made.pack(), factory)
    manifest = trust.manifest
    assert (manifest.version, manifest.minimum, manifest.board, manifest.mpy) == (3, 2, "host", 0)
    assert (manifest.issued, manifest.expires, manifest.root) == (CHOICE.issued, CHOICE.expires, trust.root.version)
    assert manifest.count == len(body["files"]) and manifest.total_bytes == sum(map(len, FILES.values()))
    assert module_believes(made.pack(), roots[1]).root.version == 2  # a module made later carries the second root


def test_built_twice_is_the_same_twice(tmp_path):
    for name in ("one", "two"):
        for path, content in reversed(list(FILES.items())) if name == "two" else FILES.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_bytes(content)
    (tmp_path / "two" / "acq" / "__pycache__").mkdir()
    (tmp_path / "two" / "acq" / "__pycache__" / "x.pyc").write_bytes(b"?")
    (tmp_path / "two" / "README.md").write_bytes(b"?")
    factory = root()
    made = [build(collect(tmp_path / name), [factory], KEYS["rel"], CHOICE).pack() for name in ("one", "two")]
    assert made[0] == made[1]


@pytest.mark.parametrize("at", ["magic", "root", "manifest", "file", "more", "less"])
def test_one_spoilt_byte_is_refused_by_both(at):
    factory = root()
    raw = bytearray(build(FILES, [factory, root(2)], KEYS["rel"], CHOICE).pack())
    roots_bytes, manifest_bytes = struct.unpack_from(">II", raw, 4)
    spot = {"magic": 0, "root": 12 + roots_bytes - 9, "manifest": 12 + roots_bytes + manifest_bytes - 9}
    if at == "more":
        raw += b"x"
    elif at == "less":
        raw = raw[:-1]
    else:
        raw[spot.get(at, len(raw) - 1)] ^= 1
    with pytest.raises(DocumentError):
        verify(bytes(raw), factory)
    if at in ("root", "manifest"):
        with pytest.raises(UpdateError):
            module_believes(bytes(raw), factory)


@pytest.mark.parametrize(
    ("signers", "is_good"),
    [(("r1",), False), (("r1", "thief"), False), (("thief", "rel"), False), (("r3", "r2"), True),
     (("r1", "r2", "r3"), True)],
)  # fmt: skip
def test_the_threshold_counts_for_both(signers, is_good):
    factory = root()
    second = root(2, signers=signers)
    chain = [parse_document(raw, update.ROOT_MAGIC) for raw in (factory, second)]
    if is_good:
        assert verify_roots(chain)["version"] == 2
        build(FILES, [factory, second], KEYS["rel"], CHOICE)
        return
    with pytest.raises(DocumentError):
        verify_roots(chain)
    trust = Trust(factory)
    trust.begin_root(second)
    with pytest.raises(UpdateError):
        while not trust.step():
            pass


def test_what_must_not_be_composed():
    with pytest.raises(DocumentError):
        root(threshold=1)
    with pytest.raises(DocumentError):
        root(keys=("r1", "r1"))
    with pytest.raises(DocumentError):
        root(keys=("r1", "rel"))
    words = dict(board="host", mpy=0, version=3, minimum=2, release="x", root=1, issued=1, expires=2)
    for files, changes in (
        ({"acq/x.py": b""}, {}), ({"main.py": b"", "../x.py": b""}, {}), ({"acq/X.py": b"", "main.py": b""}, {}),
        ({"main.py": b"", "main.mpy": b""}, {"mpy": 774}),
        ({"main.mpy": b""}, {}), ({"main.py": bytes(65537)}, {}), (FILES, {"minimum": 4}), (FILES, {"expires": 0}),
        (FILES, {"version": 0}), (FILES, {"board": ""}), ({}, {}), ({"main.py": b"", "json.py": b""}, {}),
    ):  # fmt: skip
        with pytest.raises(DocumentError):
            compose_release(files, **(words | changes))


def test_a_document_that_is_not_canonical_is_refused():
    signed = json.dumps(json.loads(parse_document(root(), update.ROOT_MAGIC).signed)).encode()  # with spaces
    kid, signature = sign(update.ROOT_MAGIC, signed, KEYS["r1"])
    with pytest.raises(DocumentError):
        parse_document(Document(update.ROOT_MAGIC, signed, {kid: signature}).pack(), update.ROOT_MAGIC)


def test_the_whole_ceremony_on_the_command_line(tmp_path, capsys):
    def run(*words):
        return main([str(word) for word in words])

    path = {name: tmp_path / name for name in ("a", "b", "release", "root.json", "root.bin", "out.ppu")}
    for name in ("a", "b", "release"):
        assert run("key", "-o", path[name]) == 0
        assert stat.S_IMODE(path[name].stat().st_mode) == 0o600
    assert run("key", "-o", path["a"]) == 2  # never over another key
    words = ["root", "--version", 1, "--threshold", 2, "--expires", "2030-01-01", "-o", path["root.json"]]
    words += [
        "--root-key",
        f"{path['a']}.pub",
        "--root-key",
        f"{path['b']}.pub",
        "--release-key",
        f"{path['release']}.pub",
    ]
    assert run(*words) == 0
    assert run("sign", path["root.json"], "--key", path["a"], "-o", path["root.bin"]) == 0
    building = [
        "build",
        "--board",
        "host",
        "--version",
        2,
        "--minimum",
        1,
        "--release",
        "0.2.0",
        "--issued",
        "2026-11-25",
    ]
    building += ["--expires", "2027-06-01", "--root", path["root.bin"], "--key", path["release"], "-o", path["out.ppu"]]
    assert run(*building) == 1 and not path["out.ppu"].exists()  # one signature of two
    assert run("sign", path["root.bin"], "--key", path["b"], "-o", path["root.bin"]) == 0
    assert run(*building) == 0
    assert run("verify", path["out.ppu"], "--root", path["root.bin"], "--json") == 0
    listed = json.loads(capsys.readouterr().out.split("built twice\n")[-1])
    assert "main.py" in [item[0] for item in listed["files"]] and listed["version"] == 2
    path["out.ppu"].write_bytes(path["out.ppu"].read_bytes()[:-1])
    assert run("verify", path["out.ppu"], "--root", path["root.bin"]) == 1
    path["release"].chmod(0o644)
    assert run(*building) == 2
    assert run("verify", tmp_path / "absent", "--root", path["root.bin"]) == 2
    assert all(len(line) < 300 for line in capsys.readouterr().err.splitlines())
