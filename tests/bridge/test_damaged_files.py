"""A ledger file with damaged bytes (F10): what is not whole is named or refused, never shown, and nothing hangs.

Bits, bytes, pages zeroed, exchanged, doubled or random, and cut files. Real SQLite, which has no checksums of pages:
the signatures are the detector.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from plumeproof.averaging_stage import AveragingStage
from plumeproof.clock import SystemClock
from plumeproof.errors import StoreError
from plumeproof.evidence.chain import accept
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.evidence.record import parse_record
from plumeproof.inspection import Inspector, read_heads, read_ledger
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from tests.bridge.test_inspection import build_keys
from tests.doubles.evidence_chain import build_chain

PAGE = 4096
FILES = 150  # of each kind of reading
CHAIN = build_chain(60)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "ledger.sqlite"
    writer = Writer(path)
    ledger = SqliteLedger(writer, SystemClock())
    head = None
    for raw in CHAIN:
        envelope = verify_envelope(raw, build_keys().public_key)
        record = parse_record(envelope)
        head = accept(head, record).head
        ledger.append([(record, envelope)], head, [])
    writer.close()
    return path.read_bytes()


def damaged(whole: bytes, dice: random.Random) -> bytes:
    content = bytearray(whole)
    one, other = (PAGE * dice.randrange(len(whole) // PAGE) for _ in range(2))
    kind = dice.choice(("bit", "bytes", "zero", "swap", "double", "random", "cut"))
    if kind == "bit":
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    elif kind == "bytes":
        for _ in range(8):
            content[dice.randrange(len(content))] = dice.randrange(256)
    elif kind == "zero":
        content[one : one + PAGE] = bytes(PAGE)
    elif kind == "swap":
        content[one : one + PAGE], content[other : other + PAGE] = (
            content[other : other + PAGE],
            content[one : one + PAGE],
        )
    elif kind == "double":
        content[one : one + PAGE] = content[other : other + PAGE]
    elif kind == "random":
        content[one : one + PAGE] = dice.randbytes(PAGE)
    else:
        del content[dice.randrange(len(content)) :]
    return bytes(content)


def files(folder: Path, whole: bytes, seed: int):
    dice = random.Random(seed)
    for number in range(FILES):
        path = folder / f"{number}.sqlite"
        path.write_bytes(damaged(whole, dice))
        yield path


def test_verify_shows_nothing_that_was_not_sealed(tmp_path, whole):
    for path in files(tmp_path, whole, 1):
        inspector, named, shown = Inspector(build_keys()), [], []
        try:
            for item in read_ledger(path):
                found = inspector.take(item)
                named += found
                shown += [] if found else [item.raw]
            named += inspector.finish() + inspector.check_heads(read_heads(path))
        except StoreError as error:
            assert "\n" not in str(error)
        else:
            assert named or shown == CHAIN, path
        assert set(shown) <= set(CHAIN), path


def test_averaging_ends_or_says_that_the_file_is_damaged(tmp_path, whole):
    for path in files(tmp_path, whole, 2):
        try:
            writer = Writer(path)
        except StoreError:
            continue
        try:
            stage = AveragingStage(
                SqliteLedger(writer, SystemClock()), SqliteAverages(writer, SystemClock()), (10, 60), 0
            )
            for _ in range(3 * len(CHAIN)):
                if not stage.step(7):
                    break
            else:
                raise AssertionError(f"{path}: goes round for ever")
        except StoreError as error:
            assert "\n" not in str(error)
        finally:
            try:
                writer.close()
            except StoreError:
                pass
