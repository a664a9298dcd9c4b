"""The footprint host put together: ledger and site file -> shelf -> socket, and an outbox of its own for events.

It reads the bridge's ledger and never writes to it, so it runs beside `plumeproof run` or without it. What is
asynchronous waits in `data_dir/pact/` and is delivered by the bridge's own delivery stage. Only here concrete classes
meet; like service.py it is the place that catches everything.

    service = PactService(load_config(path)); service.start(); service.url; service.stop()
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from plumeproof.clock import SystemClock
from plumeproof.config import Config
from plumeproof.delivery.private_file import FileWatch, read_secret
from plumeproof.delivery.stage import DeliveryStage
from plumeproof.documents.permit import require_agreement
from plumeproof.documents.site import load_site
from plumeproof.errors import BlockedDelivery, BridgeError, ConfigError
from plumeproof.figure_desk import FigureDesk
from plumeproof.ledger_strips import LedgerStrips
from plumeproof.model import NewRow
from plumeproof.pact import events
from plumeproof.pact.credentials import Client, RateLimit, TokenDesk, hash_of
from plumeproof.pact.endpoints import Endpoints, Limits
from plumeproof.pact.faults import BAD_REQUEST, Fault
from plumeproof.pact.footprint import Issued
from plumeproof.pact.host import Host, Place
from plumeproof.pact.issuing import issue_all
from plumeproof.pact.offer import read_offer
from plumeproof.pact.partner_sink import MADE, Partner, PartnerSink
from plumeproof.pact.shelf import Shelf
from plumeproof.pact_config import ALL, PactClientConfig, outbox_of
from plumeproof.plant_file import open_engine
from plumeproof.ports import Clock
from plumeproof.store.connection import Writer
from plumeproof.store.lock import LedgerLock
from plumeproof.store.outbox import SqliteOutbox

STAGE = "pact"  # in the cursor table of the outbox
ORDER = "pact"  # all events of a customer are in one order
KIND = "report"  # of the kinds that the outbox table takes, a document; it has none for events
REST_S = 1.0  # until it is looked whether an event is due again
SECRET_MIN = 16  # characters; below that one SHA-256 hides nothing
STOP_S = 3.0

_log = logging.getLogger(__name__)


class PactService:
    """The host of one bridge. `refused`: footprints that could not be made at the last look, a sentence each."""

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        """Everything is read, bound and opened. Raises ConfigError, RuleError, StoreError."""
        self._config, self._clock = config, clock or SystemClock()
        pact = config.pact
        if not pact.clients:
            raise ConfigError("pact.client", "is missing: nobody could ask; `plumeproof config sample` shows one")
        clients = [_client(one) for one in pact.clients]
        self.refused: tuple[str, ...] = ()
        self._shelf = Shelf()
        self._shelf.put(self._load())
        outbox = outbox_of(config)
        self._lock = LedgerLock(outbox.parent)
        self._writer = Writer(outbox)
        self._outbox = SqliteOutbox(self._writer, self._clock)
        self._told = [client for client in clients if client.can_be_told]
        self._stages = [self._stage(one) for one in pact.clients if one.base_url is not None]
        desk = TokenDesk(clients, pact.token_s, self._clock)
        per_minute = (pact.requests_per_minute, pact.tokens_per_minute, pact.events_per_minute)
        limits = Limits(*(RateLimit(count, self._clock) for count in per_minute))
        app = Endpoints(self._shelf, desk, self, limits).app(pact.cert_file is None)
        try:
            self._host = Host(Place(pact.host, pact.port, pact.cert_file, pact.key_file, pact.connections_max), app)
        except BridgeError:
            self._writer.close()
            self._lock.release()
            raise
        self.url = self._host.url
        self._stopping = threading.Event()
        self._wake = {name: threading.Event() for name, _ in self._stages}
        self._threads = [threading.Thread(target=self._keep_fresh, name="pact-shelf", daemon=True)]
        self._threads += [
            threading.Thread(target=self._deliver, args=(name, stage), name=f"pact-{name}", daemon=True)
            for name, stage in self._stages
        ]

    def start(self) -> None:
        """Answer; news that were made before the start go out now."""
        self._tell_news()
        self._host.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """What waits in the outbox goes out after the next start."""
        self._stopping.set()
        for wake in self._wake.values():
            wake.set()
        self._host.stop()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(STOP_S)
        for _, stage in self._stages:
            stage.close()
        self._writer.close()
        self._lock.release()

    @property
    def footprints(self) -> int:
        """How many are handed out."""
        return len(self._shelf.all())

    def refresh(self) -> None:
        """Look at certificate, site file and ledger again; what is new is told. Raises as the start does; then what was
        shown before is shown on."""
        self._host.renew()
        self._shelf.put(self._load())
        self._tell_news()

    def accept(self, client: Client, event: events.Event) -> None:
        """As endpoints.Post.accept. The answer is made of what is on the shelf now."""
        if not client.can_be_told:
            raise Fault(BAD_REQUEST, "no events endpoint is agreed with this client; use GET /3/footprints")
        time = self._now()
        if event.criteria is None:
            fault = Fault(BAD_REQUEST, "data holds something that is no criterion of the specification")
            body = events.build_rejected(event, fault, self._source, time)
        else:
            found = self._shelf.fitting(event.criteria, client.products)
            if len(found) > events.ANSWER_MAX:
                fault = Fault(BAD_REQUEST, f"{len(found)} footprints fit; use GET /3/footprints, or name more criteria")
                body = events.build_rejected(event, fault, self._source, time)
            elif found:
                body = events.build_fulfilled(event, [one.content for one in found], self._source, time)
            else:
                body = events.build_rejected(event, events.nothing_found(), self._source, time)
        # Power failing before this returns: no row and no answer 200, the customer sends the event again. The same
        # event twice is one row.
        self._enqueue(client.id, [(f"answer/{hash_of(event.source + chr(10) + event.id).hex()}", body)])

    @property
    def _source(self) -> str:
        """A URI reference; who we are in events (CloudEvents 1.0 section 3.1.1)."""
        return f"urn:plumeproof:{self._config.gateway.id}:pact"

    def _load(self) -> Sequence[Issued]:
        kept, refused = load_footprints(self._config)
        for sentence in refused:
            if sentence not in self.refused:
                _log.warning("pact_footprint_refused reason=%s", sentence)
        self.refused = tuple(refused)
        return kept

    def _tell_news(self) -> None:
        """Each active footprint once to each customer that may see it: the outbox knows what was told."""
        for client in self._told:
            rows = [
                (f"published/{one.id}", events.build_published(one.id, client.id, self._source, self._now()))
                for one in self._shelf.all()
                if one.is_active and (client.products is None or one.offered.product.id in client.products)
            ]
            if rows:
                self._enqueue(client.id, rows)

    def _enqueue(self, client: str, bodies: Sequence[tuple[str, bytes]]) -> None:
        now = self._clock.utc_ms()
        rows = [NewRow(client, ORDER, KIND, key, body, attributes={MADE: str(now)}) for key, body in bodies]
        self._outbox.enqueue(rows, STAGE, client, now)
        self._wake[client].set()

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock.utc_ms() // 1000, UTC).isoformat().replace("+00:00", "Z")

    def _stage(self, one: PactClientConfig) -> tuple[str, DeliveryStage]:
        watch = FileWatch([file for file in (one.own_secret_file, one.ca_file) if file is not None])
        sink = PartnerSink(partner_of(one), self._clock)
        return one.id, DeliveryStage(sink, self._outbox, self._clock, is_mended=watch.has_changed)

    def _deliver(self, name: str, stage: DeliveryStage) -> None:
        told = ""
        while not self._stopping.is_set():
            try:
                rest_s = stage.step()
                told = ""
            except BridgeError as error:
                if str(error) != told:
                    _log.warning("pact_delivery client=%s reason=%s", name, error)
                told = str(error)
                rest_s = stage.recover(error) or REST_S
            except Exception:  # noqa: BLE001 - a fault of ours must not stop this customer's deliveries
                _log.exception("fault part=pact-%s", name)
                rest_s = REST_S
            if rest_s != 0.0:
                self._wake[name].wait(REST_S if rest_s is None else rest_s)
                self._wake[name].clear()

    def _keep_fresh(self) -> None:
        while not self._stopping.wait(self._config.pact.refresh_s):
            try:
                self.refresh()
            except BridgeError as error:
                _log.error("pact_refresh_failed reason=%s", error)  # what was handed out before still is
            except Exception:  # noqa: BLE001 - as above: it is tried again
                _log.exception("fault part=pact-shelf")


def load_footprints(config: Config) -> tuple[Sequence[Issued], Sequence[str]]:
    """What is handed out, and a sentence for each that is not. Raises ConfigError, RuleError, StoreError."""
    if config.documents.site_file is None:
        raise ConfigError("documents.site_file", "is missing; `plumeproof report --sample-site` prints a file")
    site_file = load_site(config.documents.site_file)
    known = [product.id for product in read_offer(site_file).products]
    for client in config.pact.clients:
        strange = next((name for name in client.products if name not in (ALL, *known)), None)
        if strange is not None:
            where = f"pact.client {client.id}"
            raise ConfigError(where, f"product {strange} is none of {site_file.path}: {', '.join(known)}")
    refused: list[str] = []
    with ExitStack() as stack:
        desks = {}
        for one in config.plants:
            engine = open_engine(one.file, one.rule_files)
            ledger = LedgerStrips(config.gateway.ledger_file, engine.devices())
            stack.callback(ledger.close)
            desks[engine.plant.id] = (FigureDesk(engine, ledger), ledger)
        require_agreement(site_file, {name: desk.engine.plant for name, (desk, _) in desks.items()})
        issued = issue_all(site_file, desks, lambda error: refused.append(str(error)))
    refused += [f"{one.offered.at}: {', '.join(one.weak)} does not count by its rule set" for one in issued if one.weak]
    return [one for one in issued if not one.weak], refused


def partner_of(one: PactClientConfig) -> Partner:
    """A client's own host; it has one."""
    assert one.base_url is not None and one.own_secret_file is not None  # pact_config has seen to it
    return Partner(one.id, one.base_url, one.token_url or "", one.own_client_id, one.own_secret_file, one.ca_file)


def _client(one: PactClientConfig) -> Client:
    products = None if ALL in one.products else frozenset(one.products)
    if one.secret_file is None:
        return Client(one.id, bytes.fromhex(one.secret_sha256), products, one.base_url is not None)
    try:
        secret = read_secret(one.secret_file)
    except BlockedDelivery as error:
        raise ConfigError(f"pact.client {one.id}", str(error)) from error
    if len(secret) < SECRET_MIN:
        raise ConfigError(
            f"{one.secret_file}", f"a secret has {SECRET_MIN} characters or more; `plumeproof pact secret`"
        )
    return Client(one.id, hash_of(secret), products, one.base_url is not None)
