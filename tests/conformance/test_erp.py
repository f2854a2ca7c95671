"""What every business system must do, shown with a real Tryton, also over a line that loses things."""

from __future__ import annotations

import base64
import http.client
import json as text
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest

from erp_support import ASM, CNC_1, CNC_2, PATH, PLANT, OneSite, now, settled
from isthmus.enterprise.compare import Compare
from isthmus.enterprise.door import Door
from isthmus.enterprise.erp import (
    AnyCommand,
    Erp,
    FinishOrder,
    LotQuantity,
    ReportLot,
    ReportQuantity,
    ReportTime,
    StartOrder,
)
from isthmus.enterprise.erps.tryton import TrytonSection
from isthmus.enterprise.inbox import Inbox
from isthmus.enterprise.outbox import Outbox
from isthmus.model.errors import ErpAway, ErpRefuses
from isthmus.model.records.business import ErpChanged, ErpDiffers, JobOrdered, MaterialExpected, MaterialStocked
from isthmus.model.records.production import LotPart, LotUsed, RunSettled
from isthmus.model.time import parse
from isthmus.run import tryton
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

pytestmark = [pytest.mark.peer("tryton"), pytest.mark.timeout(400)]

ROOT = Path(__file__).resolve().parent.parent.parent
PEER = ROOT / ".peers" / "tryton"
BY_LOT = ("1070", "1071")
WORKS = ErpPlant(
    company="Northgate Works",
    products=(
        ErpProduct(code="BR-100", name="Bracket BR-100"),
        ErpProduct(code="RM-1", name="Steel bar", unit="kg", cost="2.50"),
        ErpProduct(code="RM-2", name="Screw M6", cost="0.10"),
        ErpProduct(code="RM-9", name="Unobtainium", cost="1"),
        ErpProduct(code="BR-900", name="Bracket that lacks material"),
        ErpProduct(code="BR-700", name="Bracket by lot", lot_tracked=True),
        ErpProduct(code="RM-7", name="Steel bar by heat", unit="kg", cost="2.50", lot_tracked=True),
    ),
    work_centres=(
        ErpWorkCentre(name="CNC-01", category="CNC", cost_per_hour="60"),
        ErpWorkCentre(name="CNC-02", category="CNC", cost_per_hour="55"),
        ErpWorkCentre(name="ASM-01", category="Assembly", cost_per_hour="30"),
    ),
    recipes=(
        ErpRecipe(
            product="BR-100",
            inputs=(ErpInput(product="RM-1", quantity=1.5), ErpInput(product="RM-2", quantity=4)),
            steps=(
                ErpStep(sequence=10, operation="Mill", category="CNC"),
                ErpStep(sequence=20, operation="Assemble", category="Assembly"),
            ),
        ),
        ErpRecipe(
            product="BR-900",
            inputs=(ErpInput(product="RM-9", quantity=1),),
            steps=(ErpStep(sequence=10, operation="Mill", category="CNC"),),
        ),
        ErpRecipe(
            product="BR-700",
            inputs=(ErpInput(product="RM-7", quantity=1.5),),
            steps=(ErpStep(sequence=10, operation="Mill", category="CNC"),),
        ),
    ),
    stock=(
        ErpStock(product="RM-1", quantity=1000),
        ErpStock(product="RM-2", quantity=10000),
        ErpStock(product="RM-7", quantity=1000),
    ),
    inbound=(ErpInbound(supplier="Steel Supplier Ltd", product="RM-1", quantity=200, price="2.60", days=5),),
    orders=(
        *(
            ErpOrder(
                product="BR-100", quantity=10, number=str(number), days=3, work_centres={10: "CNC-01", 20: "ASM-01"}
            )
            for number in range(1047, 1062)
        ),
        ErpOrder(product="BR-900", quantity=10, number="1062", reference="WO-77"),
        *(ErpOrder(product="BR-700", quantity=10, number=number, work_centres={10: "CNC-01"}) for number in BY_LOT),
    ),
)


