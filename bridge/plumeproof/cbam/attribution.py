"""Emissions of processes and their goods: what is attributed, what each good carries, specific embedded emissions.

    attributed direct   = measured + calculated + heat and waste gas imported - exported - electricity given away
    attributed indirect = electricity consumed times its factor
    SEE                 = (attributed + sum of precursors used times their SEE) / activity level

Exact decimals; a division is rounded once, half to even, at the end. Goods of one process have one SEE. The tonnes
that goods carry add up to those of their process to the last digit: shares are cut at a milligram, and the largest good
takes the rest. A good that another process here consumes is a precursor with the SEE that it has here, as printed; so
processes are worked out in the order in which they feed each other. Form after reference: reporting section 2.3; annex
III of (EU) 2025/2547 was not at hand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from plumeproof.cbam.entries import Period, Process
from plumeproof.cbam.site_table import CbamTable
from plumeproof.documents.declared import add, multiply
from plumeproof.errors import ConfigError

SEE_DECIMALS = 7  # of t CO2e per functional unit: what QReport 23.00 carries
TONNES_DECIMALS = 9  # of a good's share of t: a milligram
PRECURSORS = ("precursor", "own_precursor")  # kinds of items whose tonnes were emitted elsewhere
ONE_HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Item:
    """One line that makes up a process: `kind` measured, calculated, heat, waste_gas, electricity_exported,
    electricity, precursor or own_precursor; `t` with its sign; `ref`: source, stream, precursor, CN code; `amount` and
    `factor` where it has them, in the units that `kind` has."""

    kind: str
    process: str
    ref: str
    t: Decimal
    is_direct: bool
    amount: Decimal | None = None
    factor: Decimal | None = None
    basis: str = ""
    method: str = ""
    gas: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Direct and indirect, of one thing."""

    direct: Decimal
    indirect: Decimal


@dataclass(frozen=True, slots=True)
class GoodResult:
    """A CN code: its activity level, the tonnes that it carries of its process."""

    cn: str
    process: str
    name: str
    unit: str
    quantity: Decimal
    attributed: Pair


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """`see`: with precursors; `see_precursors`: their part of it; both rounded from exact numbers."""

    process: Process
    unit: str
    level: Decimal
    attributed: Pair
    precursors: Pair
    see: Pair
    see_precursors: Pair


@dataclass(frozen=True, slots=True)
class Attribution:
    """All of a period. `outside`: measured t CO2e of sources that belong to no process."""

    items: tuple[Item, ...]
    processes: tuple[ProcessResult, ...]
    goods: tuple[GoodResult, ...]

    def totals(self, part: str) -> tuple[Decimal, Decimal, Decimal]:
        """What was emitted, what processes and what goods carry; `part` is direct or indirect; without precursors."""
        own = [one.t for one in self.items if one.kind not in PRECURSORS and one.is_direct == (part == "direct")]
        processes = [getattr(one.attributed, part) for one in self.processes]
        return add(own), add(processes), add([getattr(one.attributed, part) for one in self.goods])

    def require_conserved(self) -> None:
        """That goods carry what was emitted. Raises ConfigError, which no input can cause."""
        for part in ("direct", "indirect"):
            emitted, processes, goods = self.totals(part)
            if not emitted == processes == goods:
                told = f"emitted {emitted}, of processes {processes}, of goods {goods}; report this as a fault"
                raise ConfigError(f"attribution of {part} emissions", told)


def divide(numerator: Decimal, denominator: Decimal, decimals: int) -> Decimal:
    """The quotient, exact and then rounded half to even. The denominator is not 0."""
    exact = Fraction(numerator) / Fraction(denominator) * 10**decimals
    return Decimal(round(exact)).scaleb(-decimals)


