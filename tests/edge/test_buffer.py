"""Store and forward: bounded, counted, and never a number twice, whatever the disk does."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from isthmus.edge import buffer as store
from isthmus.edge import lane as lanes
from isthmus.edge.buffer import OWN, Buffer
from isthmus.edge.lane import Lane
from isthmus.model.errors import UsageError
from isthmus.model.records.edge import LinkChanged, SamplesDropped
from isthmus.model.samples import TagInfo, ValueKind, columns
from isthmus.model.status import BAD_DATA_LOST
from isthmus.model.time import NS_PER_DAY
from isthmus.wire import frame as frames
from isthmus.wire.frame import FrameKind
from isthmus.wire.link import Acknowledged
from isthmus.wire.segment import SegmentLog

PLANT = "acme/northgate"
LINE = frames.source_id("line")
TAGS = {"line": [TagInfo(name="line/x", kind=ValueKind.I64), TagInfo(name="line/y", kind=ValueKind.F64)]}


def opened(folder: Path, **more: Any) -> Buffer:  # noqa: ANN401  whatever Buffer takes
    return Buffer(folder, PLANT, TAGS, **{"most_bytes": 2**28, "most_days": 30, **more})


def noise(first: int, rows: int = 1000) -> pa.RecordBatch:
    """Rows that hardly compress; their values count up from `first`."""
    times = np.random.default_rng(first).integers(0, 2**60, rows)
    return columns(ValueKind.I64, np.zeros(rows), times, np.zeros(rows), np.arange(first, first + rows))


def drained(buffer: Buffer) -> list[int]:
    """Every value that waits, in the order in which it would be sent, acknowledged as it is read."""
    return [value for lane in list(buffer.lanes) for value in drained_lane(lane)]


def drained_lane(lane: Lane) -> Iterator[int]:
    while (chunk := lane.body(100_000)).heads:
        upto: dict[tuple[int, int], int] = {}
        for frame in frames.unpack_all(chunk.data):
            if frame.kind is not FrameKind.DICTIONARY:
                upto[frame.source, frame.epoch] = frame.seq
            if frame.kind is FrameKind.SAMPLES:
                yield from (value for value in frames.samples(frame).column("value").to_pylist() if value is not None)
        assert lane.acknowledge(chunk, upto)


def die(buffer: Buffer) -> None:
    """What the system does with a killed process: its files and its lock are gone, nothing is put in order."""
    os.close(buffer._held)
    for lane in buffer.lanes:
        file = getattr(lane.log, "_file", None)
        if file is not None:
            file.close()


def told(buffer: Buffer) -> list[SamplesDropped]:
    """What was let go, as the records in the buffer say; flushes them first."""
    buffer.flush()
    found = []
    for lane in buffer.lanes:
        for _, frame in lane.log.read(0):
            if frame.kind is FrameKind.RECORDS:
                found += [record for record in frames.records(frame) if isinstance(record, SamplesDropped)]
    return found


def samples_waiting(buffer: Buffer) -> list[frames.Frame]:
    """The frames of samples that the buffer holds."""
    return [frame for lane in buffer.lanes for _, frame in lane.log.read(0) if frame.kind is FrameKind.SAMPLES]


def counted(records: list[SamplesDropped], kept: list[int]) -> int:
    """The rows that went: all before the first that is kept, and marks of earlier gaps that went with them."""
    rows = sum(record.rows for record in records)
    assert 0 <= rows - kept[0] < 100
    return rows


def test_rows_of_many_batches_become_few_frames_of_one_kind_each(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    for number in range(30):
        buffer.put("line", noise(number * 1000))
        buffer.put("line", columns(ValueKind.F64, [1], [number], [0], [0.5]))
    buffer.flush()
    heads = [head for _, head in buffer.lanes[-1].body(2**24).heads if head.kind is FrameKind.SAMPLES]
    assert [head.rows for head in heads] == [10_000, 10_000, 10_000, 30]
    assert [head.seq for head in heads] == [1, 2, 3, 4]
    buffer.close()


def test_a_body_read_by_itself_says_its_sources_and_tags_first(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    buffer.put("line", noise(0))
    buffer.flush()
    opening = list(frames.unpack_all(buffer.lanes[-1].dictionaries()))
    said = {frames.dictionary(frame).source: frames.dictionary(frame) for frame in opening}
    assert said["line"].tags == tuple(enumerate(TAGS["line"]))
    assert said[OWN].plant == PLANT
    buffer.close()


def test_after_a_crash_the_numbers_of_the_dead_process_are_never_given_out_again(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.put("line", noise(0))
    first.flush()
    die(first)
    second = opened(tmp_path)
    second.put("line", noise(1000))
    second.flush()
    names = [
        (head.source, head.epoch, head.seq)
        for lane in second.lanes
        for _, head in lane.body(2**24).heads
        if head.kind is not FrameKind.DICTIONARY
    ]
    assert len(names) == len(set(names)) == 2
    assert drained(second) == list(range(2000))
    assert second.stopped_ns is not None
    second.close()
    third = opened(tmp_path)
    assert third.stopped_ns is None
    third.close()


def test_what_the_site_acknowledged_is_not_sent_again_after_a_restart(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    buffer.put("line", noise(0))
    buffer.flush()
    assert drained(buffer) == list(range(1000))
    buffer.put("line", noise(1000))
    buffer.close()
    again = opened(tmp_path)
    assert drained(again) == list(range(1000, 2000))
    again.close()


def test_an_epoch_that_the_site_has_whole_leaves_the_disk(tmp_path: Path) -> None:
    for first in range(3):
        buffer = opened(tmp_path)
        buffer.put("line", noise(first * 1000))
        buffer.close()
    buffer = opened(tmp_path)
    assert len(buffer.lanes) == 4
    drained(buffer)
    buffer._look_after()
    assert len(buffer.lanes) == len(lanes.epochs(tmp_path)) == 1
    buffer.close()


def test_a_clock_set_back_never_gives_an_epoch_twice(tmp_path: Path) -> None:
    epochs = []
    for now in (5_000, 4_000, 4_000, 10):
        buffer = opened(tmp_path, clock=lambda now=now: now)
        epochs.append(buffer.lanes[-1].epoch)
        buffer.put("line", noise(0, 1))
        buffer.close()
    assert epochs == sorted(set(epochs))


def on_disk(buffer: Buffer) -> bool:
    return buffer.lanes[-1].on_disk


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "SEGMENT_BYTES", 50_000)


@pytest.mark.usefixtures("small")
def test_a_full_buffer_lets_the_oldest_go_and_says_exactly_what(tmp_path: Path) -> None:
    buffer = opened(tmp_path, most_bytes=200_000)
    for number in range(100):
        buffer.put("line", noise(number * 1000))
        buffer.flush()
        buffer._look_after()
    assert buffer.size <= 200_000
    records = [record for record in told(buffer) if record.path == f"{PLANT}#source/line"]
    waiting = [frame.seq for frame in samples_waiting(buffer)]
    kept = drained(buffer)
    assert kept == list(range(kept[0], 100_000))
    assert {record.why for record in records} == {"size"}
    assert counted(records, kept) == buffer.dropped_rows
    assert min(record.first_seq for record in records) == 1
    assert max(record.last_seq for record in records) == min(waiting) - 1
    buffer.close()


@pytest.mark.usefixtures("small")
def test_a_gap_is_marked_where_it_begins_so_that_nothing_seems_to_hold_over_it(tmp_path: Path) -> None:
    buffer = opened(tmp_path, most_bytes=200_000)
    rows = 1000
    for number in range(100):
        times = np.arange(number * rows, (number + 1) * rows)
        values = np.random.default_rng(number).integers(0, 2**60, rows)
        buffer.put("line", columns(ValueKind.I64, np.zeros(rows), times, np.zeros(rows), values))
        buffer.flush()
        buffer._look_after()
    first = min(record.start_ns for record in told(buffer))
    found = [row for frame in samples_waiting(buffer) for row in frames.samples(frame).to_pylist()]
    marks = [row for row in found if row["value"] is None]
    assert {row["status"] for row in marks} == {BAD_DATA_LOST}
    assert {row["tag"] for row in marks} == set(range(len(TAGS["line"])))
    kept_from = min(row["time_ns"] for row in found if row["value"] is not None)
    assert first == 0
    assert min(row["time_ns"] for row in marks) == 1
    assert all(row["time_ns"] < kept_from for row in marks)
    buffer.close()


@pytest.mark.usefixtures("small")
def test_what_the_site_already_has_is_not_counted_as_lost(tmp_path: Path) -> None:
    buffer = opened(tmp_path, most_bytes=120_000)
    for number in range(30):
        buffer.put("line", noise(number * 1000))
        buffer.flush()
        list(drained_lane(buffer.lanes[-1]))
        buffer._look_after()
    assert buffer.dropped_rows == 0
    assert told(buffer) == []
    buffer.close()


@pytest.mark.usefixtures("small")
def test_what_is_too_old_goes_but_not_when_the_clock_merely_jumps(tmp_path: Path) -> None:
    buffer = opened(tmp_path, most_days=2)
    for number in range(20):
        buffer.put("line", noise(number * 1000))
        buffer.flush()
    buffer._clock = lambda: 10**19  # the year 2286: believed for nothing but names
    buffer._look_after()
    assert buffer.dropped_rows == 0
    lane = buffer.lanes[-1]
    old = buffer._started_ns - 3 * NS_PER_DAY
    for start, _ in lane.log.segments[:2]:
        os.utime(tmp_path / str(lane.epoch) / f"{start:020d}.seg", ns=(old, old))
    buffer._look_after()
    assert buffer.dropped_rows > 0
    assert {record.why for record in told(buffer)} == {"age"}
    buffer.close()


def failing(monkeypatch: pytest.MonkeyPatch, what: Callable[[], OSError | None]) -> None:
    """Make every append to a file of the log fail as `what` says."""
    write = SegmentLog._write

    def tried(log: SegmentLog, data: bytes) -> None:
        error = what()
        if error is not None:
            raise error
        write(log, data)

    monkeypatch.setattr(SegmentLog, "_write", tried)


def test_a_disk_that_takes_nothing_is_said_and_reading_goes_on_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = opened(tmp_path)
    buffer.put("line", noise(0))
    buffer.flush()
    faults: list[OSError | None] = [OSError(errno.EIO, "Input/output error")]
    failing(monkeypatch, lambda: faults[-1])
    for number in range(1, 5):
        buffer.put("line", noise(number * 1000))
        buffer.flush()
    assert "Input/output error" in buffer.trouble
    assert not on_disk(buffer)
    faults.append(None)
    buffer._next_probe = 0
    buffer._look_after()
    assert on_disk(buffer)
    assert buffer.trouble == ""
    buffer.put("line", noise(5000))
    buffer.flush()
    assert drained(buffer) == list(range(6000))
    buffer.close()


def test_memory_is_bounded_and_what_it_lets_go_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MEMORY_BYTES", 100_000)
    buffer = opened(tmp_path)
    failing(monkeypatch, lambda: OSError(errno.EIO, "Input/output error"))
    for number in range(60):
        buffer.put("line", noise(number * 1000))
        buffer.flush()
        buffer._look_after()
    assert buffer.lanes[-1].size < 120_000
    records = [record for record in told(buffer) if record.path == f"{PLANT}#source/line"]
    kept = drained(buffer)
    assert kept == list(range(kept[0], 60_000))
    assert counted(records, kept) == buffer.dropped_rows
    buffer.close()


def test_marks_of_a_gap_never_crowd_out_what_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MEMORY_BYTES", 500_000)
    monkeypatch.setitem(TAGS, "line", [TagInfo(name=f"line/{n}", kind=ValueKind.I64) for n in range(3_000)])
    buffer = opened(tmp_path)
    failing(monkeypatch, lambda: OSError(errno.EIO, "Input/output error"))
    for number in range(1_000):
        buffer.put("line", noise(number * 200, 200))
        buffer.flush()
        buffer._look_after()
    waiting = [frames.samples(frame)["value"].null_count for frame in samples_waiting(buffer)]
    marks = sum(waiting)
    kept = drained(buffer)
    assert kept == list(range(kept[0], 200_000)), "the newest stay, without a hole"
    assert marks <= 0.2 * len(kept), f"{marks} marks beside {len(kept)} values"
    assert len(kept) > 30_000
    buffer.close()


def test_a_failed_sync_takes_back_what_nobody_can_vouch_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = opened(tmp_path)
    buffer.put("line", noise(0))
    buffer.flush()
    sync, fails = os.fdatasync, [True]

    def fdatasync(handle: int) -> None:
        if fails and fails.pop():
            raise OSError(errno.EIO, "Input/output error")
        sync(handle)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    buffer.put("line", noise(1000))
    buffer.flush()
    assert drained(buffer) == list(range(2000))
    buffer.close()


def test_a_file_that_may_not_grow_is_survived_by_the_real_system_call(tmp_path: Path) -> None:
    story = """