class World(NamedTuple):
    """A running Tryton and what is needed to speak with it."""

    server: tryton.Server
    section: TrytonSection
    key: str
    take: Callable[[], str]
    """An order that no test has used."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home, base = tryton.base_database(ROOT / ".peers" / "tryton-base", lambda _what, _share: None, PEER)
    folder = tmp_path_factory.mktemp("tryton")
    filled = tryton.fill(home, base, folder, WORKS, lambda _what, _share: None)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = int(sock.getsockname()[1])
    server = tryton.Server(home, folder, port)
    server.start()
    (folder / "key").write_text(filled.key)
    section = TrytonSection(
        url=server.url, database="erp", user=filled.login, key=f"file:{folder / 'key'}", poll_s=0.2, retry_most_s=1
    )
    numbers = iter(order.number for order in WORKS.orders)
    yield World(server, section, filled.key, lambda: next(numbers))
    server.stop()


@pytest.fixture
def erp(world: World) -> Iterator[Erp]:
    one = world.section.open(PLANT)
    yield one
    one.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[OneSite]:
    one = OneSite(tmp_path / "site")
    yield one
    one.close()


def rest(  # noqa: PLR0913  what a request consists of
    world: World,
    method: str,
    path: str,
    domain: object = None,
    fields: str = "",
    *,
    json: object = None,
    lot: int | None = None,
) -> Any:  # noqa: ANN401  whatever Tryton answers
    """Speak with Tryton as the gateway's user, past everything of ours."""
    query: list[tuple[str, Any]] = [("f", field) for field in fields.split()]
    if domain is not None:
        query.append(("d", b64(domain)))
    headers = {"Authorization": f"Bearer {world.key}", "X-Tryton-Context": b64({"company": 1, "lot": lot})}
    url = f"{world.server.url}/erp/rest/model/{path}"
    reply = httpx.request(method, url, params=query, headers=headers, timeout=30, json=json)
    assert reply.status_code < 400, reply.text
    return reply.json() if reply.content else None


def b64(value: object) -> str:
    return base64.urlsafe_b64encode(text.dumps(value).encode()).decode()


def commands(order: str) -> list[AnyCommand]:
    """A whole order, as the outbox would tell it."""
    mill = {"order": order, "sequence": 10, "operation": "Mill"}
    return [
        ReportLot(key="0", order=order, material="RM-1", lot=f"HEAT-{order}", direction="in"),
        StartOrder(key="1", order=order),
        ReportTime(key="2", work_centre="CNC-02", seconds=3600, number=1, **mill),  # type: ignore[arg-type]
        ReportTime(key="3", work_centre="CNC-02", seconds=1800.5, number=2, **mill),  # type: ignore[arg-type]
        ReportTime(key="4", order=order, sequence=20, operation="Assemble", work_centre="", seconds=1800),
        ReportQuantity(key="5", order=order, good=4, scrap=2),
        ReportQuantity(key="6", order=order, good=9, scrap=1),
        ReportLot(key="7", order=order, material="BR-100", lot=f"BR-LOT-{order}", direction="out"),
        FinishOrder(key="8", order=order),
    ]


