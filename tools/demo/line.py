"""All parts of the line as processes, in the order in which they need each other; whoever dies is started again.

A module that is killed is a power cut: its flash file stays as it is and the next start mounts it. Parts keep their
addresses over restarts, so nobody has to be told.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools import test_ca
from tools.broker import Broker, free_port
from tools.demo.cable import Cable
from tools.demo.events import Events, Start
from tools.demo.layout import CHECKOUT, MODULES, SEAL_MS, SLOT_MS, Layout
from tools.demo.part import Cancelled, Part, PartError
from tools.demo.provision import configure_bridge, enroll, provision_module
from tools.demo.subscriber import Subscriber
from tools.demo.watchdog import Watchdog
from tools.journal_dump import read_entries

READY_S = 90.0  # the first start of a bridge compiles the averaging kernels
OWN_DEATHS_MAX = 3  # of one part with a status that says failure: then it is broken, not killed
BRIDGE, BROKER, PLATFORM = "bridge", "broker", "platform"
WITNESS_S = 10.0
HEAP = "heapsize=128wk"  # of the module: 128 KiB where words have 32 bits, so twice that on this machine
ROOT_TOPIC = "plumeproof"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the plants show, how the modules are set, which broker. `values`: model or a CSV (tools/plant)."""

    values: str = "model"
    map: Path | None = None
    row_s: float | None = None
    speed: float = 1.0
    start_s: float = 0.0
    faults: tuple[str, ...] = ()
    seed: int = 1
    slot_ms: int = SLOT_MS
    seal_ms: int = SEAL_MS
    broker: str | None = None

    def of_plant(self) -> list[str]:
        """Arguments for tools.plant."""
        words = ["--values", self.values, "--speed", str(self.speed), "--start-s", str(self.start_s)]
        words += ["--map", str(self.map)] if self.map is not None else []
        words += ["--row-s", str(self.row_s)] if self.row_s is not None else []
        return words + [word for fault in self.faults for word in ("--fault", fault)]


def plant_of(module: str) -> str:
    """Name of the part that is the plant on a module's bus."""
    return f"{module}-plant"