def share_out(total: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """Parts of a total by weight; their sum is the total to the last digit. One weight is above 0."""
    whole = sum(Fraction(weight) for weight in weights)
    exact = [Fraction(total) * Fraction(weight) / whole * 10**TONNES_DECIMALS for weight in weights]
    parts = [Decimal(math.floor(one)).scaleb(-TONNES_DECIMALS) for one in exact]
    largest = max(range(len(weights)), key=lambda at: weights[at])
    others = add([part for at, part in enumerate(parts) if at != largest])
    parts[largest] = add([total, others.copy_negate()])
    return parts


def attribute(table: CbamTable, periods: Sequence[Period], measured: Mapping[str, Decimal]) -> Attribution:
    """`measured`: t CO2e of each source in all of these periods. Raises ConfigError."""
    items = _items(table, periods, measured)
    results: dict[str, ProcessResult] = {}
    for process in _in_order(table, periods):
        items += _own_precursors(process.id, table, periods, results)
        results[process.id] = _result(process, table, periods, items)
    processes = [results[process.id] for process in table.processes]
    goods = [good for one in processes for good in _goods(one, table, periods)]
    found = Attribution(tuple(items), tuple(processes), tuple(goods))
    found.require_conserved()
    return found


def _in_order(table: CbamTable, periods: Sequence[Period]) -> list[Process]:
    """Each behind those whose goods it consumes. Raises ConfigError where they feed each other in a circle."""
    home = {one.cn: one.process for one in table.produced}
    feeds = {(home[one.cn], one.process) for period in periods for one in period.own_precursors}
    waiting, found = list(table.processes), list[Process]()
    while waiting:
        names = {one.id for one in waiting}
        ready = next((one for one in waiting if not any(a in names and b == one.id for a, b in feeds)), None)
        if ready is None:
            told = "consume each other's goods in a circle; take one of [[cbam.period.own_precursor]] away"
            raise ConfigError(f"processes {', '.join(sorted(names))}", told)
        waiting.remove(ready)
        found.append(ready)
    return found


def _quantity(cn: str, periods: Sequence[Period]) -> Decimal:
    return add([made.quantity for period in periods for made in period.production if made.cn == cn])


def _result(process: Process, table: CbamTable, periods: Sequence[Period], items: Sequence[Item]) -> ProcessResult:
    own = [one for one in items if one.process == process.id and one.kind not in PRECURSORS]
    used = [one for one in items if one.process == process.id and one.kind in PRECURSORS]
    level = add([_quantity(one.cn, periods) for one in table.produced if one.process == process.id])
    attributed, precursors = _pair(own), _pair(used)
    for part, tonnes in (("direct", attributed.direct), ("indirect", attributed.indirect)):
        if tonnes < 0:
            told = f"more is given away than emitted ({part} {tonnes} t CO2e); put exports or their factors right"
            raise ConfigError(f"process {process.id}", told)
    return ProcessResult(
        process=process,
        unit=table.book.categories[process.category].unit,
        level=level,
        attributed=attributed,
        precursors=precursors,
        see=Pair(
            divide(add([attributed.direct, precursors.direct]), level, SEE_DECIMALS),
            divide(add([attributed.indirect, precursors.indirect]), level, SEE_DECIMALS),
        ),
        see_precursors=Pair(
            divide(precursors.direct, level, SEE_DECIMALS), divide(precursors.indirect, level, SEE_DECIMALS)
        ),
    )


def _goods(process: ProcessResult, table: CbamTable, periods: Sequence[Period]) -> list[GoodResult]:
    produced = [one for one in table.produced if one.process == process.process.id]
    quantities = [_quantity(one.cn, periods) for one in produced]
    direct = share_out(process.attributed.direct, quantities)
    indirect = share_out(process.attributed.indirect, quantities)
    return [
        GoodResult(one.cn, one.process, one.name, process.unit, quantity, Pair(*pair))
        for one, quantity, pair in zip(produced, quantities, zip(direct, indirect, strict=True), strict=True)
    ]


def _own_precursors(
    process: str, table: CbamTable, periods: Sequence[Period], results: Mapping[str, ProcessResult]
) -> list[Item]:
    home = {one.cn: one.process for one in table.produced}
    found: list[Item] = []
    for period in periods:
        for one in period.own_precursors:
            if one.process == process:
                see = results[home[one.cn]].see
                for factor, is_direct in ((see.direct, True), (see.indirect, False)):
                    t, told = multiply(one.quantity, factor), f"made by process {home[one.cn]}"
                    found.append(Item("own_precursor", process, one.cn, t, is_direct, one.quantity, factor, told))
    return found


def _items(table: CbamTable, periods: Sequence[Period], measured: Mapping[str, Decimal]) -> list[Item]:
    found: list[Item] = []
    for process in table.processes:
        for share in process.sources:
            t = multiply(measured[share.id], multiply(share.share_pct, ONE_HUNDREDTH))
            basis = process.data_quality if share.share_pct == 100 else f"{share.share_pct} % of source {share.id}"
            found.append(Item("measured", process.id, share.id, t, True, basis=basis, method="measurement"))
    for period in periods:
        for stream in period.streams:
            found.append(
                Item(
                    *("calculated", stream.process, stream.id, stream.t_co2e, True),
                    basis=stream.basis,
                    method=stream.method,
                    gas=stream.gas,
                )
            )
        for heat in period.heat:
            for amount, sign, word in ((heat.imported_tj, 1, "imported"), (heat.exported_tj, -1, "exported")):
                if amount:
                    t = multiply(multiply(amount, heat.factor_t_tj), Decimal(sign))
                    found.append(Item(heat.kind, heat.process, word, t, True, amount, heat.factor_t_tj, heat.basis))
        for one in period.electricity:
            told, factor = (one.process, one.source), one.factor_t_mwh
            t = multiply(one.consumed_mwh, factor)
            found.append(Item("electricity", *told, t, False, one.consumed_mwh, factor, one.factor_source))
            if one.exported_mwh:
                factor = one.export_factor_t_mwh
                t = multiply(multiply(one.exported_mwh, factor), Decimal(-1))
                found.append(Item("electricity_exported", *told, t, True, one.exported_mwh, factor, one.factor_source))
        for precursor in period.precursors:
            for use in precursor.uses:
                for see, is_direct in ((precursor.see_direct, True), (precursor.see_indirect, False)):
                    t = multiply(use.quantity, see)
                    told = (use.process, precursor.id)
                    found.append(Item("precursor", *told, t, is_direct, use.quantity, see, precursor.basis))
    return found


def _pair(items: Sequence[Item]) -> Pair:
    return Pair(add([one.t for one in items if one.is_direct]), add([one.t for one in items if not one.is_direct]))
