"""The stock moves of an order in Tryton: which carries what, and how they must change to say it by lot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from isthmus.enterprise.erp import ReportLot, ReportQuantity
from isthmus.enterprise.erps.tryton.wire import Row, code_of


class Plan(NamedTuple):
    """How the moves of one kind become one move for each lot."""

    write: list[tuple[Row, str, float]]
    """A move that is there, the lot that it shall carry, and how much of it."""
    create: list[tuple[str, float]]
    left: list[Row]
    """Moves that are not needed."""


def plan(moves: Sequence[Row], wanted: Mapping[str, float]) -> Plan:
    """Give each lot the move that carries it already, else one that is free; `wanted` holds quantities by lot."""
    left = list(moves)
    write: list[tuple[Row, str, float]] = []
    create: list[tuple[str, float]] = []
    own = {lot_of(move): move for move in reversed(left)}
    for lot in wanted:
        if lot in own:
            left.remove(own[lot])
    for lot, quantity in wanted.items():
        move = own.get(lot) or (left.pop(0) if left else None)
        if move is None:
            create.append((lot, quantity))
        else:
            write.append((move, lot, quantity))
    return Plan(write, create, left)


def hold(command: ReportQuantity, good: Sequence[Row], scrap: Sequence[Row]) -> bool:
    """Whether the moves say what the command says."""
    if not command.lots:
        return (_sum(good), _sum(scrap)) == (command.good, command.scrap)
    return _by_lot(good) == _wanted((one.lot, one.good) for one in command.lots) and _by_lot(scrap) == _wanted(
        (one.lot, one.scrap) for one in command.lots
    )


def carrying(order: Row, command: ReportLot) -> list[Row]:
    """The moves whose lot a command tells."""
    if command.direction == "in":
        return [move for move in order["inputs"] if code_of(move["product"]) == command.material]
    own = code_of(order["product"]) == command.material
    return [move for move in order["outputs"] if own and move["product"]["id"] == order["product"]["id"]]


def lot_of(move: Row) -> str:
    """The number of a move's lot, "" for none."""
    return str((move["lot"] or {}).get("number") or "")


def made(order: Row, like: Row, quantity: float, lot: int | None) -> Row:
    """A further move of good pieces, beside the planner's. Tryton prices it when the order is done."""
    return {
        **_output(order, quantity, lot),
        "to_location": like["to_location"]["id"],
        "unit_price": {"__class__": "Decimal", "decimal": "0"},
        "currency": order["company"]["currency"]["id"],
    }


def scrapped(order: Row, place: int, quantity: float, lot: int | None) -> Row:
    """A move of scrap. Without price and currency: with them Tryton refuses it."""
    return {**_output(order, quantity, lot), "to_location": place}


def _output(order: Row, quantity: float, lot: int | None) -> Row:
    return {
        "production_output": order["id"],
        "product": order["product"]["id"],
        "quantity": quantity,
        "unit": order["unit"]["id"],
        "from_location": order["location"]["id"],
        "company": order["company"]["id"],
        **({} if lot is None else {"lot": lot}),
    }


def _sum(moves: Sequence[Row]) -> float:
    return float(sum(move["quantity"] for move in moves))


def _by_lot(moves: Sequence[Row]) -> dict[str, float]:
    return _wanted((lot_of(move), move["quantity"]) for move in moves)


def _wanted(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Quantities by lot, without lots of which there is nothing."""
    out: dict[str, float] = {}
    for lot, quantity in pairs:
        out[lot] = out.get(lot, 0) + quantity
    return {lot: quantity for lot, quantity in out.items() if quantity}
