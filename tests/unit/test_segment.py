"""The segment log: what was synced is there, what was torn is cut off, what was damaged is set aside."""

from pathlib import Path

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
