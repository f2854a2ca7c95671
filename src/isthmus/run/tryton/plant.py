"""What a Tryton is filled with: the products, machines and orders of a plant, told by the caller."""

from __future__ import annotations

import msgspec


class ErpProduct(msgspec.Struct, frozen=True, kw_only=True):
    """A product or a material. It is made when a recipe names it, else it is bought."""

    code: str
    name: str = ""
    unit: str = "u"
    """Tryton's symbol of a unit: u, kg, m, h."""
    cost: str = "0"
    """Cost price a unit, a decimal number as text."""
    lot_tracked: bool = False
    """True when no move in or out of production may be done without a lot."""


class ErpWorkCentre(msgspec.Struct, frozen=True, kw_only=True):
    """A machine as the ERP knows it; `Machine.erp_work_centre` carries the name."""

    name: str
    category: str
    cost_per_hour: str = "0"


class ErpInput(msgspec.Struct, frozen=True, kw_only=True):
    """Material for one piece."""

    product: str
    quantity: float


class ErpStep(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of a routing, done by any work centre of a category."""

    sequence: int
    operation: str
    category: str


class ErpRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """Bill of material and routing of one product."""

    product: str
    inputs: tuple[ErpInput, ...] = ()
    steps: tuple[ErpStep, ...] = ()


class ErpStock(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in the store at the beginning."""

    product: str
    quantity: float


class ErpInbound(msgspec.Struct, frozen=True, kw_only=True):
    """What a supplier will bring in so many days."""

    supplier: str
    product: str
    quantity: float
    price: str
    days: int


class ErpOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order to make something. `number` "" lets Tryton count; `work_centres` by sequence pins machines."""

    product: str
    quantity: float
    days: int = 1
    number: str = ""
    reference: str = ""
    released: bool = True
    work_centres: dict[int, str] = {}


class ErpPlant(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is put into an empty Tryton."""

    company: str
    products: tuple[ErpProduct, ...]
    work_centres: tuple[ErpWorkCentre, ...]
    recipes: tuple[ErpRecipe, ...]
    stock: tuple[ErpStock, ...] = ()
    inbound: tuple[ErpInbound, ...] = ()
    orders: tuple[ErpOrder, ...] = ()
