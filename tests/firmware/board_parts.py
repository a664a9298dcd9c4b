"""What the tests of the board files share: a board opened on fakes of its port, its folder in the temporary one."""

import os

import board_fakes

BOARDS = (
    ("esp32_t_can485", "esp32"),
    ("esp32_s3_waveshare", "esp32"),
    ("rp2_pico_2ch", "rp2"),
    ("rp2_pico_de", "rp2"),
    ("stm32_pyboard", "stm32"),
)
FILES = ("settings.json", "parameters.json", "key.bin", "public_key.bin", "fault.bin", "last_faults.bin", "wanted.bin",
         "element.json")  # fmt: skip


class Set:
    """A board opened on a rig, its folder in the temporary one. `close` removes it."""

    def __init__(self, name, port, flush="exact", before=None, has_folder=True) -> None:
        self.rig = board_fakes.install(port, flush)
        self.folder = "/tmp/plumeproof-boards-{}-{}".format(name, os.urandom(4).hex())
        self.clear()
        if has_folder:
            os.mkdir(self.folder)
        import boards.iron
        import boards.iron_start
        import boards.spi_nor
        import boards.uart_bus

        board_fakes.bind_time(self.rig, boards.iron, boards.uart_bus, boards.spi_nor)
        if port == "rp2":
            import boards.rp2_chip

            boards.rp2_chip.file_system_bytes = lambda: 96 * 4096
            import boards.rp2_pio_bus

            board_fakes.bind_time(self.rig, boards.rp2_pio_bus)
        self.module = getattr(__import__("boards." + name), name)
        if before is not None:
            before(self)
        self.board = self.module.open_board(self.folder)
        self.uart = self.board.bus.uart

    def clear(self) -> None:
        for name in FILES:
            for path in (self.folder + "/" + name, self.folder + "/" + name + ".new"):
                if is_there(path):
                    os.remove(path)
        if is_there(self.folder):
            os.rmdir(self.folder)

    def write(self, name, content) -> None:
        with open(self.folder + "/" + name, "wb") as file:
            file.write(content)


def is_there(path) -> bool:
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def on_each(test, boards=BOARDS) -> None:
    for name, port in boards:
        place = Set(name, port)
        try:
            test(place)
        finally:
            place.clear()


def refused(kind, call, *arguments):
    """The exception a call ends with."""
    try:
        call(*arguments)
    except kind as reason:
        return reason
    raise AssertionError("not refused")
