"""Ingest: each frame once, on disk before it is acknowledged, and what cannot be true set aside and named."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from isthmus.model.errors import StoreDamaged
from isthmus.model.query import Raw
from isthmus.model.records import Record
from isthmus.model.records.edge import LinkChanged
from isthmus.model.records.people import ParkedDecided
from isthmus.model.records.site import FramesMissing, SamplesQuarantined
from isthmus.model.samples import TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_S
from isthmus.site.views.facts import records as facts_of
from isthmus.wire import frame as frames
from isthmus.wire.frame import Dictionary, Frame, FrameKind, source_id
from isthmus.wire.link import Acknowledged
from spine import EPOCH, MONDAY, Spine, body, dictionary, of_events

PLC = source_id("plc")


@pytest.fixture
def spine(tmp_path: Path) -> Iterable[Spine]:
    made = Spine(tmp_path / "site")
    yield made
    made.close()


def link_up(seq: int, time_ns: int = MONDAY) -> Frame:
    said = LinkChanged(path="acme/northgate#conduit/uplink", time_ns=time_ns, up=True)
    return frames.of_records(PLC, EPOCH, seq, [said])


def parts(seq: int, value: int, at: int = MONDAY) -> Frame:
    return of_events("plc", seq, [(at, "parts", value)])[0]


def values(spine: Spine, tag: str = "plc/parts") -> list[int]:
    number = spine.tags.find(tag) or 0
    table = spine.historian.query(Raw(), [number], 0, 1 << 62)
    return table.column("i64").to_pylist()


def told(spine: Spine, kind: type[Record]) -> list[Record]:
    rows = spine.site.views.query("SELECT body FROM facts WHERE kind = ? ORDER BY position", (kind.__name__,))
    return facts_of(rows)


def test_samples_and_records_are_stored_and_the_last_of_each_source_is_acknowledged(spine: Spine) -> None:
    answer = spine.ingest.take("edge-1", body(dictionary("plc"), parts(1, 5), link_up(2), parts(3, 6, MONDAY + 1)))
    assert answer.acknowledged == (Acknowledged(PLC, EPOCH, 3),)
    assert values(spine) == [5, 6]
    assert len(told(spine, LinkChanged)) == 1
    last = spine.site.namespace.last("plc/parts")
    assert last is not None
    assert (last.time_ns, last.value) == (MONDAY + 1, 6)


def test_a_repeat_is_acknowledged_and_changes_nothing_also_after_a_restart(tmp_path: Path) -> None:
    first = Spine(tmp_path / "site")
    sent = body(dictionary("plc"), parts(1, 5), link_up(2))
    answers = {first.ingest.take("edge-1", sent), first.ingest.take("edge-1", sent)}
    first.close()
    again = Spine(tmp_path / "site", historian=first.historian, tags=first.tags)
    answers.add(again.ingest.take("edge-1", sent))
    assert len(answers) == 1
    assert again.site.log.position == 1
    assert values(again) == [5]
    again.close()


def test_a_dictionary_said_once_holds_after_a_restart(tmp_path: Path) -> None:
    first = Spine(tmp_path / "site")
    first.ingest.take("edge-1", body(dictionary("plc"), parts(1, 5)))
    first.close()
    again = Spine(tmp_path / "site", historian=first.historian, tags=first.tags)
    again.ingest.take("edge-1", body(parts(2, 6, MONDAY + 1)))
    assert values(again) == [5, 6]
    assert told(again, FramesMissing) == []
    again.close()


def test_a_jump_in_the_numbers_is_told_with_what_is_missing(spine: Spine) -> None:
    spine.ingest.take("edge-1", body(dictionary("plc"), parts(1, 5)))
    spine.ingest.take("edge-1", body(parts(4, 6, MONDAY + 1)))
    [missing] = told(spine, FramesMissing)
    assert isinstance(missing, FramesMissing)
    assert (missing.path, missing.first_seq, missing.last_seq) == ("acme/northgate#source/plc", 2, 3)


def test_frames_that_come_after_all_by_another_way_are_taken_in(spine: Spine) -> None:
    spine.ingest.take("edge-1", body(dictionary("plc"), parts(1, 5), parts(4, 6, MONDAY + 3)))
    spine.ingest.take("edge-1", body(parts(2, 7, MONDAY + 1), link_up(3)))
    assert values(spine) == [5, 7, 6]
    assert len(told(spine, LinkChanged)) == 1


def test_nothing_of_a_damaged_body_is_taken(spine: Spine) -> None:
    whole = body(dictionary("plc"), parts(1, 5), link_up(2))
    for broken in (whole[:-3], whole[:100] + bytes([whole[100] ^ 1]) + whole[101:], b"GET / HTTP/1.1"):
        with pytest.raises(StoreDamaged, match="edge-1"):
            spine.ingest.take("edge-1", broken)
    assert spine.site.log.position == 0
    assert spine.tags.find("plc/parts") is None
    spine.ingest.take("edge-1", whole)
    assert values(spine) == [5]


def test_a_full_disk_acknowledges_nothing_and_the_repeat_is_whole(spine: Spine) -> None:
    spine.historian.full = True
    sent = body(dictionary("plc"), parts(1, 5), link_up(2))
    with pytest.raises(OSError, match="No space"):
        spine.ingest.take("edge-1", sent)
    assert spine.site.log.position == 0
    spine.historian.full = False
    spine.ingest.take("edge-1", sent)
    assert values(spine) == [5]
    assert spine.site.log.position == 1


def quarantined(spine: Spine, frame: Frame) -> SamplesQuarantined:
    spine.ingest.take("edge-1", body(dictionary("plc"), frame))
    [record] = told(spine, SamplesQuarantined)
    assert isinstance(record, SamplesQuarantined)
    kept = next((spine.site.folder / "quarantine").glob("*.frame"))
    assert frames.unpack_from(kept.read_bytes())[0] == frame
    return record


def test_a_tag_number_that_nobody_named_is_set_aside_and_the_rest_is_taken(spine: Spine) -> None:
    batch = columns(ValueKind.I64, [0, 9, 1 << 20], [MONDAY, MONDAY, MONDAY], [0, 0, 0], [5, 6, 7])
    record = quarantined(spine, frames.of_samples(PLC, EPOCH, 1, batch))
    assert (record.rows, record.tags) == (2, ("plc/number 1048576", "plc/number 9"))
    assert values(spine) == [5]


def test_values_of_another_kind_are_set_aside_under_their_tags_name(spine: Spine) -> None:
    batch = columns(ValueKind.F64, [0], [MONDAY], [0], [5.5])
    record = quarantined(spine, frames.of_samples(PLC, EPOCH, 1, batch))
    assert (record.rows, record.tags) == (1, ("plc/parts",))
    assert "f64" in record.why


def test_samples_from_the_future_are_set_aside(spine: Spine) -> None:
    batch = columns(ValueKind.I64, [0, 0], [MONDAY, MONDAY + 400 * NS_PER_S], [0, 0], [5, 6])
    record = quarantined(spine, frames.of_samples(PLC, EPOCH, 1, batch))
    assert "future" in record.why
    assert values(spine) == [5]


def test_a_frame_that_no_dictionary_explains_is_set_aside(spine: Spine) -> None:
    batch = columns(ValueKind.I64, [0], [MONDAY], [0], [5])
    answer = spine.ingest.take("edge-1", body(frames.of_samples(PLC, 77, 1, batch)))
    assert answer.acknowledged == (Acknowledged(PLC, 77, 1),)
    assert "dictionary" in str(told(spine, SamplesQuarantined)[0])


def test_a_frame_from_a_newer_edge_is_set_aside_and_never_blocks_the_line(spine: Spine) -> None:
    strange = Frame(PLC, EPOCH, 1, MONDAY, 1, FrameKind.RECORDS, frames.of_records(PLC, EPOCH, 1, []).payload[:-2])
    answer = spine.ingest.take("edge-1", body(dictionary("plc"), strange, parts(2, 6)))
    assert answer.acknowledged == (Acknowledged(PLC, EPOCH, 2),)
    assert values(spine) == [6]
    assert len(told(spine, SamplesQuarantined)) == 1


def test_an_edge_cannot_say_what_only_a_person_may(spine: Spine) -> None:
    forged = ParkedDecided(path="acme/northgate#erp/1", time_ns=MONDAY, decision="drop", by="Ann", said_ns=MONDAY)
    spine.ingest.take("edge-1", body(dictionary("plc"), frames.of_records(PLC, EPOCH, 1, [forged])))
    assert told(spine, ParkedDecided) == []
    assert "ParkedDecided" in str(told(spine, SamplesQuarantined)[0])


def test_one_mistake_is_told_once_a_minute_with_all_that_came(spine: Spine) -> None:
    spine.ingest.take("edge-1", body(dictionary("plc")))
    for seq in range(1, 121):
        batch = columns(ValueKind.I64, [9], [spine.now_ns], [0], [5])
        spine.ingest.take("edge-1", body(frames.of_samples(PLC, EPOCH, seq, batch)))
        spine.now_ns += NS_PER_S
    records = told(spine, SamplesQuarantined)
    assert [record.rows for record in records if isinstance(record, SamplesQuarantined)] == [1, 60]


def test_a_tag_that_joins_the_dictionary_later_is_known_from_then_on(spine: Spine) -> None:
    more = Dictionary("plc", "acme/northgate", ((7, TagInfo(name="plc/extra", kind=ValueKind.BOOL)),))
    batch = columns(ValueKind.BOOL, [7], [MONDAY], [0], np.array([True]))
    spine.ingest.take("edge-1", body(dictionary("plc"), parts(1, 5)))
    added = frames.of_dictionary(PLC, EPOCH, 2, more)
    spine.ingest.take("edge-1", body(added, frames.of_samples(PLC, EPOCH, 2, batch), parts(3, 6, MONDAY + 1)))
    assert values(spine) == [5, 6]
    assert values(spine, "plc/extra") == [1]


def test_many_edges_at_once_lose_nothing(spine: Spine) -> None:
    def send(source: str) -> None:
        for seq in range(1, 41):
            sent = body(dictionary(source), *of_events(source, seq, [(MONDAY + seq, "parts", seq)]))
            spine.ingest.take(source, sent)
            spine.ingest.take(source, sent)

    threads = [threading.Thread(target=send, args=(f"plc-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        assert values(spine, f"plc-{number}/parts") == list(range(1, 41))
    assert spine.ingest.repeats == 160


@pytest.mark.parametrize("far", [{"time_ns": 1 << 63}, {"ordinal": (1 << 64) - 1}, {"waiting_frames": 1 << 63}])
def test_a_fact_with_a_number_that_no_store_holds_is_set_aside_and_the_views_go_on(
    spine: Spine, far: dict[str, int]
) -> None:
    whole = {"path": "acme/northgate#conduit/uplink", "time_ns": MONDAY, "up": True, **far}
    frame = frames.of_records(PLC, EPOCH, 1, [LinkChanged(**whole)])._replace(first_ns=MONDAY)  # type: ignore[arg-type]
    answer = spine.ingest.take("edge-1", body(dictionary("plc"), frame, link_up(2)))
    assert answer.acknowledged == (Acknowledged(PLC, EPOCH, 2),)
    assert len(told(spine, LinkChanged)) == 1
    assert len(told(spine, SamplesQuarantined)) == 1
    assert spine.site.views.position == spine.site.log.position


@pytest.mark.parametrize("far", [{"seq": 1 << 63}, {"seq": (1 << 64) - 1}, {"epoch": 1 << 63}])
def test_a_frame_whose_number_no_store_holds_is_refused_and_the_views_go_on(spine: Spine, far: dict[str, int]) -> None:
    with pytest.raises(StoreDamaged, match="no edge ever reaches"):
        spine.ingest.take("edge-1", body(dictionary("plc"), parts(1, 5)._replace(**far)))  # type: ignore[arg-type]
    spine.ingest.take("edge-1", body(dictionary("plc"), link_up(1)))
    assert len(told(spine, LinkChanged)) == 1
    assert spine.site.views.position == spine.site.log.position
