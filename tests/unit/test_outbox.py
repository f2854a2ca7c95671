"""What the outbox puts in an order's line, and how each report fares when the ERP or we fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from erp_support import ASM, CNC_1, PATH, OneSite, PaperErp, PaperSection, now, settled, two_steps
from isthmus.enterprise.compare import Compare
from isthmus.enterprise.erp import AnyCommand, FinishOrder, ReportQuantity, ReportTime, StartOrder
from isthmus.enterprise.outbox import Outbox
from isthmus.model.errors import ErpAway, ErpRefuses
from isthmus.model.records import Record
from isthmus.model.records.business import ErpDiffers, ErpItem
from isthmus.model.records.people import ParkedDecided
from isthmus.site.records.postgresql import PostgresDatabase


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=[pytest.mark.peer("postgresql"), pytest.mark.long])])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OneSite]:
    """Every claim holds whichever engine keeps the line of reports."""
    far = request.param == "postgresql"
    database = PostgresDatabase(request.getfixturevalue("postgres").database()) if far else None
    one = OneSite(tmp_path, database=database)
    yield one
    one.close()


def outbox(site: OneSite, erp: PaperErp) -> Outbox:
    return Outbox(site, erp, PaperSection(), now)


def run(site: OneSite, erp: PaperErp) -> None:
    """As the door does it, in a process of its own that has just begun."""
    box = outbox(site, erp)
    box.obey()
    box.look(orders_known=True)
    box.work()


def decide(site: OneSite, item: ErpItem, decision: str) -> None:
    assert decision in ("drop", "send again")
    site.append([ParkedDecided(path=item.path, time_ns=now(), decision=decision, by="Ada", said_ns=0)])  # type: ignore[arg-type]


def verbs(erp: PaperErp) -> list[str]:
    return [str(type(command).__struct_config__.tag) for command in erp.told]


def whole_order(site: OneSite, order: str = "1047") -> None:
    site.append([two_steps(order)])
    site.append([settled(order, CNC_1, 10, 5400, good=10, final=True)])
    site.append([settled(order, ASM, 20, 1800, good=9, scrap=1, final=True)])


def test_an_order_is_told_in_order_and_finished_last(site: OneSite) -> None:
    erp = PaperErp()
    whole_order(site)
    run(site, erp)
    assert verbs(erp) == ["start", "time", "time", "quantity", "finish"]
    assert [item.state for item in site.items("1047")] == ["confirmed"] * 5


def test_good_pieces_come_from_the_last_operation_and_scrap_from_all(site: OneSite) -> None:
    erp = PaperErp()
    site.append([two_steps("7")])
    site.append([settled("7", CNC_1, 10, 60, good=10, scrap=2), settled("7", ASM, 20, 60, good=9, scrap=1)])
    run(site, erp)
    (quantity,) = (command for command in erp.told if isinstance(command, ReportQuantity))
    assert (quantity.good, quantity.scrap) == (9, 3)


def test_a_step_is_found_by_its_operation_or_machine_when_its_number_is_unknown(site: OneSite) -> None:
    erp = PaperErp()
    site.append([two_steps("7"), settled("7", ASM, 0, 60, good=4)])
    run(site, erp)
    (time,) = (command for command in erp.told if isinstance(command, ReportTime))
    assert (time.sequence, time.operation, time.work_centre) == (20, "Assemble", "ASM-01")
    assert [command.good for command in erp.told if isinstance(command, ReportQuantity)] == [4]


def test_nothing_is_told_twice_by_looking_twice(site: OneSite) -> None:
    erp = PaperErp()
    whole_order(site)
    run(site, erp)
    told, position = list(erp.told), site.log.position
    run(site, erp)
    assert erp.told == told
    assert site.log.position == position


def test_a_lost_reply_is_looked_up_and_not_sent_again(site: OneSite) -> None:
    erp = PaperErp()
    erp.lose = {1}
    whole_order(site)
    with pytest.raises(ErpAway):
        run(site, erp)
    assert [item.state for item in site.items("1047")][:2] == ["confirmed", "unknown"]
    run(site, erp)
    assert erp.found == 1
    assert verbs(erp) == ["start", "time", "time", "quantity", "finish"]


def test_a_lost_request_is_looked_up_and_then_sent_again(site: OneSite) -> None:
    erp = PaperErp()
    erp.fail = iter([lambda _command: ErpAway("cut")])
    whole_order(site)
    with pytest.raises(ErpAway):
        run(site, erp)
    run(site, erp)
    assert erp.found == 1
    assert verbs(erp) == ["start", "time", "time", "quantity", "finish"]


def test_while_the_erp_is_away_the_log_does_not_grow(site: OneSite) -> None:
    erp = PaperErp()
    erp.lose = {0}
    whole_order(site)
    with pytest.raises(ErpAway):
        run(site, erp)
    erp.down = True
    before = site.log.position
    box = outbox(site, erp)
    for _ in range(20):
        box.look(orders_known=True)
        with pytest.raises(ErpAway):
            box.work()
    assert site.log.position == before


class Killed(BaseException):
    """The process ends here, as kill -9 ends it."""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_around_any_write_to_the_log_neither_loses_nor_doubles(site: OneSite, moment: str) -> None:
    erp = PaperErp()
    whole_order(site)
    for kill_at in range(100):
        count = iter(range(1000))

        def die(records: Sequence[Record], kill_at: int = kill_at, count: Iterator[int] = count) -> None:
            assert records
            if next(count) == kill_at % 3:
                raise Killed

        setattr(site, f"{moment}_append", die)
        try:
            run(site, erp)
        except Killed:
            continue
        break
    assert kill_at > 5, "it was killed several times on the way"
    assert sorted(verbs(erp)) == sorted(["start", "time", "time", "quantity", "finish"])
    assert [item.state for item in site.items("1047")] == ["confirmed"] * 5


def test_a_no_is_parked_with_the_erps_words_and_holds_up_only_its_own_order(site: OneSite) -> None:
    erp = PaperErp()
    refuse = ErpRefuses("material is missing: 15 kg RM-1")
    erp.fail = iter([lambda command: refuse if command.order == "1047" else None])
    whole_order(site, "1047")
    whole_order(site, "1048")
    run(site, erp)
    assert [item.state for item in site.items("1047")] == ["parked"] + ["pending"] * 4
    assert site.items("1047")[0].message == "material is missing: 15 kg RM-1"
    assert {item.state for item in site.items("1048")} == {"confirmed"}


def test_a_person_sends_a_parked_report_again(site: OneSite) -> None:
    erp = PaperErp()
    erp.fail = iter([lambda _command: ErpRefuses("no stock")])
    whole_order(site)
    run(site, erp)
    assert erp.told == []
    decide(site, site.items("1047")[0], "send again")
    run(site, erp)
    assert [item.state for item in site.items("1047")] == ["confirmed"] * 5


def test_a_dropped_report_is_never_made_again_and_the_line_goes_on(site: OneSite) -> None:
    erp = PaperErp()
    erp.fail = iter([lambda _command: None, lambda _command: ErpRefuses("no such step")])
    whole_order(site)
    run(site, erp)
    decide(site, site.items("1047")[1], "drop")
    run(site, erp)
    dropped = site.items("1047")[1]
    assert (dropped.state, "Ada" in dropped.message) == ("rejected", True)
    assert verbs(erp) == ["start", "time", "quantity", "finish"]
    run(site, erp)
    assert len(erp.told) == 4


def test_a_report_that_fails_again_and_again_is_parked_in_the_end(site: OneSite) -> None:
    erp = PaperErp()
    erp.fail = iter([lambda _command: ErpAway("HTTP 500")] * 50)
    site.append([two_steps("7"), settled("7", CNC_1, 10, 60)])
    for _ in range(25):
        try:
            run(site, erp)
        except ErpAway:
            continue
    (start, *_) = site.items("7")
    assert start.state == "parked"
    assert "20 times" in start.message


def test_an_order_that_never_answers_does_not_hold_up_the_others(site: OneSite) -> None:
    erp = PaperErp()

    def poison(command: AnyCommand) -> Exception | None:
        return ErpAway("no answer") if command.order == "1" else None

    erp.fail = iter([poison] * 100)
    whole_order(site, "1")
    whole_order(site, "2")
    box = outbox(site, erp)
    box.look(orders_known=True)
    box.work()
    assert site.items("1")[0].state == "unknown"
    assert {item.state for item in site.items("2")} == {"confirmed"}


def test_later_data_that_adds_time_is_told_as_one_more_report(site: OneSite) -> None:
    erp = PaperErp()
    site.append([two_steps("7"), settled("7", CNC_1, 10, 100, at_ns=5)])
    run(site, erp)
    site.append([settled("7", CNC_1, 10, 160, at_ns=5, revision=1)])
    run(site, erp)
    times = [command for command in erp.told if isinstance(command, ReportTime)]
    assert [(time.seconds, time.number) for time in times] == [(100, 1), (60, 2)]
    assert len({time.key for time in times}) == 2


def test_a_reduction_of_time_is_parked_for_a_person_beside_the_line(site: OneSite) -> None:
    erp = PaperErp()
    site.append([two_steps("7"), settled("7", CNC_1, 10, 100, at_ns=5, final=True)])
    run(site, erp)
    site.append([settled("7", CNC_1, 10, 70, at_ns=5, revision=1, final=True)])
    site.append([settled("7", ASM, 20, 50, good=3, final=True)])
    run(site, erp)
    parked = [item for item in site.items("7") if item.state == "parked"]
    assert len(parked) == 1
    assert "30 s less" in parked[0].message
    assert verbs(erp)[-1] == "finish", "what comes later does not wait for it"
    run(site, erp)
    assert len([item for item in site.items("7") if item.state == "parked"]) == 1


def test_a_reduction_that_is_taken_back_leaves_nothing_to_decide(site: OneSite) -> None:
    erp = PaperErp()
    for revision, seconds in enumerate((100, 70, 100)):
        site.append([settled("7", CNC_1, 10, seconds, at_ns=5, revision=revision)])
        run(site, erp)
    assert [item.state for item in site.items("7") if item.command == "time"] == ["confirmed"]
    assert sum(command.seconds for command in erp.told if isinstance(command, ReportTime)) == 100


def test_a_dropped_reduction_counts_as_done_by_hand(site: OneSite) -> None:
    erp = PaperErp()
    site.append([settled("7", CNC_1, 10, 100, at_ns=5)])
    run(site, erp)
    site.append([settled("7", CNC_1, 10, 70, at_ns=5, revision=1)])
    run(site, erp)
    (parked,) = (item for item in site.items("7") if item.state == "parked")
    decide(site, parked, "drop")
    run(site, erp)
    site.append([settled("7", CNC_1, 10, 80, at_ns=5, revision=2)])
    run(site, erp)
    assert [command.seconds for command in erp.told if isinstance(command, ReportTime)] == [100, 10]


def test_what_changes_before_it_was_sent_is_withdrawn_and_told_once_as_it_is_now(site: OneSite) -> None:
    erp = PaperErp()
    site.append([two_steps("7"), settled("7", ASM, 20, 100, good=10, at_ns=5)])
    outbox(site, erp).look(orders_known=True)
    site.append([settled("7", ASM, 20, 80, good=8, at_ns=5, revision=1)])
    run(site, erp)
    assert [command.seconds for command in erp.told if isinstance(command, ReportTime)] == [80]
    assert [command.good for command in erp.told if isinstance(command, ReportQuantity)] == [8]


def test_a_part_that_moves_to_another_order_is_taken_off_the_first(site: OneSite) -> None:
    erp = PaperErp(corrects_downwards=True)
    site.append([settled("7", ASM, 20, 100, good=10, at_ns=5)])
    run(site, erp)
    site.append([settled("8", ASM, 20, 100, good=10, at_ns=5, revision=1)])
    run(site, erp)
    booked = [erp.booked(order) for order in ("7", "8")]
    assert [(b.good, b.seconds) for b in booked if b] == [(0, 0), (10, 100)]


def test_the_finish_waits_until_every_step_of_our_machines_is_reported(site: OneSite) -> None:
    erp = PaperErp()
    site.append([two_steps("7"), settled("7", ASM, 20, 60, good=10, final=True)])
    run(site, erp)
    finish = site.items("7")[-1]
    assert (finish.command, finish.state) == ("finish", "pending")
    assert "step 10 Mill" in finish.message
    site.append([settled("7", CNC_1, 10, 60, final=True)])
    run(site, erp)
    assert verbs(erp)[-1] == "finish"


def test_a_person_may_finish_an_order_whose_step_was_never_reported(site: OneSite) -> None:
    erp = PaperErp()
    site.append([two_steps("7"), settled("7", ASM, 20, 60, good=10, final=True)])
    run(site, erp)
    decide(site, site.items("7")[-1], "send again")
    run(site, erp)
    assert isinstance(erp.told[-1], FinishOrder)


def test_an_order_that_the_erp_has_not_told_of_waits_until_all_orders_are_known(site: OneSite) -> None:
    erp = PaperErp()
    site.append([settled("9", CNC_1, 10, 60)])
    box = outbox(site, erp)
    assert box.look(orders_known=False) == 0
    assert box.look(orders_known=True) == 3
    box.work()
    assert isinstance(erp.told[0], StartOrder)


def test_what_the_erp_does_not_take_is_parked_and_says_so(site: OneSite) -> None:
    class WithoutFinish(PaperErp):
        def capabilities(self):  # type: ignore[no-untyped-def]  # noqa: ANN202  narrower than its parent's
            return type(super().capabilities())(pulls=(), commands=("start", "time", "quantity"))

    whole_order(site)
    run(site, WithoutFinish())
    assert site.items("1047")[-1].state == "parked"
    assert "finish" in site.items("1047")[-1].message


def test_a_difference_to_the_erp_is_told_once_and_taken_back_when_it_is_gone(site: OneSite) -> None:
    erp = PaperErp()
    site.append([two_steps("7"), settled("7", ASM, 20, 100, good=10)])
    run(site, erp)
    compare = Compare(site, erp, now)
    erp.told = [command for command in erp.told if not isinstance(command, ReportQuantity)]
    quantity: Callable[[], list[ErpDiffers]] = lambda: [d for d in site.all(ErpDiffers) if d.what == "good"]  # noqa: E731
    compare.run()
    compare.run()
    (told,) = quantity()
    assert (told.path, told.ours, told.theirs) == (f"{PATH}#order/7", "10", "0")
    erp.told.append(ReportQuantity(key="x", order="7", good=10, scrap=0))
    compare.run()
    assert [d.gone for d in quantity()] == [False, True]


def test_a_run_that_has_only_begun_starts_its_order_and_tells_nothing_else(site: OneSite) -> None:
    erp = PaperErp()
    site.append([two_steps("7"), settled("7", ASM, 20, 0)])
    run(site, erp)
    assert verbs(erp) == ["start"]
    site.append([settled("7", ASM, 20, 60, good=4)])
    run(site, erp)
    assert verbs(erp) == ["start", "time", "quantity"]


def test_a_start_that_was_told_by_mistake_waits_for_a_person_in_words_and_holds_up_nobody(site: OneSite) -> None:
    erp = PaperErp()
    began = settled("7", CNC_1, 10, 0, at_ns=5)
    site.append([two_steps("7"), began])
    run(site, erp)
    site.append([settled("7", CNC_1, 10, 0, at_ns=5, revision=1, gone=True)])
    run(site, erp)
    run(site, erp)
    assert verbs(erp) == ["start"]
    start, back = site.items("7")
    assert (start.state, back.command, back.state) == ("confirmed", "unstart", "parked")
    assert "order 7 was started by mistake" in back.message

    whole_order(site, "7")
    run(site, erp)
    assert verbs(erp) == ["start", "time", "time", "quantity", "finish"], "it runs after all: nothing to take back"
    assert "unstart" not in [item.command for item in site.items("7")]


def test_an_order_that_a_person_set_back_is_started_again_when_it_runs(site: OneSite) -> None:
    erp = PaperErp()
    site.append([two_steps("7"), settled("7", CNC_1, 10, 0, at_ns=5)])
    run(site, erp)
    site.append([settled("7", CNC_1, 10, 0, at_ns=5, revision=1, gone=True)])
    run(site, erp)
    decide(site, site.items("7")[1], "drop")
    run(site, erp)
    assert [item.state for item in site.items("7")] == ["confirmed", "rejected"]
    site.append([settled("7", CNC_1, 10, 60, good=1)])
    run(site, erp)
    assert [item.command for item in site.items("7")] == ["start", "unstart", "start", "time"]


def test_a_mistaken_start_that_was_never_sent_is_withdrawn(site: OneSite) -> None:
    erp = PaperErp()
    site.append([two_steps("7"), settled("7", CNC_1, 10, 0, at_ns=5)])
    outbox(site, erp).look(orders_known=True)
    site.append([settled("7", CNC_1, 10, 0, at_ns=5, revision=1, gone=True)])
    run(site, erp)
    assert (verbs(erp), site.items("7")) == ([], [])
