"""From the configuration to the parts of HJ 212 links: for each a delivery stage and the feed of its rows.

Only service.py and `doctor` use it; loaded where a [[sink.hj212]] is configured.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from plumeproof.clock_order_desk import ClockOrderDesk, SetClock, set_host_clock
from plumeproof.config import Config, Hj212SinkConfig
from plumeproof.delivery import hj212_memory as memory_of
from plumeproof.delivery.hj212_line import try_line
from plumeproof.delivery.hj212_memory import LinkMemory, QnSource
from plumeproof.delivery.hj212_orders import Orders
from plumeproof.delivery.hj212_sink import LONGEST_S, Hj212Sink, LinkSettings, read_password
from plumeproof.delivery.private_file import FileWatch
from plumeproof.delivery.relay import Feed
from plumeproof.delivery.stage import DeliveryStage
from plumeproof.gateway_key import GatewayKey
from plumeproof.hj212.commands import MINUTE_INTERVALS
from plumeproof.hj212.frame import Policy
from plumeproof.hj212.preview import STATUS, Edition
from plumeproof.hj212_feed import Hj212Feed
from plumeproof.hj212_link import LinkPlan, plan_links
from plumeproof.hj212_station import LedgerStation
from plumeproof.ports import AverageStore, Clock, FigureStore, Outbox
from plumeproof.store.clock_orders import SqliteClockOrders


@dataclass(frozen=True, slots=True)
class Link:
    """One platform: who delivers, and who queues."""

    name: str
    stage: DeliveryStage
    feed: Feed


@dataclass(frozen=True, slots=True)
class Stores:
    """Parts of the ledger that links read and write."""

    outbox: Outbox
    averages: AverageStore
    figures: FigureStore
    clock_orders: SqliteClockOrders


def build_links(
    config: Config,
    stores: Stores,
    clock: Clock,
    key: GatewayKey | None,
    public_key_of_kid: Callable[[bytes], bytes],
    set_clock: SetClock = set_host_clock,
) -> Sequence[Link]:
    """`key`: signs clock orders; None: they are not met. Raises ConfigError, RuleError."""
    plans, lock = plan_links(config), threading.Lock()
    found = []
    for sink in config.hj212_sinks:
        desk = ClockOrderDesk(
            config.gateway.id,
            key,
            stores.clock_orders,
            clock,
            sink.clock_tolerance_s * 1000,
            set_clock if sink.set_host_clock else None,
            lock,
            public_key_of_kid,
        )
        found.append(_link(config, sink, plans[sink.name], stores, clock, desk))
    return found


def _link(
    config: Config, sink: Hj212SinkConfig, plan: LinkPlan, stores: Stores, clock: Clock, desk: ClockOrderDesk
) -> Link:
    minutes = [one for one in MINUTE_INTERVALS if one * 60 in config.averaging.intervals_s]
    by_cause = sink.interval_flags == "cause"
    station = LedgerStation(
        plan, stores.averages, stores.figures, clock, minutes, sink.real_time_interval_s, by_cause
    )  # fmt: skip
    memory = LinkMemory(stores.outbox, sink.name, _defaults(sink))
    if memory.get(memory_of.MINUTE_MIN) not in minutes:  # the platform's, from before the configuration was changed
        memory.set(memory_of.MINUTE_MIN, sink.minute_interval_min)
    numbers = QnSource(clock, plan.utc_offset_min, memory)
    password_file = sink.secret_file if sink.allow_password_change else None
    where = f"{sink.host}:{sink.port}"
    orders = Orders(sink.name, where, station, memory, clock, desk, password_file)
    settings = LinkSettings(
        sink.host,
        sink.port,
        plan.mn,
        sink.st,
        sink.secret_file,
        Policy(sink.policy),
        sink.real_time_answer,
        sink.heartbeat_s,
        sink.login,
        sink.ask_time,
        Edition(sink.version),
    )
    platform = Hj212Sink(sink.name, settings, station, memory, numbers, orders, clock)
    watch = FileWatch([sink.secret_file])
    stage = DeliveryStage(platform, stores.outbox, clock, LONGEST_S, is_mended=watch.has_changed)
    feed = Hj212Feed(
        sink.name, sink.st, station, stores.averages, stores.figures, stores.outbox, memory, numbers, clock,
        sink.wait_for_modules_s,
    )  # fmt: skip
    return Link(sink.name, stage, feed)


def _defaults(sink: Hj212SinkConfig) -> dict[str, int]:
    """Before the platform has set them."""
    return {
        memory_of.OVER_TIME: sink.over_time_s,
        memory_of.TRIES: sink.tries,
        memory_of.REAL_TIME_S: sink.real_time_every_s,
        memory_of.MINUTE_MIN: sink.minute_interval_min,
        memory_of.IS_REAL_TIME: int(sink.real_time_is_on),
    }


def try_link(config: Config, sink: Hj212SinkConfig) -> str:
    """Plan, password and connection of a link, in one sentence. Raises ConfigError, RuleError and DeliveryError."""
    plan = plan_links(config)[sink.name]
    read_password(sink.secret_file)
    where = try_line(sink.host, sink.port)
    codes = ", ".join(entry.code for entry in plan.entries)
    by = f"; version {sink.version}: {STATUS}" if sink.version == Edition.PREVIEW else ""
    return (
        f"{where} takes connections; MN {plan.mn}, {codes}; whether the platform takes our packets shows the link{by}"
    )
