"""A short run of the campaign in delivery_faults.py: all faults mixed, then one after the other in small numbers."""

from __future__ import annotations

from tests.system.delivery_faults import ALL, deliver_under

DIVIDING = ("400", "413", "422")


def test_all_faults_mixed(tmp_path):
    """But for refusals of the bytes: a platform that has stored a report answers a repeat with its receipt; one that
    refuses the repeat would get the halves as well (bridge/DESIGN.md)."""
    faults = [f"{fault}:rate=0.03" for fault in ALL if fault.split(":")[0] not in DIVIDING]
    outcome = deliver_under(tmp_path, faults, 40)
    assert outcome.wrong == ()
    assert (outcome.accepted, outcome.set_aside) == (160, 0)
    assert outcome.faults > 10


def test_refusals_mixed_with_what_was_not_stored(tmp_path):
    before = ("503", "429", "reset-before", "403", "409")
    outcome = deliver_under(tmp_path, [f"{fault}:rate=0.1" for fault in (*DIVIDING, *before)], 15)
    assert outcome.wrong == ()
    assert outcome.accepted + outcome.set_aside == outcome.averages == 60


def test_each_fault_twice_in_a_row_and_then_none(tmp_path):
    outcome = deliver_under(tmp_path, [f"{fault}:count=2" for fault in ALL], 20)
    assert outcome.wrong == ()
    assert outcome.faults >= len(ALL)
