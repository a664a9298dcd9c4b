"""What a packet's flag and the statement's status say of the same hour, side by side. Pure.

They are of two things: the flag of one channel's average, the status of a mass that needs the flow as well. So a
difference is no disagreement, but somebody will ask for its reason: it is counted and named.
"""

from __future__ import annotations

from plumeproof.agreement.comparison import hour_text
from plumeproof.agreement.said import FLAG, Said, only_within
from plumeproof.agreement.signed import LinkAccount
from plumeproof.rules.hj212_flags import STOPPED, load_flags

# What a flag is called in the statement's words, where there is one
NORMAL_WORD, STOPPED_WORD = "measured", "stopped"
NOT_VALID = ("substituted", "missing")


def notes_of(said: list[Said], account: LinkAccount, period: tuple[int, int]) -> tuple[str, ...]:
    """A sentence for each pair of flag and status that differ, with the number of hours and the first of them."""
    flags = load_flags()
    normal, stopped = flags.flag_of("V")[0], flags.flag_of(STOPPED)[0]
    found: dict[tuple[str, str, str], set[int]] = {}
    for one in only_within(said, period):
        status = account.status_of(one.subject, one.start_utc_ms) if one.quantity == FLAG else None
        if status is None or one.text is None:
            continue
        words = {normal: (NORMAL_WORD,), stopped: (STOPPED_WORD,)}.get(one.text, NOT_VALID)
        if status not in words:
            found.setdefault((one.subject[1], one.text, status), set()).add(one.start_utc_ms)
    return tuple(
        f"{code}: {len(hours)} hours have flag {ascii(flag[:8])[1:-1]} in packets and status {status} in the statement,"
        f" the first {hour_text(min(hours))}: the flag is of the channel alone, the status of the mass"
        for (code, flag, status), hours in sorted(found.items())
    )