def until(true: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


# -- the contract of `Erp`


def test_each_command_is_not_there_before_it_is_told_and_there_after(world: World, erp: Erp) -> None:
    order = world.take()
    for command in commands(order):
        assert erp.find(command) is None, command
        receipt = erp.push(command)
        assert receipt.reference
        assert erp.find(command) is not None, command


def test_handing_over_twice_arrives_once(world: World, erp: Erp) -> None:
    order = world.take()
    for command in commands(order):
        assert erp.push(command) == erp.push(command)
    booked = erp.booked(order)
    assert booked is not None
    assert (booked.state, booked.good, booked.scrap) == ("finished", 9, 1)
    assert (booked.reports, booked.seconds) == (3, 7200.5)


def test_lots_can_be_traced_from_material_to_product(world: World, erp: Erp) -> None:
    order = world.take()
    for command in commands(order):
        erp.push(command)
    (lot,) = rest(world, "GET", "stock.lot", [["number", "=", f"BR-LOT-{order}"]], "number")
    traces = rest(world, "GET", "stock.lot.trace", [], "lot.number upward_traces.lot.number", lot=lot["id"])
    assert f"HEAT-{order}" in text.dumps(traces)


def test_orders_material_and_stock_come_in(world: World, site: OneSite, erp: Erp) -> None:
    order = world.take()
    assert Inbox(site, erp, now).poll() > len(WORKS.orders) // 2
    (job,) = (job for job in site.all(JobOrdered) if job.order == order)
    assert (job.product, job.quantity, job.unit, job.state) == ("BR-100", 10, "u", "released")
    assert [(step.sequence, step.operation, step.machine) for step in job.steps] == [
        (10, "Mill", CNC_1),
        (20, "Assemble", ASM),
    ]
    assert [(part.material, part.quantity, part.unit) for part in job.materials] == [
        ("RM-1", "15", "kg"),
        ("RM-2", "40", "u"),
    ]
    (due,) = site.all(MaterialExpected)
    assert (due.material, due.quantity, due.unit) == ("RM-1", "200", "kg")
    assert {stock.material for stock in site.all(MaterialStocked)} >= {"RM-1", "RM-2"}


def test_a_planners_dates_are_days_of_the_plant(world: World, site: OneSite, erp: Erp) -> None:
    order = world.take()
    plan(world, order, day=date_of(2027, 7, 1), quantity=10)
    Inbox(site, erp, now).poll()
    (job,) = (job for job in site.all(JobOrdered) if job.order == order)
    assert job.due_ns == parse("2027-07-01T23:59:59+01:00"), "British summer time"


def test_only_what_changed_is_logged_and_a_planners_edit_wins(world: World, site: OneSite, erp: Erp) -> None:
    order = world.take()
    inbox = Inbox(site, erp, now)
    inbox.poll()
    before = site.log.position
    assert inbox.poll() == 0
    assert Inbox(site, erp, now).poll() == 0, "a new process goes on from the log"
    assert site.log.position == before
    plan(world, order, day=date_of(2027, 1, 15), quantity=25)
    assert inbox.poll() == 1
    latest = [job for job in site.all(JobOrdered) if job.order == order][-1]
    assert (latest.quantity, latest.due_ns) == (25, parse("2027-01-15T23:59:59Z"))


def test_an_order_that_was_deleted_in_the_erp_is_cancelled_here(world: World, site: OneSite, erp: Erp) -> None:
    order = world.take()
    inbox = Inbox(site, erp, now)
    inbox.scan()
    row = number(world, order)
    rest(world, "POST", f"production/{row}/cancel", json={})
    rest(world, "DELETE", f"production/{row}")
    inbox.scan()
    assert [job.state for job in site.all(JobOrdered) if job.order == order] == ["released", "cancelled"]


def plan(world: World, order: str, day: dict[str, object], quantity: float) -> None:
    """What a planner does: take the order back, write other figures, release it again."""
    row = number(world, order)
    rest(world, "POST", f"production/{row}/draft", json={})
    rest(world, "PUT", f"production/{row}", json={"planned_date": day, "quantity": quantity})
    rest(world, "POST", f"production/{row}/wait", json={})


def date_of(year: int, month: int, day: int) -> dict[str, object]:
    return {"__class__": "date", "year": year, "month": month, "day": day}


def number(world: World, order: str) -> int:
    (row,) = rest(world, "GET", "production", [["number", "=", order]], "number")
    return int(row["id"])


# -- what goes wrong, in words


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("key", "env:ISTHMUS_NO_SUCH_KEY", "set the environment variable ISTHMUS_NO_SUCH_KEY"),
        ("key", "file:/nowhere/key", "/nowhere/key cannot be read"),
        ("url", "http://127.0.0.1:9", "cannot be reached"),
        ("database", "nosuch", "nosuch"),
    ],
)
def test_a_wrong_entry_in_the_plant_file_is_named(world: World, field: str, value: str, words: str) -> None:
    erp = msgspec.structs.replace(world.section, **{field: value}).open(PLANT)
    with pytest.raises(ErpAway, match=words):
        erp.pull("orders", "")
    erp.close()


