"""The segment log: what was synced is there, what was torn is cut off, what was damaged is set aside."""

import os
from pathlib import Path

import pytest

from isthmus.model.samples import ValueKind, columns
from isthmus.wire import frame as frames
from isthmus.wire.segment import SegmentLog


def packed(seq: int) -> bytes:
    batch = columns(ValueKind.F64, range(10), range(10), [0] * 10, [1.5] * 10)
    return frames.pack(frames.of_samples(1, 2, seq, batch))


def seqs(log: SegmentLog, position: int = 0) -> list[int]:
    log.close()
    return [frame.seq for _, frame in log.read(position)]


def filled(folder: Path, count: int = 20) -> None:
    log = SegmentLog(folder, segment_bytes=1000)
    for seq in range(count):
        log.append([packed(seq)])
    log.close()


def test_what_was_appended_is_read_back_in_order_across_segments(tmp_path: Path) -> None:
    filled(tmp_path)
    log = SegmentLog(tmp_path, segment_bytes=1000)
    assert seqs(log) == list(range(20))
    assert len(list(tmp_path.glob("*.seg"))) > 1
    assert log.damage == []


def test_reading_goes_on_from_any_position_it_gave_out(tmp_path: Path) -> None:
    filled(tmp_path)
    log = SegmentLog(tmp_path)
    positions = [position for position, _ in log.read(0)]
    assert seqs(log, positions[6]) == list(range(7, 20))


def test_a_frame_cut_short_by_a_power_cut_is_cut_off(tmp_path: Path) -> None:
    filled(tmp_path)
    with max(tmp_path.glob("*.seg")).open("ab") as file:
        file.write(packed(20)[:-3])
    log = SegmentLog(tmp_path, segment_bytes=1000)
    log.append([packed(20)])
    assert seqs(log) == list(range(21))
    assert log.damage == []


def test_damage_in_the_middle_loses_only_the_damaged_frame_and_is_told_once(tmp_path: Path) -> None:
    filled(tmp_path)
    path = sorted(tmp_path.glob("*.seg"))[1]
    data = bytearray(path.read_bytes())
    data[len(packed(0)) * 2 + 60] ^= 1
    path.write_bytes(data)
    log = SegmentLog(tmp_path, segment_bytes=1000)
    missing = set(range(20)) - set(seqs(log))
    assert len(missing) == 1
    assert len(log.damage) == 1
    assert len(list((tmp_path / "lost").iterdir())) == 1
    assert SegmentLog(tmp_path, segment_bytes=1000).damage == []


def test_trimming_drops_whole_segments_that_nobody_needs(tmp_path: Path) -> None:
    filled(tmp_path)
    log = SegmentLog(tmp_path, segment_bytes=1000)
    middle = next(position for position, frame in log.read(0) if frame.seq == 12)
    assert log.trim(middle) > 0
    assert set(range(13, 20)) <= set(seqs(log))
    assert log.first <= middle


@pytest.mark.parametrize("cut", range(1, 3 * len(packed(0)), 7))
def test_a_segment_cut_anywhere_keeps_every_frame_before_the_cut(tmp_path: Path, cut: int) -> None:
    log = SegmentLog(tmp_path)
    log.append([packed(seq) for seq in range(3)])
    log.close()
    path = next(tmp_path.glob("*.seg"))
    os.truncate(path, cut)
    log = SegmentLog(tmp_path)
    whole = cut // len(packed(0))
    log.append([packed(9)])
    assert seqs(log) == [*range(whole), 9]
    assert log.damage == []


def test_blocks_that_the_file_system_promised_and_never_wrote_are_cut_off(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    with next(tmp_path.glob("*.seg")).open("ab") as file:
        file.write(bytes(4096))
    log = SegmentLog(tmp_path)
    log.append([packed(2)])
    assert seqs(log) == [0, 1, 2]
    assert log.damage == []


def test_a_preamble_stands_at_the_start_of_every_segment_or_the_segment_does_not_come_to_be(tmp_path: Path) -> None:
    full = False

    def preamble() -> list[bytes]:
        if full:
            raise OSError(28, "No space left on device")
        return [packed(1000)]

    log = SegmentLog(tmp_path, segment_bytes=1000, preamble=preamble)
    for seq in range(4):
        log.append([packed(seq)])
    full = True
    with pytest.raises(OSError, match="No space"):
        log.append([packed(4)] * 20)
    full = False
    log.append([packed(seq) for seq in range(5, 25)])
    assert [seq for seq in seqs(log) if seq != 1000] == [0, 1, 2, 3, *range(5, 25)]
    for path in tmp_path.glob("*.seg"):
        frame, _ = frames.unpack_from(path.read_bytes())
        assert frame.seq == 1000


def test_a_reader_beside_a_writer_changes_nothing_on_disk(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    path = max(tmp_path.glob("*.seg"))
    with path.open("ab") as file:
        file.write(packed(3)[:-3])
    before = path.read_bytes()
    beside = SegmentLog(tmp_path, write=False)
    assert [frame.seq for _, frame in beside.read(0)] == [0, 1, 2]
    assert path.read_bytes() == before
    assert not (tmp_path / "lost").exists()


def test_only_what_is_synced_may_be_sent(tmp_path: Path) -> None:
    log = SegmentLog(tmp_path)
    log.append([packed(0)])
    assert log.chunk(0, 10_000).heads == ()
    log.sync()
    log.append([packed(1)])
    assert [head.seq for _, head in log.chunk(0, 10_000).heads] == [0]
    log.close()


def test_a_chunk_is_bounded_but_never_less_than_a_frame(tmp_path: Path) -> None:
    filled(tmp_path)
    log = SegmentLog(tmp_path)
    assert len(log.chunk(0, 1).heads) == 1
    assert len(log.chunk(0, 3 * len(packed(0)) + 5).heads) == 3
