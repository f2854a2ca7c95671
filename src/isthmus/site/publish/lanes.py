"""What is published, lane by lane: each reads one of the site's logs from a mark and makes messages of it."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from itertools import islice
from typing import Final, NamedTuple, Protocol

import msgspec

from isthmus.model.equipment import beside
from isthmus.site.publish.bus import Lane, Message, words_of
from isthmus.site.publish.spool import synced
from isthmus.site.records.records_log import RecordsLog
from isthmus.wire import frame as frames
from isthmus.wire.segment import SegmentLog

MOST: Final = 256
_BYTES: Final = 4 * 1024 * 1024


class Read(NamedTuple):
    """Messages, and the mark behind them."""

    messages: list[Message]
    mark: int


class Source(Protocol):
    """A log to publish from. Marks ascend; what lies before one is on the bus."""

    lane: Lane

    def read(self, mark: int) -> Read:
        """The next messages behind a mark; none, and the mark itself, where nothing is new."""
        ...

    def begin(self, mark: int) -> int:
        """The mark itself, or an earlier one where the log is another or shorter than it was."""
        ...

    def waiting(self, mark: int) -> int:
        """How much lies behind a mark: records, or bytes of frames."""
        ...


class Dictionaries:
    """What sources call their tags. Read before frames, so that no frame is on the bus without its dictionary."""

    lane = Lane.DICTIONARIES

    def __init__(self, plant: str, log: SegmentLog) -> None:
        self._plant, self._log = plant, log
        self._names: dict[tuple[int, int], tuple[str, str]] = {}
        self._known = 0

    def name(self, source: int, epoch: int) -> tuple[str, str]:
        """The plant's path and the source's name; the source's number where no dictionary ever came."""
        found = self._names.get((source, epoch))
        if found is None:
            self._learn()
            found = self._names.get((source, epoch), (self._plant, str(source)))
        return found

    def read(self, mark: int) -> Read:
        """Dictionaries behind a mark."""
        self._learn()
        out: list[Message] = []
        for end, frame in islice(synced(self._log, mark), MOST):
            mark = end
            packed = frames.pack(frame)
            plant, name = self.name(frame.source, frame.epoch)
            digest = blake2b(packed, digest_size=8).hexdigest()
            words = (*words_of(beside(plant, "source", name)), str(frame.epoch), digest)
            out.append(Message(self.lane, words, f"{plant}/{frame.source}/{frame.epoch}/dictionary-{digest}", packed))
        return Read(out, mark)

    def begin(self, mark: int) -> int:
        """From the first, where the log was made anew."""
        return mark if mark <= self._log.end else 0

    def waiting(self, mark: int) -> int:
        """Bytes behind a mark."""
        return max(self._log.end - mark, 0)

    def _learn(self) -> None:
        for end, frame in synced(self._log, self._known):
            said = frames.dictionary(frame)
            self._names[frame.source, frame.epoch] = (said.plant or self._plant, said.source)
            self._known = end


class Frames:
    """Frames as edges sent them."""

    lane = Lane.FRAMES

    def __init__(self, log: SegmentLog, name: Callable[[int, int], tuple[str, str]]) -> None:
        self._log, self._name = log, name

    def read(self, mark: int) -> Read:
        """Frames behind a mark, in the order in which they came."""
        out: list[Message] = []
        size = 0
        for end, frame in islice(synced(self._log, mark), MOST):
            if out and size + len(frame.payload) > _BYTES:
                break
            mark, size = end, size + len(frame.payload)
            plant, name = self._name(frame.source, frame.epoch)
            words = words_of(beside(plant, "source", name))
            out.append(
                Message(self.lane, words, f"{plant}/{frame.source}/{frame.epoch}/{frame.seq}", frames.pack(frame))
            )
        return Read(out, mark)

    def begin(self, mark: int) -> int:
        """From the first, where the log was made anew."""
        return mark if mark <= self._log.end else 0

    def waiting(self, mark: int) -> int:
        """Bytes behind a mark."""
        return max(self._log.end - max(mark, self._log.first), 0)


class Records:
    """Every record of the site's log, in its order, one message each."""

    lane = Lane.RECORDS

    def __init__(self, plant: str, log: RecordsLog) -> None:
        self._plant, self._log = plant, log

    def read(self, mark: int) -> Read:
        """Records behind a mark."""
        out: list[Message] = []
        for position, record in islice(self._log.read(mark), MOST):
            mark = position
            body = msgspec.json.encode(record)
            # A log that was restored from a backup says other things at the same positions.
            digest = blake2b(body, digest_size=8).hexdigest()
            words = (type(record).__name__, *words_of(record.path))
            out.append(Message(self.lane, words, f"{self._plant}/log/{position}/{digest}", body))
        return Read(out, mark)

    def begin(self, mark: int) -> int:
        """From the log's end, where it was put back from an older backup: what stands in it was published."""
        return min(mark, self._log.position)

    def waiting(self, mark: int) -> int:
        """Records behind a mark."""
        return max(self._log.position - mark, 0)