import resource, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_buffer import drained, noise, opened
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
buffer = opened(Path(sys.argv[1]))
for number in range(40):
    buffer.put("line", noise(number * 1000)); buffer.flush()
assert "File too large" in buffer.trouble, buffer.trouble
assert drained(buffer) == list(range(40_000))
"""
    argv = [sys.executable, "-c", story, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=40, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("small")
def test_a_full_disk_lets_the_oldest_go_first_and_loses_nothing_uncounted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system of its own needs the right to mount")
    try:
        buffer = opened(place)
        for number in range(120):
            buffer.put("line", noise(number * 1000))
            buffer.flush()
            buffer._look_after()
        assert "No space left" in buffer.trouble
        records = [record for record in told(buffer) if record.path == f"{PLANT}#source/line"]
        kept = drained(buffer)
        assert kept == list(range(kept[0], 120_000))
        assert counted(records, kept)
        assert {record.why for record in records} == {"disk full"}
        assert buffer.dropped_rows > 10_000
        levels = Counter(record.levelname for record in caplog.records)
        assert levels == {"ERROR": 1, "WARNING": 1}, "the trouble once and the loss once, and then seldom"
        buffer.close()
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.usefixtures("small")
def test_damage_in_what_waits_is_told_and_costs_only_the_damaged_frame(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    for number in range(20):
        buffer.put("line", noise(number * 1000))
        buffer.flush()
    start = buffer.lanes[-1].log.segments[1][0]
    path = tmp_path / str(buffer.lanes[-1].epoch) / f"{start:020d}.seg"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    kept = drained(buffer)
    assert len(kept) == 19_000
    buffer._look_after()
    (record,) = told(buffer)
    assert (record.why, "lost/" in record.detail) == ("damaged", True)
    buffer.close()


@pytest.mark.usefixtures("small")
def test_a_segment_deleted_by_hand_is_told_and_stepped_over(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    for number in range(20):
        buffer.put("line", noise(number * 1000))
        buffer.flush()
    start = buffer.lanes[-1].log.segments[1][0]
    (tmp_path / str(buffer.lanes[-1].epoch) / f"{start:020d}.seg").unlink()
    kept = drained(buffer)
    assert kept[0] == 0
    assert kept[-1] == 19_999
    assert len(kept) < 20_000
    buffer._look_after()
    assert [record.why for record in told(buffer)] == ["damaged"]
    buffer.close()


def test_acknowledgements_carried_by_hand_let_the_edge_forget(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    for number in range(3):
        buffer.put("line", noise(number * 1000))
        buffer.flush()
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    said = [Acknowledged(LINE, buffer.lanes[-1].epoch, 2)]
    (inbox / "a.json").write_bytes(msgspec.json.encode(said))
    (inbox / "b.json").write_text("rubbish")
    buffer._look_after()
    assert drained(buffer) == list(range(2000, 3000))
    assert list(inbox.iterdir()) == []
    buffer.close()


def test_more_than_the_disk_can_keep_up_with_is_let_go_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MOST_PENDING_ROWS", 5_000)
    buffer = opened(tmp_path)
    for number in range(8):
        buffer.put("line", noise(number * 1000))
    (record,) = told(buffer)
    assert (record.rows, record.why, buffer.dropped_rows) == (3000, "size", 3000)
    assert drained(buffer) == list(range(3000, 8000))
    buffer.close()


def test_a_source_that_gives_what_is_no_batch_of_its_tags_costs_only_itself(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    buffer.put("line", noise(0, 10))
    buffer.flush()
    buffer.put("line", columns(ValueKind.I64, [7], [1], [0], [5]))
    buffer.tell(LinkChanged(path=f"{PLANT}#conduit/uplink", time_ns=1, up=True))
    buffer.flush()
    (record,) = told(buffer)
    assert (record.why, record.rows, "beyond its 2 tags" in record.detail) == ("damaged", 1, True)
    assert drained(buffer) == list(range(10))
    buffer.close()


def test_records_of_the_edge_travel_under_a_name_that_no_source_can_have(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    buffer.tell(LinkChanged(path=f"{PLANT}#conduit/uplink", time_ns=1, up=True))
    buffer.flush()
    (frame,) = [frame for _, frame in buffer.lanes[-1].log.read(0) if frame.kind is FrameKind.RECORDS]
    assert frame.source == frames.source_id(OWN)
    assert OWN.startswith("_")
    buffer.close()


def test_a_second_writer_is_refused_in_words(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    with pytest.raises(UsageError, match="in use by another edge"):
        opened(tmp_path)
    buffer.close()


def test_a_lane_that_went_back_while_a_body_was_on_its_way_takes_nothing_of_it_as_done(tmp_path: Path) -> None:
    """What was passed over lies before the body: to acknowledge the body would forget it unsent."""
    buffer = opened(tmp_path)
    for number in range(3):
        buffer.put("line", noise(number * 1000))
        buffer.flush()
    lane, source = buffer.lanes[-1], frames.source_id("line")
    first = lane.body(1)
    while not any(head.source == source and head.kind is FrameKind.SAMPLES for _, head in first.heads):
        lane.acknowledge(first, {})
        first = lane.body(1)
    refused = frozenset({source})
    assert lane.acknowledge(first, {}, refused)
    assert not lane.settled
    on_its_way = lane.body(1)
    assert lane.outgoing(on_its_way, refused) == b""
    held = lane.held(source)
    assert held is not None
    lane.release(source)
    assert lane.stale(on_its_way)
    assert not lane.acknowledge(on_its_way, {(source, lane.epoch): 9})
    assert drained(buffer) == list(range(3000))
    buffer.close()
