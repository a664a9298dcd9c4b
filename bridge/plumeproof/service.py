"""The caretaker: builds every stage from the configuration, gives each a thread, starts and stops them.

Stages hand over through the ledger only, so any of them may fail, wait and begin again without the others; a kill at
any instant loses nothing (reference: reliability section 3). This is the only place that catches everything: what a
stage raises becomes its state in the health snapshot, one log line, and a pause before the next try.

    service = Service(load_config(path))
    service.start()
    service.stop()
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Protocol

from plumeproof import compiler_pages, observe
from plumeproof.anchor_stage import AnchorStage
from plumeproof.clock import SystemClock
from plumeproof.config import Config
from plumeproof.delivery.anchor_feed import STAGE
from plumeproof.delivery_parts import build_relay, build_sinks, keepers
from plumeproof.errors import AgreementError, AnchorRefused, BlockedDelivery, BridgeError, StoreError
from plumeproof.gateway_key import GatewayKey
from plumeproof.keys import load_keys
from plumeproof.module_stage import ModuleStage
from plumeproof.observe import Health
from plumeproof.ports import Clock, Ledger
from plumeproof.store.anchors import SqliteAnchors
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.connection import Writer
from plumeproof.store.figures import SqliteFigures
from plumeproof.store.ledger import SqliteLedger
from plumeproof.store.lock import LedgerLock
from plumeproof.store.outbox import SqliteOutbox

if TYPE_CHECKING:
    from plumeproof.hj212_parts import Link

LAST_ANCHOR_S = 1.5  # at a stop: how long the keepers may take the last anchor; then it waits for the next start
STOP_TIMEOUT_S = 5.0  # what a supervisor is promised; what still runs then is as safe to kill as at any instant
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 10.0  # a replugged cable is found again within this
AVERAGING_REST_S = 5.0  # without being woken; modules wake it when records are on disk
ANCHOR_REST_S = 2.0  # between two looks whether a statement is due, or wants a time-stamp
RELAY_REST_S = 0.5  # a report may be waiting for more averages
AGREEMENT_REST_S = 60.0  # between two looks at what was queued; the relay wakes it
SINK_REST_S = 1.0  # a row may become due again, a broker wants to be answered

_log = logging.getLogger(__name__)


class Stage(Protocol):
    """What a worker repeats."""

    def step(self) -> float | None:
        """Some work; 0.0: go on at once, more: rest for so many seconds, None: nothing to do before it is woken."""

    def recover(self, error: Exception) -> float | None:
        """Put in order what `step` left when it raised; seconds to rest, None: the worker's own back-off."""

    def counters(self) -> dict[str, int]:
        """For the pages, since the start."""

    def close(self) -> None:
        """Give back what is held. Never raises."""


class Averaging:
    """The averaging stage, made in its own thread: numba takes its second there, while records come in already."""

    def __init__(self, ledger: Ledger, averages: SqliteAverages, intervals_s: Sequence[int], grace_s: int) -> None:
        self._wanted = (ledger, averages, intervals_s, grace_s)
        self._step: Callable[[], int] | None = None
        self._counters: Callable[[], dict[str, int]] = dict

    def step(self) -> float | None:
        """As Stage.step."""
        if self._step is None:
            from plumeproof.averaging_stage import AveragingStage

            stage = AveragingStage(*self._wanted)
            self._step, self._counters = stage.step, lambda: asdict(stage.counters)
            compiler_pages.give_back()
        return 0.0 if self._step() else None

    def recover(self, _error: Exception) -> float | None:
        """It reads its cursor again by itself."""
        return None

    def counters(self) -> dict[str, int]:
        """As Stage.counters."""
        return self._counters()

    def close(self) -> None:
        """Nothing is held."""


class Figures:
    """The figures of all plants; like averaging made in its own thread, because it needs numba too."""

    def __init__(self, ledger: Ledger, averages: SqliteAverages, figures: SqliteFigures, config: Config) -> None:
        self._wanted = (ledger, averages, figures)
        self._config = config
        self._step: Callable[[], int] | None = None
        self._counters: Callable[[], dict[str, int]] = dict

    def step(self) -> float | None:
        """As Stage.step. Raises ConfigError and RuleError for a description that was changed for the worse."""
        if self._step is None:
            from plumeproof.figures_stage import FiguresStage
            from plumeproof.plant_file import open_engine

            engines = [open_engine(plant.file, plant.rule_files) for plant in self._config.plants]
            stage = FiguresStage(*self._wanted, engines, self._config.averaging.grace_s)
            self._step, self._counters = stage.step, lambda: asdict(stage.counters)
            compiler_pages.give_back()
        return 0.0 if self._step() else None

    def recover(self, _error: Exception) -> float | None:
        """It reads its cursor again by itself."""
        return None

    def counters(self) -> dict[str, int]:
        """As Stage.counters."""
        return self._counters()

    def close(self) -> None:
        """Nothing is held."""


