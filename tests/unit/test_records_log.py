"""The log of records: in order, on disk, once, and nothing in it can be changed unseen."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from isthmus.model.records import Record
from isthmus.model.records.edge import LinkChanged
from isthmus.site.records import log_place, records_log
from isthmus.site.records.records_log import Origin, RecordsLog, verify
from isthmus.wire import frame as frames


def fact(number: int) -> Record:
    return LinkChanged(path="acme/northgate#conduit/uplink", time_ns=number, up=True)


def filled(folder: Path, count: int = 12) -> None:
    log = RecordsLog(folder, segment_bytes=700)
    for number in range(count):
        log.append([fact(number)])
    log.close()


def times(log: RecordsLog, position: int = 0) -> list[int]:
    return [record.time_ns for _, record in log.read(position)]


def parts(path: Path) -> list[bytes]:
    return [frames.pack(frame) for frame in frames.unpack_all(path.read_bytes())]


def test_records_come_back_in_order_each_with_the_position_behind_it(tmp_path: Path) -> None:
    log = RecordsLog(tmp_path)
    assert log.append([fact(0), fact(1)]) == 2
    assert log.append([fact(2)]) == 3
    log.close()
    again = RecordsLog(tmp_path)
    assert [(position, record.time_ns) for position, record in again.read(1)] == [(2, 1), (3, 2)]
    again.close()


def test_what_the_memory_of_the_newest_no_longer_holds_is_read_from_disk(tmp_path: Path) -> None:
    filled(tmp_path)
    log = RecordsLog(tmp_path, segment_bytes=700)
    log._tail.clear()
    assert times(log, 5) == list(range(5, 12))
    log.close()


def test_a_whole_log_has_nothing_to_say(tmp_path: Path) -> None:
    filled(tmp_path)
    assert len(list(tmp_path.glob("*.seg"))) > 2
    log = RecordsLog(tmp_path, segment_bytes=700)
    assert log.verify() == []
    log.append([fact(99)])
    assert log.verify() == []
    log.close()


@pytest.mark.parametrize("at", [3, 50, 90, 130])
def test_a_flipped_byte_is_found(tmp_path: Path, at: int) -> None:
    filled(tmp_path)
    path = sorted(tmp_path.glob("*.seg"))[1]
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)
    assert verify(tmp_path)


def test_a_record_changed_with_all_its_checksums_made_anew_is_found(tmp_path: Path) -> None:
    filled(tmp_path)
    path = min(tmp_path.glob("*.seg"))
    whole = parts(path)
    frame, _ = frames.unpack_from(whole[1])
    forged = frames.of_records(0, frame.epoch, frame.seq, [fact(77)])
    whole[1] = frames.pack(forged._replace(kind=frame.kind, payload=frame.payload[:60] + forged.payload))
    path.write_bytes(b"".join(whole))
    assert "does not follow" in verify(tmp_path)[0]


def test_a_deleted_record_is_found(tmp_path: Path) -> None:
    filled(tmp_path)
    path = min(tmp_path.glob("*.seg"))
    whole = parts(path)
    path.write_bytes(b"".join(whole[:1] + whole[2:]))
    assert "gap" in verify(tmp_path)[0]


def test_a_deleted_first_segment_is_found(tmp_path: Path) -> None:
    filled(tmp_path)
    min(tmp_path.glob("*.seg")).unlink()
    assert verify(tmp_path)


def test_two_records_that_changed_places_are_found(tmp_path: Path) -> None:
    filled(tmp_path)
    path = min(tmp_path.glob("*.seg"))
    whole = parts(path)
    whole[0], whole[1] = whole[1], whole[0]
    path.write_bytes(b"".join(whole))
    assert any("out of its place" in sentence for sentence in verify(tmp_path))


def test_the_head_tells_a_log_whose_newest_records_were_taken_away(tmp_path: Path) -> None:
    filled(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    last = max((tmp_path / "cut").glob("*.seg"))
    last.write_bytes(b"".join(parts(last)[:-1]))
    whole, cut = RecordsLog(tmp_path / "whole"), RecordsLog(tmp_path / "cut")
    assert cut.verify() == []
    assert whole.head != cut.head
    whole.close()
    cut.close()


def test_records_of_an_edge_are_taken_once_also_after_a_restart(tmp_path: Path) -> None:
    log = RecordsLog(tmp_path)
    log.append([fact(1)], Origin(7, 100, 1, 3))
    log.append([fact(1)], Origin(7, 100, 1, 3))
    log.append([fact(2)], Origin(7, 200, 3, 3))
    log.close()
    again = RecordsLog(tmp_path)
    again.append([fact(1)], Origin(7, 100, 2, 3))
    again.append([fact(3)], Origin(7, 100, 4, 4))
    assert times(again) == [1, 2, 3]
    again.close()


def test_writers_at_the_same_time_lose_nothing_and_share_flushes(tmp_path: Path) -> None:
    log = RecordsLog(tmp_path)
    flushes = 0
    sync = log._segments.sync

    def counted() -> None:
        nonlocal flushes
        flushes += 1
        sync()

    log._segments.sync = counted  # type: ignore[method-assign]

    def write(first: int) -> None:
        for number in range(first, first + 50):
            log.append([fact(number)])

    threads = [threading.Thread(target=write, args=(1000 * writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(times(log)) == sorted(1000 * writer + number for writer in range(8) for number in range(50))
    assert log.verify() == []
    assert flushes < 400
    log.close()


def test_a_full_disk_appends_nothing_and_the_chain_goes_on_afterwards(tmp_path: Path) -> None:
    log = RecordsLog(tmp_path)
    log.append([fact(0)])
    append = log._segments.append

    def full(_: object) -> int:
        raise OSError(28, "No space left on device")

    log._segments.append = full  # type: ignore[assignment,method-assign]
    with pytest.raises(OSError, match="No space left"):
        log.append([fact(1)], Origin(7, 1, 1, 1))
    log._segments.append = append  # type: ignore[method-assign]
    log.append([fact(1)], Origin(7, 1, 1, 1))
    assert times(log) == [0, 1]
    assert log.verify() == []
    log.close()


def test_positions_stay_right_behind_a_damaged_frame(tmp_path: Path) -> None:
    filled(tmp_path)
    path = sorted(tmp_path.glob("*.seg"))[1]
    data = bytearray(path.read_bytes())
    data[60] ^= 4
    path.write_bytes(data)
    log = RecordsLog(tmp_path, segment_bytes=700)
    assert not log.damage, "what is old is looked at when it is read, so that a start does not grow with its age"
    log.append([fact(12)])
    told = [(position, record.time_ns) for position, record in log.read(0)]
    assert len(log.damage) == 1
    (tmp_path / "place").unlink()
    assert len(log.verify()) == 2
    assert len(told) == 12
    assert all(position == time_ns + 1 for position, time_ns in told)
    assert [(position, record.time_ns) for position, record in log.read(11)] == [(12, 11), (13, 12)]
    log.close()


def state(log: RecordsLog) -> tuple[object, ...]:
    taken = {name: list(ranges) for name, ranges in log.taken.items()}
    return log.position, log.head, taken, times(log), [times(log, position) for position in (3, 9, log.position)]


def test_a_log_opened_at_its_place_is_the_log_read_from_its_first_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records_log, "_INDEX_EVERY", 3)
    log = RecordsLog(tmp_path, segment_bytes=700)
    for number in range(30):
        log.append([fact(number)], Origin(number % 2 + 1, 5, number // 2 + 1, number // 2 + 1))
    log.close()
    for more in range(3):
        with_place = RecordsLog(tmp_path, segment_bytes=700)
        found = state(with_place)
        (tmp_path / "place").unlink()
        without = RecordsLog(tmp_path, segment_bytes=700)
        assert state(without) == found
        assert with_place.verify() == []
        without.append([fact(30 + more)])
        without.close()


def test_a_place_outlives_a_kill_and_what_came_after_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records_log, "_KEEP_EVERY", 10)
    log = RecordsLog(tmp_path)
    for number in range(25):
        log.append([fact(number)])
    found = log_place.read(tmp_path)
    assert found is not None
    assert found.position == 20
    log._segments.close()  # a kill closes files, and says nothing more
    again = RecordsLog(tmp_path)
    assert (again.position, again.head) == (25, log.head)
    assert times(again) == list(range(25))
    assert again.append([fact(25)]) == 26
    assert again.verify() == []
    again.close()


@pytest.mark.parametrize("how", ["torn", "another log", "an older copy"])
def test_a_place_that_is_not_of_this_log_is_not_believed(tmp_path: Path, how: str) -> None:
    folder, other = tmp_path / "log", tmp_path / "other"
    filled(folder, 4)
    place = (folder / "place").read_bytes()
    if how == "torn":
        (folder / "place").write_bytes(place[:-3])
    elif how == "another log":
        filled(other, 7)
        (folder / "place").write_bytes((other / "place").read_bytes())
    else:
        old = {path.name: path.read_bytes() for path in folder.glob("*.seg")}
        log = RecordsLog(folder, segment_bytes=700)
        log.append([fact(4)])
        log.close()
        for path in folder.glob("*.seg"):
            path.unlink()
        for name, data in old.items():
            (folder / name).write_bytes(data)
    log = RecordsLog(folder, segment_bytes=700)
    assert log.position == 4
    assert times(log) == [0, 1, 2, 3]
    log.append([fact(4)])
    assert log.verify() == []
    log.close()
