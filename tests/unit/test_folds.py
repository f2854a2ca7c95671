"""The fold runner: what it promises of order, lateness, corrections and crashes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from example_folds import OTHER, PATH, Counts, States, Stops, folds_of, small_plant
from isthmus.model.errors import FoldsDisagree
from isthmus.model.fold import Fold, Item
from isthmus.model.records import Record
from isthmus.model.records.people import QuantityCorrected, ReasonGiven
from isthmus.model.records.production import Counted, Indicator, StateChanged, StopExplained
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_S
from isthmus.site.folding.graph import flow, in_order
from spine import MONDAY, Event, Spine, body, dictionary, of_events

HOUR, MINUTE, SECOND = NS_PER_HOUR, NS_PER_MINUTE, NS_PER_S


def story(start_ns: int, hours: float, every_s: int = 60) -> list[Event]:
    """A machine that makes a part each minute and stops for two minutes in each ten."""
    out: list[Event] = []
    for number in range(int(hours * 3600 / every_s)):
        at = start_ns + number * every_s * SECOND
        state = "DOWN" if number % 10 in (7, 8) else "RUN"
        out += [(at, "state", state), (at, "parts", number if state == "RUN" else number - number % 10 + 6)]
    return out


def live(spine: Spine, events: list[Event], step_ns: int = 10 * MINUTE) -> None:
    """Events arrive as they happen, and everything is folded all the while."""
    end = spine.now_ns
    while events:
        end += step_ns
        now, events = [event for event in events if event[0] < end], [event for event in events if event[0] >= end]
        spine.now_ns = end
        spine.send(now)
        spine.settle()


@pytest.fixture
def spine(tmp_path: Path) -> Iterable[Spine]:
    made = Spine(tmp_path / "site")
    yield made
    made.close()


def test_facts_follow_from_samples_and_from_facts(spine: Spine) -> None:
    live(spine, story(MONDAY, 9))
    indicator = next(fact for fact in spine.facts() if isinstance(fact, Indicator))
    assert (indicator.name, indicator.start_ns, indicator.time_ns) == ("Early", MONDAY, MONDAY + 8 * HOUR)
    assert indicator.elements.apt_ns == 8 * 48 * MINUTE
    assert indicator.good == sum(
        fact.good for fact in spine.facts() if isinstance(fact, Counted) and fact.time_ns <= MONDAY + 8 * HOUR
    )
    assert len([fact for fact in spine.facts() if isinstance(fact, StopExplained)]) == 54
    assert spine.facts("Recomputed") == []
    assert spine.site.log.verify() == []


def test_an_edge_cut_off_for_a_weekend_comes_back_and_the_weekend_is_right(tmp_path: Path) -> None:
    events = story(MONDAY, 60, every_s=300)
    friday = [event for event in events if event[0] < MONDAY + 2 * HOUR]
    rest = events[len(friday) :]
    cut, always = Spine(tmp_path / "cut"), Spine(tmp_path / "always")
    live(cut, friday)
    cut.until(MONDAY + 60 * HOUR)
    silent = len(cut.facts())
    for start in range(0, len(rest), 100):
        cut.now_ns += SECOND
        cut.send(rest[start : start + 100])
        cut.runner.turn()
    live(always, events, step_ns=HOUR)
    for spine in (cut, always):
        spine.until(MONDAY + 61 * HOUR)
    assert cut.facts() == always.facts()
    assert len(cut.facts()) > silent
    told = cut.facts("Recomputed")
    assert len(told) <= 3
    assert always.facts("Recomputed") == []
    cut.close()
    always.close()


def test_a_weekend_that_is_folded_again_does_not_hold_the_other_machine(spine: Spine) -> None:
    spine.until(MONDAY + 60 * HOUR)
    spine.send(story(MONDAY, 60, every_s=600))
    spine.now_ns += 10 * SECOND
    at = spine.now_ns
    spine.send([(at - 5 * SECOND, "state", "RUN"), (at, "state", "DOWN")], source="other")
    spine.now_ns += 6 * SECOND
    turns = 0
    while not any(fact.path == OTHER and isinstance(fact, StateChanged) for fact in spine.facts()):
        spine.runner.turn()
        turns += 1
        assert turns < 5
    assert spine.runner._courses[0].again


def test_figures_that_lack_a_weekend_say_so_until_it_is_folded_in(spine: Spine) -> None:
    spine.until(MONDAY + 60 * HOUR)
    spine.runner.preview()
    assert spine.site.redoing == {}
    spine.send(story(MONDAY + 9 * HOUR, 51, every_s=600))
    spine.runner.preview()
    assert spine.site.redoing == {PATH: MONDAY + 9 * HOUR}
    since = [MONDAY]
    for _ in range(100):
        spine.now_ns += SECOND
        spine.runner.turn()
        spine.runner.preview()
        since += spine.site.redoing.values()
        if not spine.site.redoing:
            break
    assert since == sorted(since)
    assert since[-1] > MONDAY + 40 * HOUR, "what is folded already is no longer told as lacking"
    spine.runner.preview()
    assert spine.site.redoing == {}


def test_a_sample_late_by_minutes_hides_no_figure(spine: Spine) -> None:
    live(spine, story(MONDAY, 3))
    spine.send([(spine.now_ns - 20 * MINUTE, "state", "DOWN")])
    spine.runner.preview()
    assert spine.site.redoing == {}


def test_a_late_sample_changes_exactly_what_follows_from_it(spine: Spine) -> None:
    live(spine, story(MONDAY, 9))
    before = spine.facts()
    at = MONDAY + 3 * HOUR + 90 * SECOND
    spine.send([(at, "state", "DOWN")])
    spine.settle()
    after = spine.facts()
    new = [fact for fact in after if fact not in before]
    assert {type(fact).__name__ for fact in new} == {"StateChanged", "StopExplained", "Indicator"}
    assert [fact.time_ns for fact in new if isinstance(fact, StateChanged)] == [at, MONDAY + 3 * HOUR + 120 * SECOND]
    assert next(fact for fact in new if isinstance(fact, Indicator)).elements.apt_ns == 8 * 48 * MINUTE - 30 * SECOND
    told = spine.facts("Recomputed")
    assert len(told) == 1
    assert "late samples of plc" in str(told[0])


def test_a_sample_corrected_back_takes_its_facts_back(spine: Spine) -> None:
    live(spine, story(MONDAY, 1))
    before = spine.facts()
    at = MONDAY + 90 * SECOND
    spine.send([(at, "state", "DOWN")])
    spine.settle()
    assert spine.facts() != before
    spine.send([(at, "state", "RUN")])
    spine.settle()
    assert spine.facts() == before
    gone = spine.site.views.query("SELECT kind, revision FROM facts WHERE gone = 1 ORDER BY kind")
    assert [tuple(row) for row in gone] == [("StateChanged", 1), ("StateChanged", 1), ("StopExplained", 1)]


def test_a_reason_given_afterwards_explains_yesterdays_stop(spine: Spine) -> None:
    live(spine, story(MONDAY, 30, every_s=300), step_ns=HOUR)
    stop = next(fact for fact in spine.facts() if isinstance(fact, StopExplained))
    said = ReasonGiven(
        path=PATH, time_ns=stop.start_ns + SECOND, end_ns=None, reason="TOOL", by="Ann", said_ns=spine.now_ns
    )
    spine.site.append([said])
    spine.settle()
    changed = [fact for fact in spine.facts() if isinstance(fact, StopExplained) and fact.reason]
    assert [(fact.time_ns, fact.reason) for fact in changed] == [(stop.time_ns, "TOOL")]
    [told] = spine.facts("Recomputed")
    assert "ReasonGiven" in str(told)
    assert "facts_changed=1" in str(told)


def test_a_correction_reaches_the_shift_it_belongs_to_and_can_be_taken_back(spine: Spine) -> None:
    live(spine, story(MONDAY, 20, every_s=300), step_ns=HOUR)
    before = spine.facts()
    said = QuantityCorrected(path=PATH, time_ns=MONDAY + HOUR + 1, order="1", good=-3, by="Ann", said_ns=spine.now_ns)
    spine.site.append([said])
    spine.settle()
    early = [fact for fact in spine.facts() if isinstance(fact, Indicator)]
    assert early[0].good == next(fact for fact in before if isinstance(fact, Indicator)).good - 3
    taken_back = QuantityCorrected(
        path=PATH,
        time_ns=MONDAY + HOUR + 1,
        order="1",
        good=-3,
        by="Ann",
        said_ns=spine.now_ns,
        revision=1,
        gone=True,
    )
    spine.site.append([taken_back])
    spine.settle()
    assert spine.facts() == before


@pytest.mark.parametrize(
    ("said_ns", "end_ns"),
    [(MONDAY + 35 * MINUTE, MONDAY + 8 * HOUR), (MONDAY + 25 * HOUR, MONDAY + 25 * HOUR + 45 * MINUTE)],
    ids=["of yesterday: by the next shift", "of today: within the hour"],
)
def test_folding_again_stops_where_nothing_differs_any_more(spine: Spine, said_ns: int, end_ns: int) -> None:
    live(spine, story(MONDAY, 30, every_s=300), step_ns=HOUR)
    steps: list[int] = []
    unit = spine.runner._courses[0].unit
    fold = unit.fold

    def counted(*given: Any) -> Any:  # noqa: ANN401
        steps.append(given[1])
        return fold(*given)

    unit.fold = counted  # type: ignore[method-assign, assignment]
    said = ReasonGiven(path=PATH, time_ns=said_ns, end_ns=None, reason="TOOL", by="Ann", said_ns=spine.now_ns)
    spine.site.append([said])
    spine.settle()
    assert said_ns < max(steps) <= end_ns


@pytest.mark.parametrize("killed_after", ["logging", "folding"])
def test_a_site_killed_at_work_repeats_to_equal_facts_and_no_duplicate(tmp_path: Path, killed_after: str) -> None:
    events = story(MONDAY, 10)
    first, always = Spine(tmp_path / "site"), Spine(tmp_path / "always")
    live(always, list(events))
    half = [event for event in events if event[0] < MONDAY + 7 * HOUR]
    live(first, list(half))
    if killed_after == "logging":

        def killed(_: object) -> bool:
            raise KeyboardInterrupt

        first.runner._courses[0].finish = killed  # type: ignore[method-assign, assignment]
        first.now_ns += 10 * MINUTE
        first.send([event for event in events if MONDAY + 7 * HOUR <= event[0] < MONDAY + 7 * HOUR + 10 * MINUTE])
        with pytest.raises(KeyboardInterrupt):
            first.settle()
    first.close()
    again = Spine(tmp_path / "site", first.now_ns, historian=first.historian, tags=first.tags)
    again._seq = dict(first._seq)
    again.settle()
    live(again, [event for event in events if event[0] >= again.now_ns])
    assert again.facts() == always.facts()
    said = again.site.views.query("SELECT max(revision) FROM facts")
    assert said[0][0] == 0
    assert again.site.log.position == always.site.log.position
    again.close()
    always.close()


def test_late_data_that_waited_while_the_site_was_killed_is_folded_in_afterwards(tmp_path: Path) -> None:
    first = Spine(tmp_path / "site")
    live(first, story(MONDAY, 20, every_s=300), step_ns=HOUR)
    first.send([(MONDAY + 90 * SECOND, "state", "DOWN")])
    first.site.append(
        [QuantityCorrected(path=PATH, time_ns=MONDAY + 1, order="1", good=5, by="Ann", said_ns=first.now_ns)]
    )
    first.close()
    again = Spine(tmp_path / "site", first.now_ns, historian=first.historian, tags=first.tags)
    again.settle()
    assert any(isinstance(fact, StateChanged) and fact.time_ns == MONDAY + 90 * SECOND for fact in again.facts())
    assert any(isinstance(fact, Counted) and fact.why == "corrected" for fact in again.facts())
    again.close()


def test_samples_from_before_the_site_was_set_up_move_its_beginning(spine: Spine) -> None:
    spine.until(MONDAY + HOUR)
    spine.send(story(MONDAY - NS_PER_DAY, 20, every_s=300))
    spine.settle()
    indicators = [fact for fact in spine.facts() if isinstance(fact, Indicator) and fact.path == PATH]
    assert indicators[0].start_ns == MONDAY - NS_PER_DAY
    assert indicators[0].good > 50


def found(spine: Spine, seq: int, events: list[Event]) -> None:
    """What an edge that begins now finds, stamped by the device with when it became so."""
    epoch = spine.now_ns
    sent = [part._replace(epoch=epoch) for part in (dictionary("plc"), *of_events("plc", seq, events))]
    spine.ingest.take("edge-1", body(*sent))


def test_a_state_that_stood_before_the_site_was_set_up_holds_from_its_beginning(spine: Spine) -> None:
    spine.until(MONDAY + HOUR)
    found(spine, 1, [(MONDAY - 20 * NS_PER_DAY, "state", "DOWN")])
    spine.until(MONDAY + HOUR + MINUTE)
    assert [fact.time_ns for fact in spine.facts()] == [MONDAY]
    assert spine.runner._courses[0].origin_ns == MONDAY


def test_a_device_that_says_again_what_it_said_before_brings_nothing_late(spine: Spine) -> None:
    spine.send([(MONDAY + SECOND, "state", "RUN")])
    live(spine, [(MONDAY + HOUR, "parts", 1), (MONDAY + 20 * HOUR, "parts", 2)], step_ns=HOUR)
    cursor = spine.runner._courses[0].cursor

    def late() -> bool:
        return spine.runner._courses[0].late

    found(spine, 1, [(MONDAY + SECOND, "state", "RUN"), (MONDAY + 20 * HOUR, "parts", 2)])
    assert late() is False
    found(spine, 3, [(MONDAY + SECOND, "state", "DOWN")])
    assert late() is True
    assert spine.runner._courses[0].cursor == cursor


def test_previews_show_what_is_open_without_waiting_and_are_never_logged(spine: Spine) -> None:
    live(spine, story(MONDAY, 1))
    before = spine.site.log.position
    spine.now_ns += SECOND
    spine.send([(spine.now_ns, "state", "DOWN")])
    spine.now_ns += 1
    spine.runner.preview()
    [state] = spine.site.namespace.preview(PATH, "StateChanged")
    assert isinstance(state, StateChanged)
    assert state.state == "DOWN"
    [shift] = spine.site.namespace.preview(PATH, "Indicator")
    assert isinstance(shift, Indicator)
    assert shift.pbt_ns == spine.now_ns - MONDAY
    assert spine.site.log.position == before


def test_a_source_that_is_silent_is_waited_for_no_longer_than_lateness(spine: Spine) -> None:
    spine.send([(MONDAY, "state", "RUN")])
    spine.until(MONDAY + 10 * SECOND)
    assert spine.runner._courses[0].cursor.time_ns == MONDAY + 5 * SECOND
    assert len(spine.facts()) == 1


def test_a_fold_that_fails_stops_its_own_machine_with_a_sentence_and_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Breaks(States):
        def step(self, state: States.State, item: Item) -> Iterable[Record]:
            if item.time_ns if isinstance(item, Record) else "plc/state" in item.series:
                msg = "no rule holds"
                raise ValueError(msg)
            return super().step(state, item)

    plant = small_plant()
    folds: dict[str, list[Fold]] = {PATH: [Breaks(PATH, "plc")], OTHER: folds_of(plant, OTHER, "other")}
    spine = Spine(tmp_path / "site", folds=folds)
    spine.now_ns += MINUTE
    for source in ("plc", "other"):
        spine.send([(MONDAY + SECOND, "state", "RUN")], source=source)
    spine.until(MONDAY + 2 * MINUTE)
    assert [fact.path for fact in spine.facts()] == [OTHER]
    assert "production/states failed (ValueError: no rule holds)" in spine.site.stopped[PATH]
    assert "other machines go on" in caplog.text
    assert spine.site.namespace.preview(PATH, "StateChanged") == ()
    spine.close()


def test_a_state_that_bytes_cannot_hold_stops_its_own_machine_and_no_other(tmp_path: Path) -> None:
    class Grows(States):
        class State(States.State):
            sum: int = 0

        def step(self, state: States.State, item: Item) -> Iterable[Record]:
            assert isinstance(state, Grows.State)
            state.sum += 1 << 70
            return super().step(state, item)

    plant = small_plant()
    folds: dict[str, list[Fold]] = {PATH: [Grows(PATH, "plc")], OTHER: folds_of(plant, OTHER, "other")}
    spine = Spine(tmp_path / "site", folds=folds)
    spine.now_ns += MINUTE
    for source in ("plc", "other"):
        spine.send([(MONDAY + SECOND, "state", "RUN")], source=source)
    spine.until(MONDAY + 2 * MINUTE)
    assert [fact.path for fact in spine.facts()] == [OTHER]
    assert "OverflowError" in spine.site.stopped[PATH]
    spine.close()


def test_a_fold_that_speaks_of_the_past_is_refused(tmp_path: Path) -> None:
    class Speaks(States):
        def step(self, state: States.State, item: Item) -> Iterable[Record]:
            for fact in super().step(state, item):
                yield StateChanged(path=PATH, time_ns=fact.time_ns - NS_PER_DAY, state="RUN")  # type: ignore[arg-type]

    spine = Spine(tmp_path / "site", folds={PATH: [Speaks(PATH, "plc")]})
    spine.send([(MONDAY + SECOND, "state", "RUN")])
    spine.until(MONDAY + MINUTE)
    assert "outside the stretch" in spine.site.stopped[PATH]
    spine.close()


def test_a_second_emitter_is_refused_with_both_names() -> None:
    class Second(Counts):
        name: ClassVar[str] = "energy/parts"

    with pytest.raises(FoldsDisagree, match=r"energy/parts.*Counted.*production/counts"):
        in_order([Second(PATH, "plc")])
    with pytest.raises(FoldsDisagree, match="both emit Counted"):
        in_order([Counts(PATH, "plc"), Counts(PATH, "other")])


def test_a_ring_is_refused_with_the_kinds_that_make_it() -> None:
    class Reads(States):
        reads: ClassVar[tuple[type[Record], ...]] = (StopExplained,)

    with pytest.raises(FoldsDisagree) as refused:
        in_order([Stops(PATH), Reads(PATH, "plc")])
    assert "production/stops reads StateChanged of production/states" in str(refused.value)
    assert "production/states reads StopExplained of production/stops" in str(refused.value)


def test_the_flow_is_drawn_from_the_code() -> None:
    drawn = flow(folds_of(small_plant(), PATH, "plc"))
    assert "production_states -->|StateChanged| production_stops" in drawn
    assert "web_reasons([web/reasons])" in drawn
