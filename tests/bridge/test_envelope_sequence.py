"""Envelopes from a sequence, whole and damaged, beside a reader that parses every head of the whole file."""

from __future__ import annotations

import io

from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof.envelope_sequence import Item, outline_of, read_sequence
from plumeproof.evidence.envelope import TAG_AND_ARRAY
from tests.doubles.evidence_chain import build_chain

CHAIN = build_chain(6)


def read_slowly(raw: bytes) -> list[Item]:
    found, at, bad_from = [], 0, None
    while at < len(raw):
        outline = outline_of(raw, at)
        if outline is None:
            bad_from = at if bad_from is None else bad_from
            following = raw.find(TAG_AND_ARRAY, at + 1)
            at = following if following >= 0 else len(raw)
            continue
        if bad_from is not None:
            found.append(Item(str(bad_from), b"", at - bad_from))
            bad_from = None
        found.append(Item(str(at), raw[at : outline[2]]))
        at = outline[2]
    if bad_from is not None:
        found.append(Item(str(bad_from), b"", len(raw) - bad_from))
    return found


@given(
    st.lists(st.sampled_from(CHAIN), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 3), st.binary(max_size=3)), max_size=4),
)
@settings(max_examples=200, deadline=None)
def test_as_one_that_parses_everything(envelopes, edits):
    raw = bytearray(b"".join(bytes(one) for one in envelopes))
    for place, removed, put in edits:
        at = place % (len(raw) + 1)
        raw[at : at + removed] = put
    assert list(read_sequence(io.BytesIO(raw))) == read_slowly(bytes(raw))
