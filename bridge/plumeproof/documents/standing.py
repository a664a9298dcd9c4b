"""What kind of text a document or interface is: its status, the act it rests on, the day that was last looked up.

Every document of `plumeproof report` shows one (`Standing.text`) and carries it (`Standing.content`); nothing is called
official that is not: that word is for a form which an authority has published and we follow to the letter.
"""

from __future__ import annotations

from dataclasses import dataclass

OFFICIAL, COMMUNITY, PROVISIONAL, OWN_FORM = STATUSES = ("official", "community", "provisional", "own form")


@dataclass(frozen=True, slots=True)
class Standing:
    """`act`: law, standard or specification; `checked`: ISO day; `note`: what more must be known, a sentence."""

    status: str
    act: str
    checked: str
    note: str = ""

    @property
    def text(self) -> str:
        """For people."""
        return f"{self.status}: {self.act}; last checked {self.checked}" + (f". {self.note}" if self.note else "")

    @property
    def content(self) -> dict[str, str]:
        """For machines."""
        found = {"status": self.status, "act": self.act, "checked": self.checked}
        return found | {"note": self.note} if self.note else found
