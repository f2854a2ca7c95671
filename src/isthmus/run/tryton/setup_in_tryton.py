"""Fills an empty Tryton with a plant: run by Tryton's own interpreter, never imported by ours.

    python setup_in_tryton.py CONFIG DATABASE base            company, chart of accounts, units
    python setup_in_tryton.py CONFIG DATABASE plant < plant   what plant.py `ErpPlant` describes, as JSON

The second prints one JSON line: the REST key of the gateway's user and the orders that were made.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
from decimal import Decimal
from typing import Any

from proteus import Model, config
from trytond.modules.account.tests.tools import create_chart, get_accounts
from trytond.modules.company.tests.tools import create_company, get_company

_GATEWAY = "isthmus"
_GROUPS = ("Production", "Stock", "Purchase")


def main() -> None:
    """Do one of the two."""
    file, database, what = sys.argv[1:4]
    settings = config.set_trytond(database, config_file=file)
    if what == "base":
        _base(settings)
    else:
        _enter(settings)
        print(json.dumps(_Filler(json.load(sys.stdin)).fill()))


def _base(settings: Any) -> None:  # noqa: ANN401  proteus has no types
    create_company()
    company = get_company()
    user_model, party_model, employee_model = (Model.get(n) for n in ("res.user", "party.party", "company.employee"))
    party = party_model(name="Planner")
    party.save()
    employee = employee_model(party=party)
    employee.save()
    (user,) = user_model.find([("login", "=", "admin")])
    user.companies.append(company)
    user.company = company
    user.employees.append(employee)
    user.employee = employee
    user.save()
    _enter(settings)
    create_chart(company)
    accounts = get_accounts(company)
    category = Model.get("product.category")(name="Goods", accounting=True)
    category.account_expense = accounts["expense"]
    category.account_revenue = accounts["revenue"]
    category.save()
    locations = Model.get("stock.location")
    (warehouse,) = locations.find([("code", "=", "WH")])
    scrap = locations(name="Scrap", type="lost_found")
    scrap.save()
    warehouse.waste_locations.append(scrap)
    warehouse.save()


def _enter(settings: Any) -> None:  # noqa: ANN401  as above
    """Work as a person of the company; without it nothing belongs to one."""
    settings._context = Model.get("res.user").get_preferences(True, {})  # noqa: FBT003, SLF001  proteus offers no other way


class _Filler:
    def __init__(self, plant: dict[str, Any]) -> None:
        self.plant = plant
        self.today = dt.date.today()  # noqa: DTZ011  the ERP's dates are local
        self.products: dict[str, Any] = {}
        self.categories: dict[str, Any] = {}
        self.centres: dict[str, Any] = {}
        self.recipes: dict[str, tuple[Any, Any]] = {}

    def fill(self) -> dict[str, Any]:
        self._name_company()
        for product in self.plant["products"]:
            self._product(product)
        self._work_centres()
        for recipe in self.plant["recipes"]:
            self._recipe(recipe)
        self._stock()
        for inbound in self.plant["inbound"]:
            self._inbound(inbound)
        orders = [self._order(order) for order in self.plant["orders"]]
        return {"login": _GATEWAY, "key": self._gateway(), "orders": orders}

    def _name_company(self) -> None:
        company = get_company()
        company.party.name = self.plant["company"]
        company.party.save()

    def _product(self, told: dict[str, Any]) -> None:
        (unit,) = Model.get("product.uom").find([("symbol", "=", told["unit"])])
        (category,) = Model.get("product.category").find([("accounting", "=", True)])
        template = Model.get("product.template")(name=told["name"] or told["code"])
        template.default_uom = unit
        template.type = "goods"
        template.account_category = category
        template.list_price = Decimal(0)
        if told["lot_tracked"]:
            template.lot_required = ["production"]
        made = any(recipe["product"] == told["code"] for recipe in self.plant["recipes"])
        if made:
            template.producible = True
        else:
            template.purchasable = True
            template.purchase_uom = unit
        (product,) = template.products
        product.cost_price = Decimal(told["cost"])
        product.suffix_code = told["code"]
        template.save()
        (self.products[told["code"]],) = template.products

    def _work_centres(self) -> None:
        self.root = Model.get("production.work.center")(name=self.plant["company"])
        self.root.save()
        for told in self.plant["work_centres"]:
            category = self._category(told["category"])
            centre = Model.get("production.work.center")(name=told["name"], parent=self.root, category=category)
            centre.cost_price = Decimal(told["cost_per_hour"])
            centre.cost_method = "hour"
            centre.save()
            self.centres[told["name"]] = centre

    def _category(self, name: str) -> Any:  # noqa: ANN401  as above
        if name not in self.categories:
            self.categories[name] = Model.get("production.work.center.category")(name=name)
            self.categories[name].save()
        return self.categories[name]

    def _recipe(self, told: dict[str, Any]) -> None:
        product = self.products[told["product"]]
        bom = Model.get("production.bom")(name=told["product"])
        for part in told["inputs"]:
            bom.inputs.new(product=self.products[part["product"]], quantity=part["quantity"])
        bom.outputs.new(product=product, quantity=1)
        bom.save()
        routing = Model.get("production.routing")(name=told["product"])
        routing.boms.append(bom)
        operations = Model.get("production.routing.operation")
        for step in told["steps"]:
            category = self._category(step["category"])
            known = operations.find([("name", "=", step["operation"]), ("work_center_category", "=", category.id)])
            operation = known[0] if known else operations(name=step["operation"], work_center_category=category)
            operation.save()
            routing.steps.new(operation=operation, sequence=step["sequence"])
        routing.save()
        product.boms.append(Model.get("product.product-production.bom")(bom=bom, routing=routing))
        product.save()
        self.recipes[told["product"]] = (bom, routing)

    def _stock(self) -> None:
        if not self.plant["stock"]:
            return
        (store,) = Model.get("stock.location").find([("code", "=", "STO")])
        inventory = Model.get("stock.inventory")(location=store)
        for told in self.plant["stock"]:
            inventory.lines.new(product=self.products[told["product"]], quantity=told["quantity"])
        inventory.click("confirm")

    def _inbound(self, told: dict[str, Any]) -> None:
        parties = Model.get("party.party")
        known = parties.find([("name", "=", told["supplier"])])
        supplier = known[0] if known else parties(name=told["supplier"])
        accounts = get_accounts(get_company())
        supplier.account_payable = accounts["payable"]
        supplier.account_receivable = accounts["receivable"]
        supplier.save()
        purchase = Model.get("purchase.purchase")(party=supplier, invoice_method="manual")
        line = purchase.lines.new(product=self.products[told["product"]], quantity=told["quantity"])
        line.unit_price = Decimal(told["price"])
        # `delivery_date` itself is computed; setting it is ignored without a word.
        line.delivery_date_edit = True
        line.delivery_date_store = self.today + dt.timedelta(told["days"])
        purchase.save()
        for step in ("quote", "confirm"):
            purchase.click(step)
        purchase.reload()
        if purchase.state == "confirmed":
            purchase.click("process")

    def _order(self, told: dict[str, Any]) -> dict[str, Any]:
        bom, routing = self.recipes[told["product"]]
        order = Model.get("production")(product=self.products[told["product"]], bom=bom, routing=routing)
        order.work_center = self.root
        order.quantity = told["quantity"]
        order.planned_date = self.today + dt.timedelta(told["days"])
        order.reference = told["reference"]
        order.save()
        if told["released"]:
            self._count_from(told["number"])
            order.click("wait")
            order.reload()
            # Tryton picks a machine of the category at random; the planner picks this one.
            for work in order.works:
                wanted = told["work_centres"].get(str(work.sequence))
                if wanted:
                    work.work_center = self.centres[wanted]
                    work.save()
        return {"number": order.number, "product": told["product"], "quantity": told["quantity"]}

    def _count_from(self, number: str) -> None:
        """Let the next order bear `number`; only Tryton's own counter can give one."""
        found = re.fullmatch(r"(.*?)(\d+)", number)
        if not found:
            return
        sequence = Model.get("production.configuration")(1).production_sequence
        sequence.prefix = found[1]
        sequence.padding = len(found[2])
        sequence.number_next = int(found[2])
        sequence.save()

    def _gateway(self) -> str:
        """A user of its own, who may do what the gateway does and nothing else: its writes are known by it."""
        company = get_company()
        party = Model.get("party.party")(name="Isthmus")
        party.save()
        employee = Model.get("company.employee")(party=party)
        employee.save()
        user = Model.get("res.user")(name="Isthmus", login=_GATEWAY)
        user.companies.append(Model.get("company.company")(company.id))
        user.company = company
        user.employees.append(employee)
        user.employee = employee
        for group in Model.get("res.group").find([("name", "in", _GROUPS)]):
            user.groups.append(group)
        user.save()
        application = Model.get("res.user.application")(user=user, application="rest")
        application.save()
        return str(application.key)


if __name__ == "__main__":
    main()
