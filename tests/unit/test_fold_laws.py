"""Laws of folding, tried on stories that nobody wrote: split, replay, and order of arrival change nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from example_folds import OTHER, PATH, folds_of, small_plant
from isthmus.model.records import Record
from isthmus.model.records.people import QuantityCorrected, ReasonGiven
from isthmus.model.samples import Batch, TagInfo
from isthmus.model.time import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_S
from isthmus.site.folding.merge import History, Want
from isthmus.site.folding.unit import Unit
from isthmus.wire import frame as frames
from memory_historian import MemoryHistorian, MemoryTags
from spine import KINDS, MONDAY, Event, Spine, of_events, plain

END = MONDAY + 10 * NS_PER_HOUR
moments = st.integers(MONDAY // NS_PER_S, END // NS_PER_S - 1).map(lambda second: second * NS_PER_S)
states = st.tuples(moments, st.just("state"), st.sampled_from(["RUN", "DOWN", "IDLE"]))
counts = st.tuples(moments, st.just("parts"), st.integers(0, 500))
stories = st.lists(st.one_of(states, counts), min_size=1, max_size=40, unique_by=lambda event: event[:2])
saids = st.lists(moments, max_size=4, unique=True)


def said(at: int, number: int) -> Record:
    if number % 2:
        return QuantityCorrected(path=PATH, time_ns=at, order="1", good=number + 1, by="Ann", said_ns=at)
    return ReasonGiven(path=PATH, time_ns=at, end_ns=None, reason=f"R{number}", by="Ann", said_ns=at)


def told_live(folder: Path, parts: Sequence[Sequence[Event | Record]], *, killed: bool = False) -> list[Record]:
    """The facts when these parts arrive one after the other, everything being folded all the while."""
    spine = Spine(folder, future_s=86_400)
    for index, part in enumerate(parts):
        spine.now_ns += (END - MONDAY) // len(parts)
        spine.send([item for item in part if isinstance(item, tuple)])
        spine.site.append([item for item in part if isinstance(item, Record)])
        spine.settle()
        if killed and index % 2:
            spine.close()
            again = Spine(folder, spine.now_ns, historian=spine.historian, tags=spine.tags, future_s=86_400)
            again._seq = spine._seq
            spine = again
    spine.until(END + NS_PER_MINUTE)
    facts = spine.facts()
    assert spine.site.stopped == {}
    spine.close()
    return facts


def told_at_once(events: Sequence[Event], people: Sequence[Record], cuts: Sequence[int] = ()) -> list[Record]:
    """The facts of a replay in memory: the folds alone, in as many parts as there are cuts."""
    historian, tags = history(events)
    unit = Unit(small_plant(), small_plant().machines[PATH], folds_of(small_plant(), PATH, "plc"))
    moment = unit.fresh(MONDAY)
    facts: list[Record] = []
    for end in [*sorted(cut for cut in cuts if cut > MONDAY), END + 55 * NS_PER_S]:
        series = History(historian, tags).read(Want(unit.tags, moment.time_ns, end))
        outside = [record for record in people if moment.time_ns <= record.time_ns < end]
        folded = unit.fold(moment, end, series, outside)
        facts += folded.facts
        moment = unit.moment(end, folded.states)
    return sorted((plain(fact) for fact in facts), key=_place)


def history(events: Sequence[Event]) -> tuple[MemoryHistorian, MemoryTags]:
    """The events as history keeps them."""
    historian, tags = MemoryHistorian(), MemoryTags()
    numbers = tags.intern_all([TagInfo(name=f"plc/{tag}", kind=kind) for tag, kind in KINDS.items()])
    for number, frame in enumerate(of_events("plc", 1, events)):
        columns = frames.samples(frame)
        tag = pa.array(np.take(numbers, columns.column("tag").to_numpy()), pa.int32())
        historian.append([Batch(1, 1, number, END, columns.set_column(0, columns.schema.field(0), tag))])
    return historian, tags


def _place(record: Record) -> tuple[int, str, str]:
    return record.time_ns, type(record).__name__, record.path


def only(facts: Sequence[Record], path: str) -> list[Record]:
    return sorted((fact for fact in facts if fact.path == path), key=_place)


@settings(max_examples=60, deadline=None)
@given(events=stories, people=saids, cuts=st.lists(moments, max_size=6, unique=True))
def test_folding_in_parts_equals_folding_once(events: list[Event], people: list[int], cuts: list[int]) -> None:
    spoken = [said(at, number) for number, at in enumerate(people)]
    assert told_at_once(events, spoken, cuts) == told_at_once(events, spoken)


@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(events=stories, people=saids, data=st.data())
def test_any_order_of_arrival_gives_the_facts_of_a_replay(
    events: list[Event], people: list[int], data: st.DataObject
) -> None:
    spoken = [said(at, number) for number, at in enumerate(people)]
    arriving: list[Event | Record] = data.draw(st.permutations([*events, *spoken]))
    edges = sorted(data.draw(st.lists(st.integers(0, len(arriving)), max_size=4)))
    parts = [arriving[low:high] for low, high in zip([0, *edges], [*edges, len(arriving)], strict=True)]
    killed = data.draw(st.booleans())
    with tempfile.TemporaryDirectory() as folder:
        live = told_live(Path(folder), parts, killed=killed)
    assert only(live, PATH) == told_at_once(events, spoken)
    assert all(fact.path in (PATH, OTHER) for fact in live)