def test_a_wrong_key_is_named(world: World, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("not-the-key")
    erp = msgspec.structs.replace(world.section, key=f"file:{tmp_path / 'key'}").open(PLANT)
    with pytest.raises(ErpAway, match="does not take the key"):
        erp.pull("orders", "")
    erp.close()


def test_a_server_that_accepts_and_never_answers_costs_one_deadline(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        erp = msgspec.structs.replace(world.section, url=url, deadline_s=0.5).open(PLANT)
        begin = time.monotonic()
        with pytest.raises(ErpAway, match="did not answer within"):
            erp.push(StartOrder(key="1", order="1"))
        assert time.monotonic() - begin < 2
        erp.close()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (StartOrder(key="x", order="77"), "no order 77"),
        (StartOrder(key="x", order="1062"), "lacks material in Tryton's stock: 10 u RM-9"),
        (
            ReportTime(key="x", order="1062", sequence=30, operation="Polish", work_centre="", seconds=5),
            "no single step 30 Polish in Tryton; its steps are: 10 Mill",
        ),
        (
            ReportTime(key="x", order="1062", sequence=10, operation="Mill", work_centre="", seconds=5),
            "not running",
        ),
        (FinishOrder(key="x", order="1062"), "not running"),
        (ReportLot(key="x", order="1062", material="RM-1", lot="L", direction="in"), "has no RM-1"),
    ],
)
def test_a_no_is_said_in_a_planners_words(erp: Erp, command: AnyCommand, words: str) -> None:
    with pytest.raises(ErpRefuses, match=words):
        erp.push(command)


def test_the_gateway_may_do_no_more_than_it_needs(world: World) -> None:
    with pytest.raises(AssertionError, match="not allowed to access"):
        rest(world, "PUT", "product.product/1", json={"code": "X"})
    with pytest.raises(AssertionError, match="not allowed to access"):
        rest(world, "PUT", "production.work.center/1", json={"name": "X"})


def test_an_open_cycle_that_arrived_late_does_not_stop_the_plant(world: World, erp: Erp) -> None:
    order = world.take()
    start, first, *rest_of_them = [c for c in commands(order) if not isinstance(c, ReportLot)]
    erp.push(start)
    (work,) = rest(world, "GET", "production.work", [["production.number", "=", order], ["sequence", "=", 10]])
    for _ in range(2):
        rest(world, "POST", "production.work.cycle", json={"work": work["id"]})
    erp.push(first)
    rest(world, "POST", "production.work.cycle", json={"work": work["id"]})
    for command in rest_of_them:
        erp.push(command)
    rest_of_it = erp.booked(order)
    assert rest_of_it is not None
    assert (rest_of_it.state, rest_of_it.reports, rest_of_it.seconds) == ("finished", 3, 7200.5)


# -- from a settled run to the ERP's own cost


