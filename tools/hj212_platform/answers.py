"""What a platform says to a message by itself (reference: reporting-interfaces sections 4.4 and 4.7). Pure.

An answer repeats the QN, goes out with ST 91, and carries the version bits of what it answers.
"""

from __future__ import annotations

from datetime import datetime

from tools.hj212_platform.reader import Message

ANSWERS_OF_UNIT = ("9011", "9012", "9013", "9014")  # to what the platform asked; never answered in turn
NOTICES = ("1001", "1013", "9015", "9021", "9022")  # answered by 9013; 9015 and 902x: our choice, the texts are silent
VERSION_BITS = 0xFC
WANTS_ANSWER = 1


def data_of(head: dict[str, str], area: str) -> bytes:
    """The data of a packet; fields without a value stay away, but MN."""
    fields = ";".join(f"{name}={value}" for name, value in head.items() if value or name == "MN")
    return f"{fields};CP=&&{area}&&".encode()


def answer_to(message: Message) -> bytes | None:
    """Data of the answer to an upload or notice; None where it wants none."""
    command = message.of("CN")
    if command in ANSWERS_OF_UNIT or not message.wants_answer:
        return None
    head = {
        "QN": message.of("QN"),
        "ST": "91",
        "CN": "9013" if command in NOTICES else "9014",
        "PW": message.of("PW"),
        "MN": message.of("MN"),
        "Flag": str(message.flag & VERSION_BITS),
    }
    return data_of(head, "")


def clock_area(message: Message, now: datetime) -> str | None:
    """CP of the 1012 that follows on 1013; None for everything else."""
    if message.of("CN") != "1013":
        return None
    instrument = message.value("PolId")
    return (f"PolId={instrument};" if instrument else "") + f"SystemTime={now:%Y%m%d%H%M%S}"
