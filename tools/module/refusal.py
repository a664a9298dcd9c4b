"""Why a verb ends without having done its work: one line, and the exit status that belongs to it."""

FAULT, USAGE, UNREACHABLE = 1, 2, 3


class Refusal(Exception):
    """`status`: 1 a fault found at the module, 2 wrong usage or configuration, 3 it cannot be reached."""

    def __init__(self, reason: str, status: int = FAULT) -> None:
        super().__init__(" ".join(reason.split()))
        self.status = status
