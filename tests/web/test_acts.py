"""What people do on pages is a record with their name and the moment, and only those may who may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from litestar.testing import TestClient
from visits import make_fresh  # noqa: F401  fixtures

import web_world as worlds
from isthmus.model.query import Raw
from isthmus.model.records import Record
from isthmus.model.records.business import ErpDiffers
from isthmus.model.records.people import (
    JobStarted,
    JobStopped,
    LotGiven,
    ParkedDecided,
    QuantityCorrected,
    ReasonGiven,
    SampleCorrected,
)
from web_world import Visitor

Visit = Callable[[str], Visitor]
BELOW = worlds.below("CNC-02")
AT = worlds.path("CNC-02")


@pytest.fixture
def visit(fresh: worlds.World) -> Iterator[Visit]:
    with TestClient(fresh.app) as client:
        yield lambda role: Visitor(client, role)


def said(made: worlds.World, kind: type[Record]) -> list[Record]:
    return [record for _, record in made.site.log.read(0) if isinstance(record, kind)]


def idle_stop(made: worlds.World) -> tuple[int, int]:
    row = made.site.views.query("SELECT start_ns, time_ns FROM stops WHERE path = ? AND reason = ''", (AT,))[0]
    return row["start_ns"], row["time_ns"]


def test_a_reason_is_a_record_that_says_who_and_when(fresh: worlds.World, visit: Visit) -> None:
    start, end = idle_stop(fresh)
    answer = visit("operator").post(
        f"/act/reason/{BELOW}", start_ns=str(start), end_ns=str(end), reason="MAT", note="no bars"
    )
    assert answer.status_code == 303
    [given] = said(fresh, ReasonGiven)
    assert isinstance(given, ReasonGiven)
    assert (given.path, given.time_ns, given.end_ns, given.reason) == (AT, start, end, "MAT")
    assert (given.by, given.note) == ("operator", "no bars")
    assert given.said_ns >= fresh.now_ns
    page = visit("operator").get(f"/machine/{BELOW}").text
    assert "Waiting for material" in page
    assert "operator, " in page


def test_a_second_reason_for_one_stop_stands_beside_the_first_and_undo_uncovers_it(
    fresh: worlds.World, visit: Visit
) -> None:
    start, end = idle_stop(fresh)
    stretch = {"start_ns": str(start), "end_ns": str(end)}
    visit("operator").post(f"/act/reason/{BELOW}", **stretch, reason="MAT")
    visit("operator").post(f"/act/reason/{BELOW}", **stretch, reason="JAM")
    assert [(record.ordinal, record.revision) for record in said(fresh, ReasonGiven)] == [(0, 0), (1, 0)]
    visit("operator").post(f"/act/undo/{BELOW}", time_ns=str(start), ordinal="1")
    last = said(fresh, ReasonGiven)[-1]
    assert (last.ordinal, last.revision, last.gone) == (1, 1, True)
    left = fresh.site.views.query("SELECT reason FROM stops_said WHERE path = ?", (AT,))
    assert [row["reason"] for row in left] == ["MAT"]
    visit("operator").post(f"/act/reason/{BELOW}", **stretch, reason="QC")
    assert said(fresh, ReasonGiven)[-1].ordinal == 2


def test_a_stop_is_split_into_two_reasons_that_meet(fresh: worlds.World, visit: Visit) -> None:
    start, end = idle_stop(fresh)
    half = (end - start) / 60e9 / 2
    fields = {"start_ns": str(start), "end_ns": str(end), "first": "MAT", "second": "JAM", "after_min": f"{half:.6f}"}
    assert visit("operator").post(f"/act/reason/{BELOW}", **fields).status_code == 303
    first, second = said(fresh, ReasonGiven)
    assert isinstance(first, ReasonGiven)
    assert isinstance(second, ReasonGiven)
    assert (first.time_ns, second.end_ns) == (start, end)
    assert first.end_ns == second.time_ns
    fields["after_min"] = "9999"
    outside = visit("operator").post(f"/act/reason/{BELOW}", **fields)
    assert outside.status_code == 400
    assert "within the stop" in outside.text


def test_only_a_supervisor_takes_back_what_somebody_else_said(fresh: worlds.World, visit: Visit) -> None:
    start, end = idle_stop(fresh)
    visit("operator").post(f"/act/reason/{BELOW}", start_ns=str(start), end_ns=str(end), reason="MAT")
    undo = {"time_ns": str(start), "ordinal": "0"}
    refused = visit("maintenance").post(f"/act/undo/{BELOW}", **undo)
    assert refused.status_code == 403
    assert "take back what somebody else said is for supervisor" in refused.text
    assert visit("supervisor").post(f"/act/undo/{BELOW}", **undo).status_code == 303


@pytest.mark.parametrize("role", ["planner", "security", "administrator", "programme"])
def test_a_role_that_may_not_is_told_who_may(fresh: worlds.World, visit: Visit, role: str) -> None:
    start, _ = idle_stop(fresh)
    refused = visit(role).post(f"/act/reason/{BELOW}", start_ns=str(start), reason="MAT")
    assert refused.status_code == 403
    assert "operator, supervisor or maintenance" in refused.text
    assert said(fresh, ReasonGiven) == []


def test_a_reason_that_the_plant_file_does_not_offer_is_refused(fresh: worlds.World, visit: Visit) -> None:
    start, _ = idle_stop(fresh)
    refused = visit("operator").post(f"/act/reason/{BELOW}", start_ns=str(start), reason="<b>made up</b>")
    assert refused.status_code == 400
    assert "<b>made" not in refused.text


def test_a_form_without_the_sessions_token_or_from_another_site_does_nothing(fresh: worlds.World, visit: Visit) -> None:
    visitor = visit("operator")
    start, _ = idle_stop(fresh)
    fields = {"start_ns": str(start), "reason": "MAT"}
    visitor.get("/plant")
    without = visitor.client.post(f"/act/reason/{BELOW}", data=fields, follow_redirects=False)
    assert without.status_code == 403
    session = fresh.app.state.house.accounts.session(visitor.token)
    elsewhere = visitor.client.post(
        f"/act/reason/{BELOW}",
        data={**fields, "form": session.form},
        headers={"origin": "https://evil.example"},
        follow_redirects=False,
    )
    assert elsewhere.status_code == 403
    assert said(fresh, ReasonGiven) == []


def test_jobs_are_started_and_stopped_by_people(fresh: worlds.World, visit: Visit) -> None:
    visit("operator").post(f"/act/halt/{BELOW}", order="1046", finished="no")
    visit("operator").post(f"/act/job/{BELOW}", order="1047", operation="turning")
    [stopped], [started] = said(fresh, JobStopped), said(fresh, JobStarted)
    assert isinstance(stopped, JobStopped)
    assert isinstance(started, JobStarted)
    assert (stopped.order, stopped.finished, stopped.by) == ("1046", False, "operator")
    assert (started.order, started.operation, started.by) == ("1047", "turning", "operator")


@pytest.mark.parametrize(
    ("act", "fields"),
    [
        ("job", {}),
        ("halt", {"finished": "yes"}),
        ("quantity", {"good": "1"}),
        ("lot", {"lot": "L-1"}),
    ],
)
def test_an_order_that_nobody_knows_is_refused_with_the_nearest_that_is_known(
    fresh: worlds.World, visit: Visit, act: str, fields: dict[str, str]
) -> None:
    before = len(list(fresh.site.log.read(0)))
    answer = visit("supervisor").post(f"/act/{act}/{BELOW}", order="10466", **fields)
    assert answer.status_code == 400
    assert "No order is called 10466. Is it 1046" in answer.text
    assert "See the orders page" in visit("supervisor").post(f"/act/{act}/{BELOW}", order="ZZZ", **fields).text
    assert len(list(fresh.site.log.read(0))) == before


def test_a_plant_whose_business_system_told_of_no_order_takes_any(tmp_path: Path) -> None:
    with worlds.world(tmp_path, told=False) as made, TestClient(made.app) as client:
        assert Visitor(client, "operator").post(f"/act/job/{BELOW}", order="X-1").status_code == 303
        assert len(said(made, JobStarted)) == 1


def test_known_orders_are_offered_on_the_forms(visit: Visit) -> None:
    page = visit("supervisor").get(f"/machine/{BELOW}").text
    offered = page[page.index('<datalist id="known-orders">') :].partition("</datalist>")[0]
    assert {'value="1045"', 'value="1046"'} <= set(offered.replace(">", " ").split())
    assert page.count('list="known-orders"') == 2
    assert '<datalist id="open-orders">' in page


def test_a_person_says_which_lot_is_made_and_which_is_used_and_since_when(fresh: worlds.World, visit: Visit) -> None:
    visitor = visit("operator")
    start = fresh.site.views.query("SELECT time_ns FROM runs WHERE path = ? AND order_no = '1046'", (AT,))[0]["time_ns"]
    assert visitor.post(f"/act/lot/{BELOW}", order="1046", lot="B-1", **{"from": "start"}).status_code == 303
    visitor.post(f"/act/lot/{BELOW}", order="1046", lot="HEAT-7", material="BAR", **{"from": "now"})
    made, used = said(fresh, LotGiven)
    assert isinstance(made, LotGiven)
    assert isinstance(used, LotGiven)
    assert (made.time_ns, made.direction, made.lot, made.by) == (start, "out", "B-1", "operator")
    assert (used.time_ns, used.direction, used.material) == (used.said_ns, "in", "BAR")
    assert visitor.post(f"/act/lot/{BELOW}", order="1046", lot=" ").status_code == 400
    assert visit("planner").post(f"/act/lot/{BELOW}", order="1046", lot="B-2").status_code == 403


def test_a_corrected_quantity_is_a_difference_with_a_name(fresh: worlds.World, visit: Visit) -> None:
    visitor = visit("quality")
    visitor.post(f"/act/quantity/{BELOW}", order="1046", good="-3", scrap="3", note="found cracked")
    [corrected] = said(fresh, QuantityCorrected)
    assert isinstance(corrected, QuantityCorrected)
    assert (corrected.good, corrected.scrap, corrected.order, corrected.by) == (-3, 3, "1046", "quality")
    assert visitor.post(f"/act/quantity/{BELOW}", order="1046").status_code == 400
    assert visitor.post(f"/act/quantity/{BELOW}", order="1046", good="many").status_code == 400


def test_a_parked_report_is_decided_once_and_dropped_only_with_a_note(fresh: worlds.World, visit: Visit) -> None:
    planner = visit("planner")
    assert planner.post("/act/decide", key="1046-quantity", decision="drop").status_code == 400
    assert planner.post("/act/decide", key="1045-quantity", decision="send again").status_code == 400
    assert planner.post("/act/decide", key="1046-quantity", decision="drop", note="posted by hand").status_code == 303
    [decided] = said(fresh, ParkedDecided)
    assert isinstance(decided, ParkedDecided)
    assert decided.path == f"{worlds.PATH}#erp/1046-quantity"
    assert (decided.decision, decided.by) == ("drop", "planner")
    page = planner.get("/orders").text
    assert "No report waits for a decision" in page
    assert "planner: drop" in page
    assert visit("operator").post("/act/decide", key="1046-quantity", decision="drop", note="x").status_code == 403


def test_a_figure_that_the_erp_changed_shows_until_both_agree_again(fresh: worlds.World, visit: Visit) -> None:
    told = ErpDiffers(
        path=f"{worlds.PATH}#order/1045", time_ns=fresh.now_ns, order="1045", what="good", ours="312", theirs="300"
    )
    fresh.site.append([told])
    page = visit("planner").get("/orders").text
    assert "the ERP shows another good" in page
    assert "confirmed 312 pcs to us and now shows 300 pcs" in page
    fresh.site.append([msgspec.structs.replace(told, revision=1, gone=True)])
    assert "shows another" not in visit("planner").get("/orders").text


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("quantity", {"good": str(1 << 63), "order": "1042"}),
        ("quantity", {"good": "2000000000", "order": "1042"}),
        ("undo", {"time_ns": str(1 << 63), "ordinal": "0"}),
        ("undo", {"time_ns": "1", "ordinal": str(10**30)}),
        ("reason", {"start_ns": str(1 << 63), "reason": "MAT"}),
        ("reason", {"start_ns": "12", "reason": "MAT"}),
        ("reason", {"start_ns": str(1 << 61), "reason": "MAT"}),
        ("reason", {"start_ns": "12", "end_ns": "99", "first": "MAT", "second": "JAM", "after_min": "nan"}),
        ("reason", {"start_ns": "12", "end_ns": "99", "first": "MAT", "second": "JAM", "after_min": "inf"}),
        ("job", {"order": "A" * 100_000}),
        ("job", {"order": "10\x0042"}),
        ("halt", {"order": ""}),
    ],
)
def test_what_no_store_or_page_could_hold_is_refused_and_leaves_nothing_behind(
    fresh: worlds.World, visit: Visit, what: str, fields: dict[str, str]
) -> None:
    before = fresh.site.log.position
    assert visit("supervisor").post(f"/act/{what}/{BELOW}", **fields).status_code == 400
    assert fresh.site.log.position == before
    assert fresh.site.views.position == before


def test_a_machine_whose_figures_stand_still_says_so_where_people_say_things(fresh: worlds.World, visit: Visit) -> None:
    visitor = visit("operator")
    address = f"/machine/{BELOW}"
    assert "stand still" not in visitor.get(address).text
    path = f"{worlds.PATH}/{BELOW}"
    fresh.site.stopped[path] = f"figures of {path} stand still at 11:42: production/states failed (ValueError: <b>)"
    answer = visitor.post(f"/act/quantity/{BELOW}", order="1046", scrap="1", good="-1", note="cracked")
    page = visitor.get(address).text
    assert answer.status_code in (303, 403)
    assert f"Figures of {path} stand still at 11:42: production/states failed (ValueError: &lt;b&gt;)." in page
    assert "kept in the log" in page
    assert "stand still" in visitor.get("/plant").text


def test_a_sample_is_put_right_by_who_may_and_the_old_one_is_kept(fresh: worlds.World, visit: Visit) -> None:
    tag = fresh.site.tags.find("cnc-02/good")
    assert tag is not None
    rows = fresh.site.historian.query(Raw(), [tag], 0, fresh.now_ns).to_pylist()
    at = rows[3]["time_ns"]
    page = visit("quality").get(f"/machine/{BELOW}?from={at}&to={at + 1}").text
    assert f'<option value="{at}">' in page
    assert "Put a sample right" not in visit("operator").get(f"/machine/{BELOW}?from={at}&to={at + 1}").text
    fields = {"tag": "cnc-02/good", "time_ns": str(at), "value": "77", "why": "sensor stuck"}
    for wrong, status in (
        ({"tag": "paint/load"}, 400),
        ({"value": "much"}, 400),
        ({"why": " "}, 400),
        ({"time_ns": "x"}, 400),
    ):
        assert visit("quality").post(f"/act/sample/{BELOW}", **{**fields, **wrong}).status_code == status
    assert visit("operator").post(f"/act/sample/{BELOW}", **fields).status_code == 403
    assert visit("quality").post(f"/act/sample/{BELOW}", **fields).status_code == 303
    after = fresh.site.historian.query(Raw(), [tag], 0, fresh.now_ns).to_pylist()
    assert after[3]["i64"] == 77
    assert [*after[:3], *after[4:]] == [*rows[:3], *rows[4:]]
    [record] = said(fresh, SampleCorrected)
    assert isinstance(record, SampleCorrected)
    assert (record.tag, record.time_ns, record.value, record.why) == ("cnc-02/good", at, "77", "sensor stuck")
    assert record.by == "quality"
