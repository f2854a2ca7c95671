"""Where a lot came from and where it went: each step with its order, machine, times and pieces."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from isthmus.model.records.production import LotUsed
from isthmus.web.figures.jobs import open_run
from isthmus.web.house import House

DEEPEST: Final = 12
"""How many steps of making are followed; a ring of lots, which a wrong saying can make, ends here at the latest."""
MOST: Final = 500


class Making(msgspec.Struct, frozen=True, kw_only=True):
    """Pieces of one lot that one order made on one machine, and one component lot that went into them."""

    way: Literal["made", "from", "into"]
    """made: the lot itself; from: what went into it; into: what it went into."""
    step: int
    """How many makings away from the lot that was asked for; 0 for its own."""
    product: str
    lot: str
    """What was made; "" where nobody has said its lot."""
    material: str
    used: str
    """The component lot; "" where none is known."""
    order: str
    machine: str
    start_ns: int
    end_ns: int
    good: float
    scrap: float


class LotOfOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What an order made of one lot, and of which component lots."""

    lot: str
    good: float
    scrap: float
    used: tuple[LotUsed, ...]


class Now(msgspec.Struct, frozen=True, kw_only=True):
    """The lots that a machine makes and uses now."""

    order: str
    lot: str
    used: tuple[LotUsed, ...]


_MAKINGS: Final = """
    SELECT made.path, made.order_no, made.product, made.lot, used.material,
           used.lot AS used_lot, sum(made.good) AS good, sum(made.scrap) AS scrap,
           min(made.start_ns) AS begin_ns, max(made.time_ns) AS end_ns
    FROM lots_made AS made LEFT JOIN lots_used AS used USING (path, time_ns, ordinal, place)
    WHERE (made.good != 0 OR made.scrap != 0 OR made.rework != 0 OR used.lot IS NOT NULL) AND {which}
    GROUP BY made.path, made.order_no, made.product, made.lot, used.material, used.lot
    ORDER BY begin_ns, made.path, made.lot, coalesce(used.material, ''), coalesce(used.lot, '') LIMIT {most}
"""


def trace(house: House, lot: str) -> list[Making]:
    """Everything known of a lot: its own makings, what went into it and what it went into, at any distance."""
    out = [_making(house, "made", 0, row) for row in _rows(house, "made.lot = ?", lot)]
    return [*out, *_upwards(house, out), *_downwards(house, lot)]


def _upwards(house: House, made: Iterable[Making]) -> list[Making]:
    """What went into a lot, step by step: the makings of its component lots, where they were made here."""
    out: list[Making] = []
    wanted = {(one.material, one.used) for one in made if one.used}
    seen = set(wanted)
    for step in range(1, DEEPEST + 1):
        found = [
            _making(house, "from", step, row)
            for material, lot in sorted(wanted)
            for row in _rows(house, "made.lot = ? AND made.product = ?", lot, material)
        ]
        out += found
        wanted = {(one.material, one.used) for one in found if one.used} - seen
        seen |= wanted
        if not wanted or len(out) > MOST:
            break
    return out


def _downwards(house: House, lot: str) -> list[Making]:
    """What a lot went into, step by step."""
    out: list[Making] = []
    which = "used.lot = ?"
    wanted: list[tuple[str, ...]] = [(lot,)]
    seen: set[tuple[str, ...]] = set()
    for step in range(1, DEEPEST + 1):
        found = [_making(house, "into", step, row) for one in wanted for row in _rows(house, which, *one)]
        out += found
        which = "used.lot = ? AND used.material = ?"
        new: set[tuple[str, ...]] = {(one.lot, one.product) for one in found if one.lot}
        wanted = sorted(new - seen)
        seen |= set(wanted)
        if not wanted or len(out) > MOST:
            break
    return out


def of_orders(house: House) -> dict[str, list[LotOfOrder]]:
    """What was settled of each order by lot."""
    rows = house.site.views.query(
        "SELECT made.order_no, made.lot, made.good, made.scrap, used.material, used.lot AS used_lot, "
        "made.path || made.time_ns || '/' || made.ordinal || '/' || made.place AS part FROM lots_made AS made "
        "LEFT JOIN lots_used AS used USING (path, time_ns, ordinal, place) "
        "ORDER BY made.order_no, made.time_ns, made.path, made.ordinal, made.place, used.material"
    )
    out: dict[str, dict[str, LotOfOrder]] = {}
    counted: set[str] = set()
    for row in rows:
        lots = out.setdefault(row["order_no"], {})
        so_far = lots.get(row["lot"], LotOfOrder(lot=row["lot"], good=0, scrap=0, used=()))
        new = row["part"] not in counted
        counted.add(row["part"])
        used = LotUsed(material=row["material"], lot=row["used_lot"]) if row["material"] else None
        lots[row["lot"]] = LotOfOrder(
            lot=row["lot"],
            good=so_far.good + row["good"] * new,
            scrap=so_far.scrap + row["scrap"] * new,
            used=(*so_far.used, used) if used and used not in so_far.used else so_far.used,
        )
    return {order: list(lots.values()) for order, lots in out.items()}


def newest(house: House, most: int = 200) -> list[str]:
    """The numbers of the lots that were made or used last."""
    rows = house.site.views.query(
        "SELECT lot, max(time_ns) AS at FROM (SELECT lot, time_ns FROM lots_made UNION ALL SELECT lot, time_ns "
        "FROM lots_used) AS every WHERE lot != '' GROUP BY lot ORDER BY at DESC, lot LIMIT ?",
        (most,),
    )
    return [row["lot"] for row in rows]


def lots_now(house: House, path: str) -> Now | None:
    """The lots of the run in progress; None where no order runs or nothing is known of its lots."""
    run = open_run(house, path)
    rows = house.site.views.query("SELECT * FROM lots_now WHERE path = ?", (path,))
    if run is None or not rows or rows[0]["order_no"] != run["order_no"]:
        return None
    used = msgspec.json.decode(rows[0]["used"], type=tuple[LotUsed, ...])
    return Now(order=rows[0]["order_no"], lot=rows[0]["lot"], used=used)


def _rows(house: House, which: str, *values: str) -> list[dict[str, object]]:
    rows = house.site.views.query(_MAKINGS.format(which=which, most=MOST), values)
    return [dict(row) for row in rows]


def _making(house: House, way: Literal["made", "from", "into"], step: int, row: dict[str, object]) -> Making:
    machine = house.site.plant.machines.get(str(row["path"]))
    return msgspec.convert(
        {
            "way": way,
            "step": step,
            "product": row["product"],
            "lot": row["lot"],
            "material": row["material"] or "",
            "used": row["used_lot"] or "",
            "order": row["order_no"],
            "machine": machine.name if machine else row["path"],
            "start_ns": row["begin_ns"],
            "end_ns": row["end_ns"],
            "good": row["good"],
            "scrap": row["scrap"],
        },
        Making,
    )