class Worker(threading.Thread):
    """Repeats one stage's step until the bridge stops. Nothing that a stage raises leaves this thread."""

    def __init__(
        self, kind: str, name: str, stage: Stage, rest_s: float, service: Service, wakes: Sequence[Worker] = ()
    ) -> None:
        """`wakes`: who may have work after a step that did some."""
        super().__init__(name=f"{kind}-{name}", daemon=True)
        self.kind, self.part, self._stage, self._rest_s = kind, name, stage, rest_s
        self._service, self._wakes = service, wakes
        self._wake = threading.Event()

    def wake(self) -> None:
        """There may be work: end the rest."""
        self._wake.set()

    def run(self) -> None:
        """Until the bridge stops."""
        failures = 0
        while not self._service.stopping.is_set():
            self._wake.clear()
            try:
                rest_s = self._stage.step()
                self._enter(observe.UP)
                failures = 0
                if rest_s is not None:
                    for worker in self._wakes:
                        worker.wake()
            except BridgeError as error:
                rest_s = self._failed(failures, error, _state_after(error))
                failures += 1
            except Exception as error:  # noqa: BLE001 - the one place: a fault of ours must not stop the other stages
                _log.exception("fault part=%s", self.name)
                rest_s = self._failed(failures, error, observe.DOWN)
                failures += 1
            self._service.health.count(self.kind, self.part, **self._stage.counters())
            if rest_s is not None:
                self._service.stopping.wait(rest_s)  # a pause is kept, whoever has work
            elif not self._service.stopping.is_set():  # asked here: the wake of a stop may have been cleared above
                self._wake.wait(self._rest_s)
        self._stage.close()

    def _failed(self, failures: int, error: Exception, state: str) -> float:
        if self._service.stopping.is_set():
            return 0.0
        sentence = " ".join(str(error).split()) or type(error).__name__
        if self._service.health.enter(self.kind, self.part, state, self._service.clock.utc_ms(), sentence):
            level = logging.ERROR if state == observe.DOWN or isinstance(error, StoreError) else logging.WARNING
            _log.log(level, "%s part=%s reason=%s", state, self.name, sentence)
        rest_s = self._stage.recover(error)
        if rest_s is not None:
            return rest_s
        # Full jitter, so that many lines behind one hub do not knock together.
        return random.uniform(0.2, 1.0) * min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(failures, 10))  # noqa: S311 - no secret

    def _enter(self, state: str) -> None:
        if self._service.health.enter(self.kind, self.part, state, self._service.clock.utc_ms()):
            _log.info("%s part=%s", state, self.name)


def _state_after(error: BridgeError) -> str:
    return observe.DOWN if isinstance(error, (AgreementError, AnchorRefused, BlockedDelivery)) else observe.WAITING


