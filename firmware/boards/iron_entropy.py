"""ports.Entropy on os.urandom, with the condition under which each port's generator is one.

    esp32  esp_random() is a true generator only while radio or bootloader source is on (ESP-IDF, "Random Number
           Generation"): the radio is switched on, without a network, while a seed is drawn; afterwards numbers come
           from that seed and the generator together
    rp2    ring oscillator, 8 samples a bit (rosc_random_u8 of 1.25): taken as it is
    stm32  hardware generator where the chip has one (`pyb.rng` is there then); without it 1.25 falls back to a
           generator seeded with serial number and clock, which is refused. A generator that fails answers 0.

What can be seen of a dead generator is looked for before a key is made: two draws alike, or a draw of one byte value.
"""

import hashlib
import os

_SEED_BYTES = 32
_DRAWS = 4


class Entropy:
    """ports.Entropy, and `key` for the soft signer's private key. source: count -> bytes."""

    def __init__(self, source=os.urandom) -> None:
        self._source = source

    def random(self, count: int) -> bytes:
        return self._source(count)

    def key(self) -> bytes:
        """32 bytes for a private key. Raises ValueError when the generator is seen to be dead."""
        draws = [self._source(_SEED_BYTES) for _ in range(_DRAWS)]
        for index, draw in enumerate(draws):
            if draw in draws[:index] or len(set(draw)) < 8:
                raise ValueError("no entropy: the generator repeats itself; no key was made")
        return hashlib.sha256(b"".join(draws)).digest()


class SeededEntropy(Entropy):
    """For a generator that is good only while `switch(True)` holds: 32 bytes drawn then go into every number."""

    def __init__(self, switch, source=os.urandom) -> None:
        """switch: None where the radio cannot be had. Then no key is made, and nonces are as good as the generator."""
        super().__init__(source)
        self._switch = switch
        self._count = 0
        self._seed = self._draw() if switch is not None else source(_SEED_BYTES)

    def random(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            self._count += 1
            found += hashlib.sha256(self._seed + self._count.to_bytes(8, "big") + self._source(16)).digest()
        return found[:count]

    def key(self) -> bytes:
        if self._switch is None:
            raise ValueError("no entropy: this image has no radio; make the key elsewhere or use a secure element")
        self._switch(True)
        try:
            return super().key()
        finally:
            self._switch(False)

    def _draw(self) -> bytes:
        self._switch(True)
        try:
            return self._source(_SEED_BYTES)
        finally:
            self._switch(False)


class NoEntropy(Entropy):
    """A port without a generator: nonces of the link come from what there is, keys are refused."""

    def key(self) -> bytes:
        raise ValueError("no entropy: this chip has no random number generator; use a secure element")
