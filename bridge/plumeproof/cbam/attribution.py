"""Emissions of processes and their goods: what is attributed, what each good carries, specific embedded emissions.

    attributed direct   = measured + calculated + heat and waste gas imported - exported - electricity given away
    attributed indirect = electricity consumed times its factor
    SEE                 = (attributed + sum of precursors used times their SEE) / activity level

Exact decimals; a division is rounded once, half to even, at the end. Goods of one process have one SEE. The tonnes
that goods carry add up to those of their process to the last digit: shares are cut at a milligram, and the largest good
takes the rest. Form after reference: reporting section 2.3; annex III of (EU) 2025/2547 was not at hand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from plumeproof.cbam.site_table import CbamTable, Period, Process
from plumeproof.documents.declared import add, multiply
from plumeproof.errors import ConfigError

SEE_DECIMALS = 7  # of t CO2e per functional unit: what QReport 23.00 carries
TONNES_DECIMALS = 9  # of a good's share of t: a milligram
ONE_HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Item:
    """One line that makes up a process: `kind` measured, calculated, heat, waste_gas, electricity_exported,
    electricity or precursor; `t` with its sign; `ref`: source, stream, precursor; `amount` and `factor` where it has
    them, in the units that `kind` has."""

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
        own = [one.t for one in self.items if one.kind != "precursor" and one.is_direct == (part == "direct")]
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
    items = tuple(_items(table, periods, measured))
    processes, goods = [], []
    for process in table.processes:
        produced = [one for one in table.produced if one.process == process.id]
        quantities = [
            add([made.quantity for period in periods for made in period.production if made.cn == one.cn])
            for one in produced
        ]
        own = [one for one in items if one.process == process.id and one.kind != "precursor"]
        used = [one for one in items if one.process == process.id and one.kind == "precursor"]
        attributed, precursors, level = _pair(own), _pair(used), add(quantities)
        for part, tonnes in (("direct", attributed.direct), ("indirect", attributed.indirect)):
            if tonnes < 0:
                told = f"more is given away than emitted ({part} {tonnes} t CO2e); put exports or their factors right"
                raise ConfigError(f"process {process.id}", told)
        unit = table.book.categories[process.category].unit
        processes.append(
            ProcessResult(
                process=process,
                unit=unit,
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
        )
        shares = zip(share_out(attributed.direct, quantities), share_out(attributed.indirect, quantities), strict=True)
        for one, quantity, share in zip(produced, quantities, shares, strict=True):
            goods.append(GoodResult(one.cn, process.id, one.name, unit, quantity, Pair(*share)))
    found = Attribution(items, tuple(processes), tuple(goods))
    found.require_conserved()
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
