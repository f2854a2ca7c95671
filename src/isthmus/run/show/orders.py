"""What the demonstration's ERP is filled with, and which controllers stand on its floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from isthmus.run.tryton.plant import (
    ErpInbound,
    ErpInput,
    ErpOrder,
    ErpPlant,
    ErpProduct,
    ErpRecipe,
    ErpStep,
    ErpStock,
    ErpWorkCentre,
)
from isthmus.sim import certificates
from isthmus.sim.northgate import ARTICLES, MACHINES, NAME, Article
from isthmus.sim.northgate_file import Place, flavour_of
from isthmus.sim.processes import Controller
from isthmus.sim.world import MachineSpec

FIRST_ORDER = 1041
_CATEGORIES = {"cnc": "CNC", "mill": "Mill", "press": "Press", "paint": "Paint", "pack": "Pack"}
_OPERATIONS = {"CNC": "Turn and mill", "Mill": "Mill", "Press": "Press", "Paint": "Paint", "Pack": "Pack"}
_MATERIALS = {"STEEL-BAR": "2.50", "ALU-BLOCK": "6.10", "SHEET": "1.90", "PAINT": "14.00", "FILM": "3.20"}
_SETTLING_S = 40.0
"""The end of a bounded run in which nothing new is begun, so that everything is settled and reported."""
_SLACK = 1.35
"""How much longer than its ideal cycles an order is expected to take, stops included."""


class Job(NamedTuple):
    """An order of the demonstration and the machine that its operator will put it on."""

    number: str
    machine: str
    article: Article
    quantity: int


def jobs(seconds: float | None, speed: float = 1.0) -> list[Job]:
    """The orders, machine by machine in the order in which they run.

    With `seconds` they are sized so that each is finished within a run of that length; without,
    the first of each machine is small and the others last. At a speed of N they hold N times as many pieces.
    """
    out: list[Job] = []
    for machine in MACHINES:
        articles = [article for article in ARTICLES if machine.name in article.machines]
        for place, size_s in enumerate(_sizes(seconds)):
            article = articles[place % len(articles)]
            available = size_s * speed - machine.setup_s * 1.3
            quantity = max(int(available / (article.cycle_s * machine.slower * _SLACK)), 1)
            out.append(Job(str(FIRST_ORDER + len(out)), machine.name, article, quantity))
    return out


def _sizes(seconds: float | None) -> Sequence[float]:
    if seconds is None:
        return (110.0, 900.0, 1800.0, 2700.0, 3600.0)
    usable = seconds - _SETTLING_S
    return (usable * 0.5, usable * 0.4) if usable > 80 else (usable * 0.8,)  # noqa: PLR2004  s


def erp_plant(wanted: Sequence[Job]) -> ErpPlant:
    """The whole ERP: products, machines with their rates, recipes, stock, what is due in, and the orders."""
    return ErpPlant(
        company=NAME,
        products=(
            *(ErpProduct(code=code, name=code.title(), unit="kg", cost=cost) for code, cost in _MATERIALS.items()),
            *(ErpProduct(code=article.code, name=article.name) for article in ARTICLES),
        ),
        work_centres=tuple(
            ErpWorkCentre(name=machine.name.upper(), category=_category(machine), cost_per_hour="60")
            for machine in MACHINES
        ),
        recipes=tuple(_recipe(article) for article in ARTICLES),
        stock=tuple(ErpStock(product=code, quantity=100_000) for code in _MATERIALS),
        inbound=(
            ErpInbound(supplier="Steel Supplier Ltd", product="STEEL-BAR", quantity=2000, price="2.60", days=5),
            ErpInbound(supplier="Alu Works", product="ALU-BLOCK", quantity=800, price="6.00", days=3),
        ),
        orders=tuple(
            ErpOrder(
                product=job.article.code,
                quantity=job.quantity,
                number=job.number,
                work_centres={10: job.machine.upper()},
            )
            for job in wanted
        ),
    )


def _category(machine: MachineSpec) -> str:
    return _CATEGORIES[machine.name.partition("-")[0]]


def _recipe(article: Article) -> ErpRecipe:
    machine = next(machine for machine in MACHINES if machine.name == article.machines[0])
    category = _category(machine)
    return ErpRecipe(
        product=article.code,
        inputs=(ErpInput(product=article.material, quantity=article.material_kg),),
        steps=(ErpStep(sequence=10, operation=_OPERATIONS[category], category=category),),
    )


def controllers(ports: Mapping[str, int], folder: Path) -> tuple[list[Controller], dict[str, Place]]:
    """One controller per machine, and where each answers for the plant file."""
    out, places = [], {}
    for machine in MACHINES:
        options: tuple[str, ...] = ()
        fingerprint = ""
        if machine.protocol == "opcua":
            certificate, key, fingerprint = certificates.make(folder / "devices", machine.name)
            options = ("--flavour", flavour_of(machine), "--certificate", str(certificate), "--key", str(key))
        elif machine.protocol == "modbus":
            options = ("--alarms", ",".join(machine.alarms))
        port = ports[machine.name]
        out.append(Controller(machine=machine, server=machine.protocol, port=port, options=options))
        places[machine.name] = Place(port=port, fingerprint=fingerprint)
    return out, places
