"""Whether the secure element's counter in the boot records of one module only grows (SPEC.md section 4.3).

A journal can be put back to an older state, a chip's counter cannot. So a boot whose number is not above that of the
boots before it, under one and the same key, was not made by the chip that made those, or is shown out of its order.
"""

from __future__ import annotations

from acqwire import counts

from plumeproof.model import Boot


class CounterCheck:
    """One module's counters as its boots pass. Its keys are those of keys.json, so what is kept is bounded."""

    def __init__(self) -> None:
        self._highest: dict[bytes, tuple[int, int]] = {}  # kid: boot with the highest counter, and it

    def take(self, kid: bytes, boot: int, body: Boot) -> str | None:
        """What is wrong with the counter of this boot; None: nothing, or it has none."""
        counter = body.element_counter
        if counter is None:
            return None
        before = self._highest.get(kid)
        if before is not None and counter <= before[1] and not before[1] == counter == counts.ELEMENT_COUNTER_MAX:
            return (
                f"counter {counter} of its secure element is not above {before[1]} of boot {before[0]}: a copied or put"
                " back journal, or another chip"
            )
        self._highest[kid] = (boot, counter)
        return None
