"""One analyzer: a Modbus RTU server of pymodbus on a pty of its own, independent of all code of ours on the wire.

The registers it shows are set by its owner just before a request is handed to it (an analyzer's measuring side and its
Modbus side are two programs as well). Addresses without a register answer with exception 2; bits are held in words of
16, so bits of such a word that have no meaning read 0. Writing is refused with exception 1.
"""

from __future__ import annotations

import os
import tty

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from tools.plant.layout import Analyzer, Block

_BIT_SPACES = {1: 0, 2: 1}  # function -> place in pymodbus' (coils, inputs, holding registers, input registers)
_REGISTER_SPACES = {3: 2, 4: 3}
_NOWHERE = 65_520  # a word of bits or a register at the end of a space that is not used: pymodbus refuses an empty one


class AnalyzerServer:
    """A server and the far end of its line. `fd`: our side of the pty, non-blocking.

    `exception`: Modbus exception code that every answer carries while it is not 0 (fault on demand).
    """

    def __init__(self, analyzer: Analyzer) -> None:
        self.analyzer = analyzer
        self.exception = 0
        self._image: dict[Block, bytearray] = {}
        self.fd, self._far_fd = os.openpty()
        tty.setraw(self._far_fd)
        os.set_blocking(self.fd, False)
        self._server: ModbusSerialServer | None = None

    async def start(self) -> None:
        """Listen; requests written to `fd` are answered from now on."""
        device = SimDevice(self.analyzer.unit, simdata=self._spaces(), action=self._refresh)
        self._server = ModbusSerialServer(device, port=os.ttyname(self._far_fd))
        await self._server.serve_forever(background=True)

    async def stop(self) -> None:
        """Close server and line."""
        if self._server is not None:
            await self._server.shutdown()
        os.close(self.fd)
        os.close(self._far_fd)

    def show(self, image: dict[Block, bytearray]) -> None:
        """What the registers hold from now on."""
        self._image = image

    def _spaces(self) -> tuple[list[SimData], list[SimData], list[SimData], list[SimData]]:
        taken: tuple[set[int], set[int], set[int], set[int]] = (set(), set(), set(), set())
        for block in self.analyzer.blocks:
            if block.is_bits:  # whole words: pymodbus keeps 16 bits in one
                words = range(block.address // 16, (block.address + block.quantity + 15) // 16)
                taken[_BIT_SPACES[block.function]].update(words)
            else:
                registers = range(block.address, block.address + block.quantity)
                taken[_REGISTER_SPACES[block.function]].update(registers)
        bits = [
            [SimData(16 * word, values=[False] * 16, datatype=DataType.BITS) for word in sorted(words)]
            or [SimData(_NOWHERE, values=[False] * 16, datatype=DataType.BITS)]
            for words in taken[:2]
        ]
        registers = [
            [SimData(address, datatype=DataType.REGISTERS) for address in sorted(addresses)]
            or [SimData(_NOWHERE, datatype=DataType.INVALID)]
            for addresses in taken[2:]
        ]
        return bits[0], bits[1], registers[0], registers[1]

    async def _refresh(
        self, function: int, start: int, address: int, count: int, held: list[int], written: list[int] | None
    ) -> ExcCodes | None:
        """Called by pymodbus before it answers. `held`: its registers from `start` on, bits as words of 16."""
        if self.exception:
            return ExcCodes(self.exception)
        if written is not None:
            return ExcCodes.ILLEGAL_FUNCTION
        for block, content in self._image.items():
            if block.function != function:
                continue
            if block.is_bits:
                for bit in range(block.quantity):
                    word, place = divmod(block.address + bit, 16)
                    is_set = content[bit // 8] >> bit % 8 & 1
                    held[word - start] = held[word - start] & ~(1 << place) | is_set << place
            else:
                for register in range(block.quantity):
                    held[block.address - start + register] = int.from_bytes(
                        content[2 * register : 2 * register + 2], "big"
                    )
        return None