def test_the_order_of_the_research_page_comes_out_at_its_cost(world: World, site: OneSite, erp: Erp) -> None:
    order = world.take()
    Inbox(site, erp, now).poll()
    site.append([settled(order, CNC_2, 10, 3600, good=6)])
    site.append([settled(order, CNC_2, 10, 1800, good=4, final=True)])
    site.append([settled(order, ASM, 20, 1800, good=9, scrap=1, final=True)])
    box = Outbox(site, erp, world.section, now)
    box.look(orders_known=True)
    box.work()
    assert {item.state for item in site.items(order)} == {"confirmed"}
    booked = erp.booked(order)
    assert booked is not None
    assert (booked.state, booked.good, booked.scrap) == ("finished", 9, 1)
    assert (booked.cost, booked.unit_price) == ("139.0000", "15.4444")
    assert Compare(site, erp, now).run() == 0
    Inbox(site, erp, now).poll()
    job = [job for job in site.all(JobOrdered) if job.order == order][-1]
    assert (job.state, job.cost) == ("finished", "139.0000")

    # What is found out after the end cannot be taken back there: a person hears of it.
    site.append([settled(order, ASM, 20, 1500, good=8, scrap=1, final=True, revision=1, at_ns=last_time(site, order))])
    box.look(orders_known=True)
    box.work()
    messages = [item.message for item in site.items(order) if item.state == "parked"]
    assert len(messages) == 2
    assert any("300 s less than was reported" in message for message in messages)
    assert any("finished in Tryton with 9 good and 1 scrapped; 8 and 1" in message for message in messages)


def last_time(site: OneSite, order: str) -> int:
    rows = site.views.query("SELECT max(time_ns) AS t FROM outbox_settled WHERE order_number = ?", (order,))
    return int(rows[0]["t"])


def test_a_figure_that_was_changed_behind_our_back_is_told(world: World, site: OneSite, erp: Erp) -> None:
    order = world.take()
    site.append([settled(order, CNC_1, 10, 3600), settled(order, ASM, 20, 60, good=5)])
    Inbox(site, erp, now).poll()
    box = Outbox(site, erp, world.section, now)
    box.look(orders_known=True)
    box.work()
    (move,) = rest(world, "GET", "stock.move", [["production_output.number", "=", order]], "quantity")
    rest(world, "PUT", f"stock.move/{move['id']}", json={"quantity": 7.0})
    assert Compare(site, erp, now).run() == 1
    (told,) = site.all(ErpDiffers)
    assert (told.path, told.what, told.ours, told.theirs) == (f"{PATH}#order/{order}", "good", "5", "7")


# -- lots


def of_lots(part: RunSettled, *lots: LotPart) -> RunSettled:
    return msgspec.structs.replace(part, lots=lots)


def outputs(world: World, order: str) -> list[tuple[str, float, str]]:
    """(lot, quantity, kind of the place it went to) of each move out of an order."""
    fields = "quantity lot.number to_location.type state"
    rows = rest(world, "GET", "stock.move", [["production_output.number", "=", order]], fields)
    return sorted(
        ((row["lot"] or {}).get("number", ""), row["quantity"], row["to_location"]["type"])
        for row in rows
        if row["state"] != "cancelled"
    )


def test_lots_go_from_the_settled_parts_onto_the_moves_of_material_and_product(
    world: World, site: OneSite, erp: Erp
) -> None:
    order = BY_LOT[0]
    heat = (LotUsed(material="RM-7", lot="HEAT-7"),)
    begun = settled(order, CNC_1, 10, 0)
    over = of_lots(
        settled(order, CNC_1, 10, 60, good=9, scrap=1, final=True),
        LotPart(lot="B-1", good=4, scrap=1, used=heat),
        LotPart(lot="B-2", good=5, used=heat),
    )
    Inbox(site, erp, now).poll()
    (job,) = {job.order: job for job in site.all(JobOrdered) if job.order == order}.values()
    assert (job.lot_tracked, [part.lot_tracked for part in job.materials]) == (True, [True])
    site.append([begun])
    box = Outbox(site, erp, world.section, now)
    box.look(orders_known=True)
    box.work()
    (start,) = site.items(order)
    assert (start.state, start.message) == (
        "pending",
        "waits for somebody to say which lot of RM-7 is used; a person may send it all the same",
    )
    site.append([of_lots(msgspec.structs.replace(begun, revision=1), LotPart(used=heat)), over])
    box.look(orders_known=True)
    box.work()
    assert [(item.command, item.state) for item in site.items(order)] == [
        (command, "confirmed") for command in ("lot", "start", "time", "quantity", "finish")
    ], [item.message for item in site.items(order)]
    assert outputs(world, order) == [("B-1", 1, "lost_found"), ("B-1", 4, "storage"), ("B-2", 5, "storage")]
    (move,) = rest(world, "GET", "stock.move", [["production_input.number", "=", order]], "lot.number state")
    assert (move["lot"]["number"], move["state"]) == ("HEAT-7", "done")
    for lot in ("B-1", "B-2"):
        (row,) = rest(world, "GET", "stock.lot", [["number", "=", lot]], "number")
        traces = rest(world, "GET", "stock.lot.trace", [], "lot.number upward_traces.lot.number", lot=row["id"])
        assert "HEAT-7" in text.dumps(traces)
    booked = erp.booked(order)
    assert booked is not None
    assert (booked.state, booked.good, booked.scrap) == ("finished", 9, 1)
    assert Compare(site, erp, now).run() == 0