class Line:
    """Everything that runs. `parts` by name; `dashboard` and `platform_page` are where to look.

    `starts`: per module, when it was started. `restarts`: how often a part that had died was started again. While a
    part is waited for, `stopping` cancels.
    """

    def __init__(self, layout: Layout, wishes: Wishes, stopping: threading.Event, say: Callable[[str], None]) -> None:
        self.layout = layout
        self.parts: dict[str, Part] = {}
        self.starts: dict[str, list[Start]] = {name: [] for name in MODULES}
        self.restarts = 0
        self.broker_deaths_ns: list[int] = []
        self.dashboard = self.platform_page = ""
        self.broker: Broker | None = None
        self.witness: Subscriber | None = None
        self._wishes = wishes
        self.stopping = stopping
        self._say = say
        self._cables: list[Cable] = []
        self._own_deaths: dict[str, int] = {}
        self._watchdogs: dict[str, Watchdog] = {}
        layout.root.mkdir(parents=True, exist_ok=True)
        self._events = Events(layout.events)

    def start(self) -> None:
        """Bring everything up. Raises PartError or Cancelled; what has been started then is stopped by `stop`."""
        micropython = find_interpreter()
        if self.stopping.is_set():
            raise Cancelled
        self._say(f"MicroPython {version_of(micropython)} for the modules, {micropython}")
        test_ca.make(self.layout.authority)
        witness = test_ca.issue(self.layout.authority, "witness", "client", ())
        broker = self._start_broker()
        self.witness = Subscriber(
            ROOT_TOPIC, broker.is_mqtt5, self.layout.authority / "ca.pem", witness.certificate, witness.key
        )
        self.witness.start(broker.host, broker.port)
        self._begin_platform()
        for number, name in enumerate(MODULES):
            self._begin_plant(name, self._wishes.seed + number)
        for name in map(plant_of, MODULES):  # first: a module that finds nobody on its bus begins with gaps
            self._await(name)
        for name in MODULES:
            self._begin_module(name, micropython)
        for name in (PLATFORM, *MODULES):
            self._await(name)
        enroll(self.layout)
        if not self.witness.listens.wait(WITNESS_S):
            raise PartError(f"broker: its first client could not subscribe within {WITNESS_S:.0f} s")
        self._start_bridge(broker)

    def tend(self) -> None:
        """Start again whoever has died, a module that hangs among them. Raises PartError when a part keeps ending by
        itself."""
        for name, part in self.parts.items():
            if name in self._watchdogs and part.status is None and self._watchdogs[name].is_over():
                part.kill()
                self._watchdogs[name].bite()
                self._say(f"{name} has not fed its watchdog")
            status = part.status
            if status is None:
                continue
            if status > 0:
                self._own_deaths[name] = self._own_deaths.get(name, 0) + 1
                if self._own_deaths[name] > OWN_DEATHS_MAX:
                    part.check()
            self._note_death("died", name, status=status)
            self._say(f"{name} died ({_cause(status)}); it is started again")
            self.restart(name)

    def restart(self, name: str) -> None:
        """Start a part that is dead; returns when it is ready, or dead again: the next `tend` sees to that."""
        self.begin_again(name)
        try:
            self._await(name)
        except PartError:
            if self.parts[name].status is None:
                raise

    def begin_again(self, name: str) -> None:
        """Start a part that is dead, and do not wait."""
        self.restarts += 1
        self._begin(name)

    def kill(self, name: str) -> None:
        """kill -9; the next `tend` starts it again."""
        self._note_death("kill", name)
        self.parts[name].kill()

    def stop_plants(self) -> None:
        """The analyzers fall silent; what was asked before is answered and logged."""
        plants = [self.parts.pop(plant_of(name)) for name in MODULES]
        for plant in plants:
            self._events.write("stop", plant.name)
            plant.terminate()
        for plant in plants:
            plant.stop()

    def stop_part(self, name: str) -> None:
        """End one part for good."""
        self._events.write("stop", name)
        self.parts.pop(name).stop()

    def stop(self) -> None:
        """End whatever runs, in the order of the data; nothing is left behind, whenever it is called."""
        if self.witness is not None:
            self.witness.stop()
            self.witness = None
        order = [*map(plant_of, MODULES), *MODULES, BRIDGE, PLATFORM, BROKER]
        parts = [self.parts[name] for name in order if name in self.parts]
        for part in parts:
            part.terminate()
        for part in parts:
            part.stop()
        self.parts.clear()
        for cable in self._cables:
            cable.stop()
        self._cables.clear()
        self._events.close()

    def note_boot(self, name: str) -> None:
        """Of a module that is dead or drained: the boot that its newest start has brought into the journal, if any."""
        starts = self.starts[name]
        if starts:
            newest = max((entry.boot for entry in read_entries(self.layout.flash(name))), default=0)
            before = max((start.boot for start in starts[:-1] if start.boot is not None), default=0)
            starts[-1].boot = newest if newest > before else None

    def _note_death(self, event: str, name: str, **more: object) -> None:
        now_ns = self._events.write(event, name, **more)
        if name == BROKER:
            self.broker_deaths_ns.append(now_ns)

    def _start_broker(self) -> Broker:
        layout = self.layout
        broker = self.broker = Broker(layout.broker, layout.authority, layout.log(BROKER), self._wishes.broker)
        self.parts[BROKER] = broker.part
        self._events.write("start", BROKER, program=broker.words)
        broker.start()
        return broker

    def _begin_platform(self) -> None:
        port = free_port()
        self.platform_page = f"https://127.0.0.1:{port}"
        folder, authority = str(self.layout.platform), str(self.layout.authority)
        words = ("--dir", folder, "--authority", authority, "--port", str(port))
        self._add(PLATFORM, sys.executable, "-m", "tools.eu_platform", *words)
        self._begin(PLATFORM)

    def _begin_plant(self, name: str, seed: int) -> None:
        provision_module(self.layout, name, self._wishes.slot_ms, self._wishes.seal_ms)
        words = ("--dir", str(self.layout.root), "--module", name, "--parameters", str(self.layout.parameters(name)))
        plant = ("-m", "tools.plant", *words, "--seed", str(seed), *self._wishes.of_plant())
        self._add(plant_of(name), sys.executable, *plant)
        self._begin(plant_of(name))

    def _begin_module(self, name: str, micropython: str) -> None:
        cable = Cable(self.layout.module_tty(name), self.layout.gateway_tty(name))
        self._cables.append(cable)
        cable.start()
        self._watchdogs[name] = Watchdog(self.layout.module(name))
        self._add(name, micropython, "-X", HEAP, "firmware/main.py", str(self.layout.module(name)))
        self._begin(name)

    def _start_bridge(self, broker: Broker) -> None:
        port = free_port()
        self.dashboard = f"http://127.0.0.1:{port}/"
        configure_bridge(self.layout, broker, self.platform_page, port)
        self._add(BRIDGE, sys.executable, "-m", "plumeproof", "run", "-c", str(self.layout.config), "--json")
        self._begin(BRIDGE)
        self._await(BRIDGE)

    def _add(self, name: str, *command: str) -> None:
        self.parts[name] = Part(name, list(command), self.layout.log(name), CHECKOUT)

    def _begin(self, name: str) -> None:
        if name in MODULES:
            self.note_boot(name)
        now_ns = self._events.write("start", name)
        if name in MODULES:
            self.starts[name].append(Start(now_ns))
            self._watchdogs[name].arm()
        self.parts[name].start()

    def _await(self, name: str) -> None:
        if name == BROKER:
            assert self.broker is not None
            self.broker.wait()
            return
        ready = '{"ready": true' if name == BRIDGE else "ready"
        self.parts[name].wait_for(ready, READY_S, self.stopping.is_set)
        self._events.write("ready", name)


def find_interpreter() -> str:
    """Path of the project's MicroPython. Raises PartError with the set-up's own reason."""
    command = [sys.executable, str(CHECKOUT / "tools" / "setup" / "interpreter.py"), "--print"]
    found = subprocess.run(command, capture_output=True, text=True, process_group=0, check=False)
    if found.returncode:
        raise PartError(f"MicroPython: {found.stderr.strip()}; run `make setup`")
    return found.stdout.strip()


def version_of(interpreter: str) -> str:
    """Of a MicroPython."""
    program = "import sys; print('.'.join(str(part) for part in sys.implementation[1][:3]))"
    asked = subprocess.run([interpreter, "-c", program], capture_output=True, text=True, process_group=0, check=False)
    if asked.returncode:
        raise PartError(f"MicroPython: {interpreter} does not run: {asked.stderr.strip()}; run `make setup`")
    return asked.stdout.strip()


def _cause(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
