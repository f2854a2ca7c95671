"""Laws of the whole wing, over any samples, records and partition of time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
from drive import PATH, Run, at, fold_all, of, plant, revised, series
from hypothesis import given, settings
from hypothesis import strategies as some

from isthmus.model.calendar import Shift
from isthmus.model.plant import Counter, KpiPolicy, Machine, Plant, Reason, StateRules
from isthmus.model.records import Record
from isthmus.model.records.business import JobOrdered
from isthmus.model.records.people import JobStarted, JobStopped, LotGiven, QuantityCorrected, ReasonGiven
from isthmus.model.records.production import Counted, Indicator, RunEnded, RunSettled, StateChanged, StopExplained
from isthmus.model.records.site import Tick
from isthmus.model.samples import Series
from isthmus.model.states import Element, State
from isthmus.model.time import NS_PER_S
from isthmus.production import folds

BEGIN, LENGTH_S = at("07:58"), 1500
END = BEGIN + LENGTH_S * NS_PER_S
SHIFTS = [
    Shift(name="One", start="08:00", end="08:10", breaks=("08:03-08:05",), days="Mon"),
    Shift(name="Two", start="08:10", end="08:18", days="Mon"),
]
REASONS = [
    Reason(code="PM", name="Maintenance", planned=True),
    Reason(code="TOOL", name="Tool change", element=Element.AUST, match=("417",)),
    Reason(code="WAIT", name="Waiting"),
]
MACHINE = Machine(
    path=PATH,
    name="CNC-01",
    calendar="usual",
    state=StateRules(profile="packml", tags={"state": "p/state"}),
    total=Counter(tag="p/total", width=16),
    scrap=Counter(tag="p/scrap", width=16),
    order="p/order",
    stop_code="p/code",
    lot="p/lot",
    lots_in={"BAR": "p/bar"},
    ideal_cycle_s=2.0,
)


def where(micro_stop_s: float = 20.0) -> Plant:
    return plant(MACHINE, shifts=SHIFTS, reasons=REASONS, kpi=KpiPolicy(micro_stop_s=micro_stop_s))


second = some.integers(0, LENGTH_S - 1)
moment = second.map(lambda s: BEGIN + s * NS_PER_S)


def tag(values: some.SearchStrategy[Any], size: int) -> some.SearchStrategy[Series]:
    return some.dictionaries(moment, some.one_of(some.none(), values), max_size=size).map(
        lambda points: series(points.items())
    )


samples = some.fixed_dictionaries(
    {
        "p/state": tag(some.sampled_from([6, 6, 6, 11, 5, 4, 9, 17]), 25),
        "p/total": tag(some.integers(0, 65_535), 15),
        "p/scrap": tag(some.integers(0, 60), 8),
        "p/order": tag(some.sampled_from(["", "1047", "1048"]), 8),
        "p/lot": tag(some.sampled_from(["", "L-1", "L-2"]), 8),
        "p/bar": tag(some.sampled_from(["HEAT-1", "HEAT-2"]), 4),
        "p/code": tag(some.sampled_from(["", "417", "9"]), 8),
    }
)
records: some.SearchStrategy[list[Record]] = some.lists(
    some.one_of(
        some.builds(
            ReasonGiven,
            path=some.just(PATH),
            time_ns=moment,
            end_ns=some.one_of(some.none(), moment),
            reason=some.sampled_from(["PM", "TOOL", "WAIT"]),
            by=some.sampled_from(["Ada", "Bo"]),
            said_ns=some.integers(0, 5),
        ),
        some.builds(
            JobStarted,
            path=some.just(PATH),
            time_ns=moment,
            order=some.just("77"),
            by=some.just("Ada"),
            said_ns=some.just(1),
        ),
        some.builds(
            JobStopped,
            path=some.just(PATH),
            time_ns=moment,
            order=some.just("77"),
            by=some.just("Ada"),
            said_ns=some.just(1),
        ),
        some.builds(
            QuantityCorrected,
            path=some.just(PATH),
            time_ns=moment,
            order=some.just("77"),
            good=some.integers(-3, 3),
            by=some.just("Ada"),
            said_ns=some.just(1),
        ),
        some.builds(
            LotGiven,
            path=some.just(PATH),
            time_ns=moment,
            order=some.sampled_from(["1047", "77"]),
            direction=some.just("out"),
            lot=some.sampled_from(["L-8", "L-9"]),
            by=some.just("Ada"),
            said_ns=some.just(1),
        ),
        some.builds(
            JobOrdered,
            path=some.just("acme/northgate#order/1047"),
            time_ns=moment,
            order=some.just("1047"),
            product=some.just("BRACKET"),
            quantity=some.just(500.0),
        ),
    ),
    max_size=6,
    unique_by=lambda record: record.key,
)
cuts = some.lists(some.one_of(moment, some.integers(BEGIN, END)), max_size=6)


@settings(deadline=None, max_examples=80)
@given(samples, records, cuts)
def test_folding_in_parts_equals_folding_once_in_facts_and_in_what_is_remembered(
    given_samples: dict[str, Series], said: list[Record], parts: list[int]
) -> None:
    once, split = Run(folds(where(), MACHINE), where()), Run(folds(where(), MACHINE), where())
    once.on(given_samples, said, BEGIN, END)
    edges = [BEGIN, *sorted({cut for cut in parts if BEGIN < cut < END}), END]
    for begin, end in pairwise(edges):
        split.on(given_samples, said, begin, end)
    assert sorted(once.facts, key=lambda fact: fact.key) == sorted(split.facts, key=lambda fact: fact.key)
    assert once.checkpoint() == split.checkpoint()
    assert len({fact.key for fact in once.facts}) == len(once.facts)


@settings(deadline=None, max_examples=40)
@given(samples, records, moment)
def test_looking_at_what_is_open_changes_nothing(
    given_samples: dict[str, Series], said: list[Record], now: int
) -> None:
    run = Run(folds(where(), MACHINE), where())
    if now > BEGIN:
        run.on(given_samples, said, BEGIN, now)
    before = run.checkpoint()
    for record in run.preview(now):
        assert record.time_ns <= now
    assert run.checkpoint() == before


@settings(deadline=None, max_examples=80)
@given(samples, records)
def test_minutes_add_up_stops_never_overlap_and_parts_make_the_run(
    given_samples: dict[str, Series], said: list[Record]
) -> None:
    facts = fold_all(folds(where(), MACHINE), where(), given_samples, said, start_ns=BEGIN, end_ns=END)
    for found in of(Indicator, facts):
        spent = found.elements
        window = found.time_ns - found.start_ns
        assert found.pbt_ns + spent.outside_ns == window
        assert spent.apt_ns + spent.aust_ns + spent.adet_ns + spent.adot_ns + spent.unobserved_ns == found.pbt_ns
        assert (
            min(spent.apt_ns, spent.aust_ns, spent.adet_ns, spent.adot_ns, spent.outside_ns, spent.unobserved_ns) >= 0
        )
        assert spent.micro_ns <= spent.apt_ns
    stops = of(StopExplained, facts)
    assert all(one.start_ns < one.time_ns for one in stops)
    assert all(one.time_ns <= other.start_ns for one, other in pairwise(stops))
    for part in of(RunSettled, facts):
        if part.lots:
            assert sum(lot.good for lot in part.lots) == part.good
            assert sum(lot.scrap for lot in part.lots) == part.scrap
    for run in of(RunEnded, facts):
        parts = [
            part
            for part in of(RunSettled, facts)
            if part.order == run.order and run.start_ns <= part.start_ns and part.time_ns <= run.time_ns
        ]
        if run.start_ns < run.time_ns and not any(isinstance(one, QuantityCorrected) for one in said):
            assert sum(part.good for part in parts) == run.good
            assert sum(part.scrap for part in parts) == run.scrap
            assert sum(part.run_ns for part in parts) == run.run_ns
            assert [part.first for part in parts] == [True] + [False] * (len(parts) - 1)


@settings(deadline=None, max_examples=40)
@given(samples, records, some.sampled_from([0.0, 5.0, 60.0, 600.0]))
def test_the_micro_stop_limit_never_moves_oee(
    given_samples: dict[str, Series], said: list[Record], limit: float
) -> None:
    without, with_limit = (
        of(Indicator, fold_all(folds(one, MACHINE), one, given_samples, said, start_ns=BEGIN, end_ns=END))
        for one in (where(0.0), where(limit))
    )
    assert [found.oee for found in without] == [found.oee for found in with_limit]
    assert [found.pbt_ns for found in without] == [found.pbt_ns for found in with_limit]


@settings(deadline=None, max_examples=40)
@given(samples, records, some.integers(1, LENGTH_S - 1))
def test_what_comes_late_gives_the_facts_it_would_have_given_in_time(
    given_samples: dict[str, Series], said: list[Record], when: int
) -> None:
    middle = BEGIN + when * NS_PER_S
    late = [record for record in said if record.time_ns >= middle]
    run = Run(folds(where(), MACHINE), where())
    run.on(given_samples, said, BEGIN, middle)
    checkpoint = run.checkpoint()
    before = run.fold(given_samples, [], middle, END)
    run.restore(checkpoint)
    after = run.fold(given_samples, late, middle, END)
    standing = {fact.key: fact for fact in before} | {fact.key: fact for fact in revised(before, after)}
    assert {key for key, fact in standing.items() if not fact.gone} == {fact.key for fact in after}


def test_unknown_is_never_counted_as_running() -> None:
    silent = {"p/state": series([(BEGIN, 6), (at("08:01"), None), (at("08:02"), 6)])}
    facts = fold_all(folds(where(0.0), MACHINE), where(0.0), silent, start_ns=BEGIN, end_ns=END)
    first = of(Indicator, facts)[0]
    assert first.elements.unobserved_ns == 60 * NS_PER_S
    assert first.coverage == 7 / 8
    assert [change.state for change in of(StateChanged, facts)] == [State.RUN, State.UNKNOWN, State.RUN]


def test_what_folds_remember_has_a_shape_that_can_be_compared() -> None:
    for fold in folds(where(), MACHINE):
        assert msgspec.json.schema(fold.State)
        assert Tick not in fold.emits
    assert {kind.emitter for fold in folds(where(), MACHINE) for kind in fold.emits} == {
        fold.name for fold in folds(where(), MACHINE)
    }


def test_each_kind_is_emitted_by_the_fold_that_its_record_names() -> None:
    for fold in folds(where(), MACHINE):
        assert {kind.emitter for kind in fold.emits} == {fold.name}
    assert Counted.emitter == "production/counts"