def test_quantities_by_lot_are_changed_in_place_and_told_once(world: World, erp: Erp) -> None:
    order = BY_LOT[1]
    erp.push(ReportLot(key="0", order=order, material="RM-7", lot="HEAT-8", direction="in"))
    erp.push(StartOrder(key="1", order=order))
    before = erp.booked(order)
    assert before is not None
    assert (before.state, before.good) == ("running", 0), "what is planned is not made"
    for key, wanted, expected in (
        ("2", {"": (3.0, 0.0)}, [("", 3, "storage")]),
        ("3", {"C-1": (3.0, 1.0), "C-2": (2.0, 2.0)}, [("C-1", 3, "storage"), ("C-1", 1, "lost_found")]),
        ("4", {"C-2": (4.0, 0.0), "": (1.0, 0.0)}, [("C-2", 4, "storage"), ("", 1, "storage")]),
    ):
        lots = tuple(LotQuantity(lot=lot, good=good, scrap=scrap) for lot, (good, scrap) in wanted.items())
        good, scrap = (sum(getattr(one, what) for one in lots) for what in ("good", "scrap"))
        command = ReportQuantity(key=key, order=order, good=good, scrap=scrap, lots=lots)
        assert erp.find(command) is None
        assert erp.push(command) == erp.push(command)
        assert erp.find(command) is not None
        found = outputs(world, order)
        assert set(expected) <= set(found)
        assert len(found) == sum(1 for one in lots if one.good) + sum(1 for one in lots if one.scrap)
        booked = erp.booked(order)
        assert booked is not None
        assert (booked.good, booked.scrap) == (good, scrap)


# -- the line loses things


