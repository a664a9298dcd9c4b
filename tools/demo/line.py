"""All parts of the line as processes, in the order in which they need each other, and their stop in the right order."""

from __future__ import annotations

from pathlib import Path

from tools import test_ca
from tools.broker import Broker
from tools.demo.layout import (
    MODULES,
    Layout,
)
from tools.demo.part import Part
from tools.demo.subscriber import Subscriber

CHECKOUT = Path(__file__).resolve().parents[2]
READY_S = 60.0  # the first start compiles the averaging kernels


class Line:
    """Everything that runs. `parts` by name; `dashboard` and `platform_page` are where to look."""

    def __init__(self, layout: Layout, values: str, seed: int) -> None:
        self.layout = layout
        self.parts: dict[str, Part] = {}
        self.dashboard = ""
        self.platform_page = ""
        self.broker_words = ""
        self._values = values
        self._seed = seed
        self._platform: dict[str, object] = {}
        self.broker: Broker | None = None
        self.witness: Subscriber | None = None

    def start(self) -> None:
        """Bring everything up. Raises PartError; what has been started then is stopped by `stop`."""
        layout = self.layout
        layout.root.mkdir(parents=True, exist_ok=True)
        test_ca.make(layout.authority)
        self._start_platform()
        self._start_broker()
        for number, name in enumerate(MODULES):
            self._start_plant(name, self._seed + number)
        self._start_modules()
        self._start_bridge()

    def _part(self, name: str, *command: str) -> Part:
        part = Part(name, list(command), self.layout.log(name), CHECKOUT)
        self.parts[name] = part
        part.start()
        return part
