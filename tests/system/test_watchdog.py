"""A module that hangs is reset by its watchdog, says so in its next boot, and after three bad starts polls no more but
still answers: the real firmware on the real interpreter, the demo's watchdog around it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from acqwire import causes, fields
from acqwire.names import FAULT_NAMES

from plumeproof.model import Boot, Event, Health, Samples
from tests.doubles.module_rig import LINK_ADDRESS, ROOT, ModuleRig
from tools.demo.watchdog import Watchdog
from tools.module.info import lines_of

LIMIT_S = 3.0
BOARD = Path(__file__).with_name("hanging_module.py")


class WatchedRig(ModuleRig):
    """A module whose board can be made to hang, and its watchdog."""

    def __init__(self, root: Path, interpreter: str) -> None:
        super().__init__(root, interpreter)
        self.heap = "160wk"  # beside the firmware there is the board that hangs
        self.watchdog = Watchdog(self.folder, LIMIT_S)

    def start(self) -> None:
        self.watchdog.arm()
        (self.folder / "lamp_flashes").touch()  # asks for a light
        command = [self.interpreter, "-X", f"heapsize={self.heap}", str(BOARD), str(ROOT / "firmware")]
        self.module = subprocess.Popen(
            [*command, str(self.folder)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        line = self.module.stdout.readline()
        assert line == "ready\n", (line, self.module.communicate(timeout=10))

    def wait_for_reset(self, timeout_s: float = 40.0) -> None:
        """Until the watchdog is over; then what it does."""
        deadline = time.monotonic() + timeout_s
        while not self.watchdog.is_over():
            assert time.monotonic() < deadline and self.module.poll() is None
            time.sleep(0.05)
        self.kill()
        self.watchdog.bite()

    def wait_for_lamp(self, flashes: str) -> None:
        """Until the light says so: it is looked at once a second."""
        path, deadline = self.folder / "lamp_flashes", time.monotonic() + 10.0
        while not path.exists() or path.read_text() != flashes:
            assert time.monotonic() < deadline, path.exists() and path.read_text()
            time.sleep(0.05)


def test_a_module_that_hangs_is_reset_and_three_times_lead_to_safe_mode(tmp_path, micropython):
    rig = WatchedRig(tmp_path, micropython)
    try:
        rig.start_plant()
        rig.start()
        gateway = rig.gateway()
        gateway.collect(lambda records: any(isinstance(record.body, Samples) for record in records))
        rig.wait_for_lamp("1")
        assert not rig.watchdog.is_over()
        (rig.folder / "hang").touch()
        for _ in range(2):
            rig.wait_for_reset()
            rig.start()
        rig.wait_for_reset()
        (rig.folder / "hang").unlink()  # whatever it was has passed; nobody knows yet
        polled = len(rig.plant_log())
        rig.start()
        gateway.greet()
        gateway.collect(lambda records: any(isinstance(one.body, Event) and one.boot == 4 for one in records))
        time.sleep(2.0)
        gateway.fetch()
        assert len(rig.plant_log()) == polled
        boots = [record.body for record in gateway.records if isinstance(record.body, Boot)]
        assert [boot.reset_cause for boot in boots] == [fields.RESET_POWER] + [fields.RESET_WATCHDOG] * 3
        (event,) = [record.body for record in gateway.records if isinstance(record.body, Event)]
        assert event.code == causes.EVENT_SAFE_MODE and tuple(event.args) == (causes.FAULT_WATCHDOG, 3)
        assert not any(isinstance(one.body, Samples | Health) for one in gateway.records if one.boot == 4)
        rig.wait_for_lamp("7")
        assert [fault.code for fault in gateway.line.faults_ask().faults] == [causes.FAULT_WATCHDOG] * 3

        rig.kill()  # the plug is pulled: one start polls again
        rig.start()
        gateway.greet()
        gateway.collect(lambda records: any(isinstance(one.body, Samples) and one.boot == 5 for one in records))
        assert not gateway.holes
    finally:
        rig.close()


def test_info_tells_the_faults_and_of_an_older_module_that_it_does_not_know():
    name = dict(FAULT_NAMES)[causes.FAULT_WATCHDOG]
    lines = lines_of(
        {"faults": [{"fault": name, "boot": 3, "uptime_s": None}, {"fault": name, "boot": None, "uptime_s": 9}]}
    )
    assert lines == [
        f"{'faults':<16} fault watchdog, boot 3, uptime s -",
        f"{'faults':<16} fault watchdog, boot -, uptime s 9",
    ]
    assert lines_of({"faults": []}) == [f"{'faults':<16} none"]
    assert lines_of({"faults": None}) == [f"{'faults':<16} -"]
    assert LINK_ADDRESS == 7