class Lossy:
    """A line to the ERP that drops a share of requests before it and of replies behind it."""

    def __init__(self, target: str, seed: int, requests: float = 0.1, replies: float = 0.2) -> None:
        self.host, _, port = target.removeprefix("http://").partition(":")
        self.port = int(port)
        self.chance = random.Random(seed)  # noqa: S311  repeatable chance
        self.requests, self.replies = requests, replies
        self.dropped = 0
        line = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                line.serve(self)

            def log_message(self, *_args: object) -> None:
                """Stay quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        if self.chance.random() < self.requests:
            self.drop(handler)
            return
        onward = http.client.HTTPConnection(self.host, self.port, timeout=30)
        onward.request(handler.command, handler.path, body, dict(handler.headers))
        reply = onward.getresponse()
        data = reply.read()
        onward.close()
        if self.chance.random() < self.replies:
            self.drop(handler)
            return
        handler.send_response(reply.status)
        handler.send_header("Content-Type", reply.headers.get("Content-Type", "text/plain"))
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def drop(self, handler: BaseHTTPRequestHandler) -> None:
        self.dropped += 1
        handler.close_connection = True

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def lossy(world: World) -> Iterator[Lossy]:
    line = Lossy(world.server.url, seed=1)
    yield line
    line.close()


def started(world: World, erp: Erp) -> str:
    order = world.take()
    erp.push(StartOrder(key="1", order=order))
    return order


@pytest.mark.long
def test_over_a_line_that_loses_things_each_report_arrives_once(
    world: World, site: OneSite, erp: Erp, lossy: Lossy
) -> None:
    order, wanted = started(world, erp), 20
    Inbox(site, erp, now).poll()
    site.append([settled(order, CNC_1, 10, 60 + part, good=1) for part in range(wanted)])
    far = msgspec.structs.replace(world.section, url=lossy.url).open(PLANT)
    for _ in range(2000):
        # Begun anew each time, as after a kill: all its memory is the log.
        box = Outbox(site, far, world.section, now)
        box.look(orders_known=True)
        try:
            box.work()
            break
        except ErpAway:
            continue
    far.close()
    assert lossy.dropped > wanted, "the line did lose things"
    assert {item.state for item in site.items(order)} == {"confirmed"}
    booked = erp.booked(order)
    assert booked is not None
    assert (booked.reports, booked.seconds) == (wanted, sum(60 + part for part in range(wanted)))


def test_a_naive_client_books_too_much_over_the_same_line(world: World, erp: Erp, lossy: Lossy) -> None:
    order, wanted, sent = started(world, erp), 20, 0
    (work,) = rest(world, "GET", "production.work", [["production.number", "=", order], ["sequence", "=", 10]])
    headers = {"Authorization": f"Bearer {world.key}"}
    while sent < wanted:
        try:
            httpx.post(f"{lossy.url}/erp/rest/model/production.work.cycle", json={"work": work["id"]}, headers=headers)
        except httpx.HTTPError:
            continue
        sent += 1
    arrived = rest(world, "GET", "production.work.cycle", [["work", "=", work["id"]]], "state")
    assert len(arrived) > wanted


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_door_killed_again_and_again_books_each_of_100_reports_once(
    world: World, tmp_path: Path, erp: Erp, lossy: Lossy
) -> None:
    order, wanted = started(world, erp), 100
    folder = tmp_path / "killed"
    site = OneSite(folder)
    Inbox(site, erp, now).poll()
    site.append([settled(order, CNC_1, 10, 60, good=1) for _ in range(wanted)])
    site.close()
    command = [
        sys.executable,
        str(ROOT / "tests" / "erp_door.py"),
        str(folder),
        lossy.url,
        world.section.user,
        world.section.key,
    ]
    chance, kills = random.Random(2), 0  # noqa: S311  repeatable chance
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})
        try:
            process.wait(chance.uniform(2, 10))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
            kills += 1
        else:
            assert process.returncode == 0
            break
    assert kills > 5
    booked = erp.booked(order)
    assert booked is not None
    assert (booked.reports, booked.seconds) == (wanted, wanted * 60.0)


# -- the door


def test_the_door_tells_that_the_erp_went_away_and_goes_on_when_it_is_back(world: World, site: OneSite) -> None:
    order = world.take()
    door = Door(site, world.section.open(PLANT), world.section)
    door.start()
    until(lambda: bool(site.all(JobOrdered)), 20, "orders came in")
    world.server.kill()
    site.append([settled(order, CNC_1, 10, 60, final=True), settled(order, ASM, 20, 60, good=10, final=True)])
    until(lambda: site.all(ErpChanged)[-1].up is False, 20, "it was told that the ERP is away")
    assert "cannot be reached" in site.all(ErpChanged)[-1].cause
    world.server.start()
    until(lambda: [i.state for i in site.items(order)] == ["confirmed"] * 5, 30, "all reports arrived")
    door.stop()
    assert [change.up for change in site.all(ErpChanged)][-1] is True
    with_it = world.section.open(PLANT)
    booked = with_it.booked(order)
    with_it.close()
    assert booked is not None
    assert (booked.state, booked.good) == ("finished", 10)
    assert Decimal(booked.time_cost) == Decimal("1.5000")
