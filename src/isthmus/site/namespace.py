"""What is so now: the last sample of each tag, what folds preview, the newest facts, and who wants to know.

Threads put in; pages read, or subscribe. A subscriber is never waited for: what it has not fetched is
kept as one entry for each thing that changed, the newest, so it holds no more than there are things.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from isthmus.model.records import Record


class Last(NamedTuple):
    """The newest sample of a tag, by source time. `value` is None where the sample carries none."""

    time_ns: int
    status: int
    value: Any


class Changes(NamedTuple):
    """What changed since the subscriber last looked; each thing once, as it is now."""

    samples: Mapping[str, Last]
    """By tag name."""
    previews: Mapping[tuple[str, str], tuple[Record, ...]]
    """By (path, kind); empty where nothing is open any more."""
    facts: Mapping[tuple[str, str], Record]
    """By (path, kind), the newest by its own time."""


class _Subscriber:
    """What one reader has not fetched yet, and how to wake it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.wake = asyncio.Event()
        self.changes = Changes({}, {}, {})
        self.told = False

    def put(self, part: str, entries: Mapping[Any, Any]) -> None:
        """Keep the newest of each; called under the namespace's lock."""
        getattr(self.changes, part).update(entries)
        if not self.told and not self.loop.is_closed():
            self.told = True
            self.loop.call_soon_threadsafe(self.wake.set)


class Namespace:
    """Everything live of one site; safe for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._samples: dict[str, Last] = {}
        self._newest: dict[str, int] = {}
        self._previews: dict[tuple[str, str], tuple[Record, ...]] = {}
        self._facts: dict[tuple[str, str], Record] = {}
        self._subscribers: set[_Subscriber] = set()

    def last(self, tag: str) -> Last | None:
        """The newest sample of a tag, None when none ever came."""
        return self._samples.get(tag)

    def tags(self) -> list[str]:
        """Every tag that has a sample."""
        with self._lock:
            return sorted(self._samples)

    def newest(self, source: str) -> int | None:
        """Source time of the newest sample of any tag of a source, UTC ns; None when none ever came."""
        return self._newest.get(source)

    def preview(self, path: str, kind: str) -> tuple[Record, ...]:
        """What is still open, told as if it ended now: the shift so far, the stop in progress."""
        return self._previews.get((path, kind), ())

    def fact(self, path: str, kind: str) -> Record | None:
        """The newest fact of a kind by its own time; None when there is none, or it was taken back."""
        return self._facts.get((path, kind))

    def put_samples(self, samples: Mapping[str, Last]) -> None:
        """Take newer samples in; one that is older than what is there changes nothing."""
        with self._lock:
            have = self._samples
            newer = {
                tag: sample for tag, sample in samples.items() if tag not in have or sample.time_ns >= have[tag].time_ns
            }
            self._samples.update(newer)
            for tag, sample in newer.items():
                source = tag.partition("/")[0]
                self._newest[source] = max(sample.time_ns, self._newest.get(source, sample.time_ns))
            self._tell("samples", newer)

    def put_previews(self, path: str, kinds: Iterable[str], previews: Sequence[Record]) -> None:
        """Replace what is open at `path` of these kinds; only what differs is told."""
        fresh: dict[tuple[str, str], tuple[Record, ...]] = {
            (path, kind): tuple(record for record in previews if type(record).__name__ == kind) for kind in kinds
        }
        with self._lock:
            changed = {key: now for key, now in fresh.items() if self._previews.get(key, ()) != now}
            self._previews.update(changed)
            self._tell("previews", changed)

    def put_facts(self, records: Iterable[Record]) -> None:
        """Take facts in, in the order of the log."""
        with self._lock:
            changed: dict[tuple[str, str], Record] = {}
            for record in records:
                key = (record.path, type(record).__name__)
                have = self._facts.get(key)
                if have is None or (record.time_ns, record.ordinal) >= (have.time_ns, have.ordinal):
                    self._facts[key] = changed[key] = record
                    if record.gone:
                        del self._facts[key]
            self._tell("facts", changed)

    async def subscribe(self) -> AsyncIterator[Changes]:
        """What changes from now on, coalesced: each step gives all that changed since the one before."""
        subscriber = _Subscriber(asyncio.get_running_loop())
        with self._lock:
            self._subscribers.add(subscriber)
        try:
            while True:
                await subscriber.wake.wait()
                with self._lock:
                    changes, subscriber.changes = subscriber.changes, Changes({}, {}, {})
                    subscriber.told = False
                    subscriber.wake.clear()
                yield changes
        finally:
            with self._lock:
                self._subscribers.discard(subscriber)

    def _tell(self, part: str, entries: Mapping[Any, Any]) -> None:
        if entries:
            for subscriber in self._subscribers:
                subscriber.put(part, entries)