class Service:
    """One bridge: its ledger, its stages and their threads."""

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        self.config = config
        self.clock: Clock = clock or SystemClock()
        self.health = Health()
        self.versions = observe.versions()
        self.keys = load_keys(config.keys.file)
        self.stopping = threading.Event()
        self._workers: list[Worker] = []
        self._lock: LedgerLock | None = None
        self._writer: Writer | None = None
        self._anchors: tuple[AnchorStage, SqliteOutbox] | None = None

    def start(self) -> None:
        """Open the ledger and start every thread; returns at once, ports and brokers may come later.

        Raises ConfigError (another bridge holds the ledger) and StoreError (the ledger cannot be opened).
        """
        self._lock = LedgerLock(self.config.gateway.data_dir)
        try:
            self._writer = Writer(self.config.gateway.ledger_file)
            self._build(self._writer)
        except BaseException:
            self.stop()
            raise
        for worker in self._workers:
            self.health.enter(worker.kind, worker.part, observe.STARTING, self.clock.utc_ms())
            worker.start()

    def _build(self, writer: Writer) -> None:
        """Stages from the last to the first: each wakes those behind it."""
        config = self.config
        ledger, averages = SqliteLedger(writer, self.clock), SqliteAverages(writer, self.clock)
        outbox = SqliteOutbox(writer, self.clock)
        own_key = None if config.anchors.key_file is None else GatewayKey(config.anchors.key_file)
        kid = None if own_key is None else own_key.kid.hex()
        stages = list(build_sinks(config, outbox, self.clock, averages, partial(self.health.is_up, "module"), kid))
        links = self._links(writer, outbox, averages, own_key)
        stages += [(link.name, link.stage) for link in links]
        sinks = [Worker("sink", name, stage, SINK_REST_S, self) for name, stage in stages]
        agreement = self._agreement(writer, averages)
        relays = []
        store = SqliteAnchors(writer, self.clock)
        if sinks:
            key_of_kid, feeds = partial(self.keys.public_key, purpose="anchor"), [link.feed for link in links]
            relay = build_relay(config, ledger, averages, outbox, self.clock, store, key_of_kid, feeds)
            relay.begin()
            relays.append(Worker("stage", "relay", relay, RELAY_REST_S, self, [*sinks, *agreement]))
        stage = Averaging(ledger, averages, config.averaging.intervals_s, config.averaging.grace_s)
        figures = []
        if config.plants:
            of_plants = Figures(ledger, averages, SqliteFigures(writer, self.clock), config)
            figures.append(Worker("stage", "figures", of_plants, AVERAGING_REST_S, self))
        averaging = Worker("stage", "averaging", stage, AVERAGING_REST_S, self, [*relays, *figures])
        uncertainty_ms = config.gateway.clock_uncertainty_ms
        modules = [
            Worker(
                "module",
                module.device,
                ModuleStage(module, uncertainty_ms, self.keys, ledger, self.clock, self.stopping),
                module.poll_interval_s,
                self,
                [averaging, *relays],
            )
            for module in config.modules
        ]
        self._workers = [
            *modules,
            averaging,
            *figures,
            *self._witnesses(own_key, store, outbox, relays),
            *relays,
            *agreement,
            *sinks,
        ]

    def _agreement(self, writer: Writer, averages: SqliteAverages) -> list[Worker]:
        """Who holds what is queued for platforms against what is signed. Raises ConfigError, RuleError."""
        if not self.config.https_sinks and not self.config.hj212_sinks:
            return []
        from plumeproof.agreement_stage import build_agreement_stage

        figures = SqliteFigures(writer, self.clock)
        stage = build_agreement_stage(self.config, writer, self.clock, averages, figures)
        return [Worker("stage", "agreement", stage, AGREEMENT_REST_S, self)]

    def _links(
        self, writer: Writer, outbox: SqliteOutbox, averages: SqliteAverages, own_key: GatewayKey | None
    ) -> Sequence[Link]:
        """Platforms by HJ 212. Raises ConfigError, RuleError."""
        if not self.config.hj212_sinks:
            return ()
        from plumeproof.hj212_parts import Stores, build_links
        from plumeproof.store.clock_orders import SqliteClockOrders

        stores = Stores(outbox, averages, SqliteFigures(writer, self.clock), SqliteClockOrders(writer))
        key_of_kid = partial(self.keys.public_key, purpose="anchor")
        return build_links(self.config, stores, self.clock, own_key, key_of_kid)

    def _witnesses(
        self, own_key: GatewayKey | None, store: SqliteAnchors, outbox: SqliteOutbox, relays: Sequence[Worker]
    ) -> list[Worker]:
        """Who signs the heads of the modules, and who gets time-stamps for it. Raises ConfigError."""
        wanted = self.config.anchors
        if own_key is None:
            return []
        workers: list[Worker] = []
        if wanted.tsa_url is not None and wanted.tsa_certificate_file is not None:
            from plumeproof.stamp_stage import StampStage
            from plumeproof.time_stamp import load_certificates

            stamps = StampStage(wanted.tsa_url, load_certificates(wanted.tsa_certificate_file), store)
            workers.append(Worker("stage", "time-stamps", stamps, ANCHOR_REST_S, self))
        stage = AnchorStage(
            self.config.gateway.id,
            own_key,
            store,
            self.keys,
            self.clock,
            wanted.every_hours * 3_600_000,
            wanted.every_records,
        )
        self._anchors = (stage, outbox)
        return [Worker("stage", "anchors", stage, ANCHOR_REST_S, self, [*workers, *relays]), *workers]

    def stop(self) -> bool:
        """End every thread within STOP_TIMEOUT_S and close the ledger; False when one hangs on something outside.

        Then the ledger stays open until the process ends, which is as good as any other instant.
        """
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        self._sign_last()
        self.stopping.set()
        for worker in self._workers:
            worker.wake()
        for worker in self._workers:
            if worker.ident is not None:
                worker.join(max(0.0, deadline_s - time.monotonic()))
        hanging = [worker.name for worker in self._workers if worker.is_alive()]
        if hanging:
            _log.warning("stop_incomplete parts=%s", ",".join(hanging))
            return False
        if self._writer is not None:
            self._writer.close()
        if self._lock is not None:
            self._lock.release()
        return True

    def _sign_last(self) -> None:
        """What came since the newest anchor is signed, and the keepers get a moment to take it."""
        if self._anchors is None or self.stopping.is_set():
            return
        (stage, outbox), self._anchors = self._anchors, None
        try:
            if not stage.sign_last():
                return
        except BridgeError as error:
            _log.error("last_anchor reason=%s", error)
            return
        except Exception:  # noqa: BLE001 - a fault of ours must not keep the bridge from stopping
            _log.exception("fault part=last_anchor")
            return
        number, gateway = stage.counters()["number"], self.config.gateway.id
        waiting = list(keepers(self.config))
        deadline_s = time.monotonic() + LAST_ANCHOR_S
        while waiting and time.monotonic() < deadline_s:
            for worker in self._workers:
                if worker.kind == "sink" or worker.part == "relay":
                    worker.wake()
            time.sleep(0.05)
            waiting = [
                name
                for name in waiting
                if (outbox.cursor(STAGE, name) or 0) < number or outbox.is_waiting(name, gateway)
            ]
