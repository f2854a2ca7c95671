"""What a person puts right: it stands from then on, and what was known before can still be asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from isthmus.model.errors import UsageError
from isthmus.model.query import Aggregate, CounterDelta, Last, Raw
from isthmus.model.records.people import SampleCorrected
from isthmus.model.records.production import Counted
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_S
from isthmus.site.config import HistorianSection
from isthmus.site.historian.corrections import Correction, Value
from isthmus.site.historian.reader import Reader
from isthmus.site.historian.store import Store
from isthmus.site.intake.corrections import correct, tell
from spine import MONDAY, Event, Spine

T0 = 20_400 * NS_PER_DAY
EVER = 2**62


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path, background=False) as opened:
        opened.tags.intern(TagInfo(name="plc/level", kind=ValueKind.F64))
        opened.tags.intern(TagInfo(name="plc/order", kind=ValueKind.STR))
        send(opened, 1)
        opened.compact()
        yield opened


def send(store: Store, seq: int) -> None:
    times = [T0 + number * NS_PER_S for number in range(10)]
    numbers = columns(ValueKind.F64, [1] * 10, times, [0] * 10, [float(number) for number in range(10)])
    texts = columns(ValueKind.STR, [2], [T0], [0], ["1047"])
    store.append([Batch(1, 1, seq, EVER, numbers), Batch(2, 1, seq, EVER, texts)])


def right(time_s: int, value: Value, said_ns: int, tag: int = 1, status: int = 0) -> Correction:
    at = T0 + time_s * NS_PER_S
    return Correction(
        tag=tag, time_ns=at, value=value, status=status, said_ns=said_ns, by="J. Holt", why="sensor stuck"
    )


def levels(store: Store | Reader, **known: int) -> list[float | None]:
    return [row["f64"] for row in store.query(Raw(), [1], 0, EVER, **known).to_pylist()]


def test_a_correction_stands_in_samples_figures_and_the_newest_value(store: Store) -> None:
    store.correct([right(3, 30.0, 100), right(9, 90.5, 100), right(0, "1048", 100, tag=2)])
    assert levels(store) == [0, 1, 2, 30, 4, 5, 6, 7, 8, 90.5]
    row = store.query(Aggregate(bucket_ns=NS_PER_HOUR), [1], T0, T0 + NS_PER_HOUR).to_pylist()[0]
    assert (row["n"], row["max"], row["mean"]) == (10, 90.5, pytest.approx(15.35))
    newest = {row["tag"]: row["f64"] or row["str"] for row in store.query(Last(), [1, 2], 0, EVER).to_pylist()}
    assert newest == {1: 90.5, 2: "1048"}


def test_what_was_known_at_a_moment_can_still_be_asked(store: Store) -> None:
    store.correct([right(3, 30.0, 100)])
    store.correct([right(3, 33.0, 200)])
    assert levels(store)[3] == 33.0
    assert levels(store, known_ns=150)[3] == 30.0
    assert levels(store, known_ns=50)[3] == 3.0
    assert [(each.value, each.by, each.why) for each in store.corrections()] == [
        (30.0, "J. Holt", "sensor stuck"),
        (33.0, "J. Holt", "sensor stuck"),
    ]


def test_the_same_samples_sent_again_merged_and_restarted_do_not_undo_a_correction(
    store: Store, tmp_path: Path
) -> None:
    store.correct([right(3, 30.0, 100), right(4, None, 100, status=0x80000000)])
    send(store, 2)
    store.compact()
    wanted = [0, 1, 2, 30, None, 5, 6, 7, 8, 9]
    assert levels(store) == wanted
    with Reader(tmp_path) as reader:
        assert levels(reader) == wanted
    store.close()
    with Store(tmp_path, background=False) as again:
        assert levels(again) == wanted
        assert levels(again, known_ns=0) == list(range(10))


@pytest.mark.parametrize(
    ("value", "by", "why"), [("high", "J. Holt", "stuck"), (1.0, " ", "stuck"), (1.0, "J. Holt", "")]
)
def test_a_correction_of_another_kind_or_without_who_and_why_is_refused(
    store: Store, value: Value, by: str, why: str
) -> None:
    said = Correction(tag=1, time_ns=T0, value=value, said_ns=1, by=by, why=why)
    with pytest.raises(UsageError, match="plc/level"):
        store.correct([right(1, 5.0, 1), said])
    assert store.corrections() == []


def story(start_ns: int, parts: int) -> list[Event]:
    """A machine that runs and makes a part each minute."""
    minutes = [start_ns + number * NS_PER_MINUTE for number in range(parts)]
    return [(start_ns, "state", "RUN"), *((at, "parts", number) for number, at in enumerate(minutes))]


def counted(spine: Spine) -> float:
    return sum(fact.good for fact in spine.facts("Counted") if isinstance(fact, Counted))


def test_a_counter_put_right_changes_the_production_figure_with_a_new_revision(tmp_path: Path) -> None:
    with Store(tmp_path / "history", HistorianSection(future_s=1e9), background=False) as store:
        spine = Spine(tmp_path / "site", historian=store, tags=store.tags)
        spine.now_ns = MONDAY + NS_PER_HOUR
        spine.send(story(MONDAY, 60))
        spine.until(spine.now_ns + 10 * NS_PER_S)
        assert counted(spine) == 59
        before = spine.site.log.position
        tag = store.tags.find("plc/parts")
        assert tag is not None
        # From 09:40 on the counter read what another machine made; after 30 parts it stood still.
        wrong = [MONDAY + number * NS_PER_MINUTE for number in range(30, 60)]
        said = [
            Correction(tag=tag, time_ns=at, value=29, said_ns=spine.now_ns, by="J. Holt", why="wrong input wired")
            for at in wrong
        ]
        correct(spine.site, said)
        spine.settle()
        assert counted(spine) == 29
        logged = [record for _, record in spine.site.log.read(before)]
        assert {one.by for one in logged if isinstance(one, SampleCorrected)} == {"J. Holt"}
        revised = [one for one in logged if isinstance(one, Counted)]
        assert revised
        assert all(one.revision == 1 for one in revised)
        [told] = spine.facts("Recomputed")
        assert "SampleCorrected said afterwards" in str(told)
        known = store.query(CounterDelta(bucket_ns=NS_PER_DAY), [tag], MONDAY, EVER, known_ns=spine.now_ns - 1)
        assert known["delta"].to_pylist() == [59.0]
        # The first hour as it really was: put right once more, the same sample is a higher revision.
        spine.now_ns += NS_PER_S
        correct(spine.site, [msgspec.structs.replace(said[0], value=30, said_ns=spine.now_ns)])
        spine.settle()
        rows = spine.site.views.query(
            "SELECT revision, body ->> 'value' AS value FROM facts WHERE kind = 'SampleCorrected' AND time_ns = ?",
            (wrong[0],),
        )
        assert [tuple(row) for row in rows] == [(1, "30")]
        spine.close()


def test_a_correction_that_a_crash_left_out_of_the_log_is_logged_at_the_next_start(tmp_path: Path) -> None:
    with Store(tmp_path / "history", HistorianSection(future_s=1e9), background=False) as store:
        spine = Spine(tmp_path / "site", historian=store, tags=store.tags)
        spine.now_ns = MONDAY + NS_PER_HOUR
        spine.send(story(MONDAY, 10))
        spine.until(spine.now_ns + 10 * NS_PER_S)
        tag = store.tags.find("plc/parts")
        assert tag is not None
        at = MONDAY + 9 * NS_PER_MINUTE
        store.correct([Correction(tag=tag, time_ns=at, value=8, said_ns=1, by="J. Holt", why="read twice")])
        assert spine.facts("SampleCorrected") == []
        assert tell(spine.site) == 1
        assert tell(spine.site) == 0
        spine.settle()
        assert counted(spine) == 8
        spine.close()
