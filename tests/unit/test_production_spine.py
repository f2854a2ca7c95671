"""The real production folds on the real spine: any order of arrival, kills included, gives the facts of a replay."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from example_folds import PATH, small_plant
from isthmus.model.fold import Fold
from isthmus.model.plant import Counter, Machine, Plant, Reason, StateRules
from isthmus.model.records import Record
from isthmus.model.records.people import JobStarted, JobStopped, QuantityCorrected, ReasonGiven
from isthmus.model.time import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_S
from isthmus.run.wings import folds_of
from spine import MONDAY, Event, Spine, plain

END = MONDAY + 10 * NS_PER_HOUR
moments = st.integers(MONDAY // NS_PER_S, END // NS_PER_S - 1).map(lambda second: second * NS_PER_S)
running = st.tuples(moments, st.just("state"), st.sampled_from(["run", "alarm", "wait"]))
totals = st.tuples(moments, st.just("parts"), st.integers(0, 500))
stories = st.lists(st.one_of(running, totals), min_size=1, max_size=40, unique_by=lambda event: event[:2])


def plant() -> Plant:
    rules = StateRules(tags={"word": "plc/state"}, rules=("RUN if word == 'run'", "DOWN if word == 'alarm'", "IDLE"))
    machine = Machine(
        path=PATH,
        name="CNC-01",
        calendar="main",
        state=rules,
        good=Counter(tag="plc/parts", reset="any"),
        ideal_cycle_s=30,
    )
    reasons = {"TOOL": Reason(code="TOOL", name="Tool change")}
    return msgspec.structs.replace(small_plant(), machines={PATH: machine}, reasons=reasons)


def folds() -> dict[str, Sequence[Fold]]:
    described = plant()
    return {PATH: folds_of(described, described.machines[PATH])}


def said(at: int, number: int) -> Record:
    who = "Ann"
    choices: list[Record] = [
        JobStarted(path=PATH, time_ns=at, order="1047", by=who, said_ns=at),
        ReasonGiven(path=PATH, time_ns=at, end_ns=None, reason="TOOL", by=who, said_ns=at),
        JobStopped(path=PATH, time_ns=at, order="1047", by=who, said_ns=at),
        QuantityCorrected(path=PATH, time_ns=at, order="1047", good=-1, scrap=1, by=who, said_ns=at),
    ]
    return choices[number % len(choices)]


def told(folder: Path, parts: Sequence[Sequence[Event | Record]], *, killed: bool = False) -> list[Record]:
    spine = Spine(folder, plant=plant(), folds=folds(), future_s=86_400)
    for index, part in enumerate(parts):
        spine.now_ns += (END - MONDAY) // len(parts)
        spine.send([item for item in part if isinstance(item, tuple)])
        spine.site.append([item for item in part if isinstance(item, Record)])
        spine.settle()
        spine.runner.preview()
        if killed and index % 2:
            spine.close()
            again = Spine(
                folder,
                spine.now_ns,
                historian=spine.historian,
                tags=spine.tags,
                plant=plant(),
                folds=folds(),
                future_s=86_400,
            )
            again._seq = spine._seq
            spine = again
    spine.until(END + NS_PER_MINUTE)
    assert spine.site.stopped == {}
    kinds = [kind.__name__ for fold in folds()[PATH] for kind in fold.emits]
    facts = [plain(fact) for fact in spine.facts(*kinds)]
    spine.close()
    return facts


@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(events=stories, people=st.lists(moments, max_size=6, unique=True), data=st.data())
def test_any_order_of_arrival_gives_equal_facts(events: list[Event], people: list[int], data: st.DataObject) -> None:
    everything: list[Event | Record] = [*events, *(said(at, number) for number, at in enumerate(sorted(people)))]
    arriving = data.draw(st.permutations(everything))
    edges = sorted(data.draw(st.lists(st.integers(0, len(arriving)), max_size=4)))
    parts = [arriving[low:high] for low, high in zip([0, *edges], [*edges, len(arriving)], strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        at_once = told(Path(folder) / "once", [everything])
        by_parts = told(Path(folder) / "parts", parts, killed=data.draw(st.booleans()))
    assert at_once
    assert by_parts == at_once
