"""What a source puts its samples into: marks time, filters, hands on to the buffer, and tells faults.

A device that goes away leaves one Bad sample for each of its tags, so that nothing downstream
believes that it still runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final, Literal, Protocol

import msgspec
import pyarrow as pa

from isthmus.edge.buffer import Buffer
from isthmus.edge.deadband import Deadband
from isthmus.edge.held import Held
from isthmus.edge.source import SourceSection, Tag
from isthmus.model import status as st
from isthmus.model.records.edge import TagFault
from isthmus.model.samples import TagInfo, no_value
from isthmus.model.time import NS_PER_S

State = Literal["connecting", "up", "away", "refused", "stopped"]
_AHEAD_NS: Final = 300 * NS_PER_S
"""A device's clock further ahead than this is not followed when a loss is stamped."""


class Changed(Protocol):
    """Called when there is something new to tell."""

    def __call__(self, *, at_once: bool) -> None: ...  # noqa: D102  said above


class SourceNow(msgspec.Struct, kw_only=True):
    """How a source fares at this moment, for the status page; the record says the same."""

    name: str
    tags: int
    state: State = "connecting"
    cause: str = ""
    last_contact_ns: int | None = None
    next_try_ns: int | None = None
    address: str = ""
    security: str = ""
    samples: int = 0
    faults: dict[int, TagFault] = {}


class Intake:
    """The `Sink` of one source."""

    def __init__(self, source: SourceSection, tags: Sequence[Tag], buffer: Buffer, changed: Changed) -> None:
        self.now = SourceNow(name=source.name, tags=len(tags))
        self.heard = time.monotonic()
        """When the device last gave anything, by the steady clock."""
        self.answered = False
        """True once the device has answered since the last `begin`."""
        self.connected = asyncio.Event()
        """Set while the device is connected and its tags are being read."""
        self.bad: dict[int, TagFault] = {}
        """Tags that could not be read when they were last heard of, whatever connections came and went since."""
        self._tags, self._buffer, self._changed = tuple(tags), buffer, changed
        self._deadband = Deadband(tags)
        self._held = Held(len(tags))
        self._newest_ns = 0
        self._marked = False

    def begin(self) -> None:
        """A new attempt to reach the device begins; what is still wrong with a tag, it tells again."""
        self.now.faults.clear()
        self.answered = False
        self.connected.clear()
        self.heard = time.monotonic()

    def emit(self, batch: pa.RecordBatch) -> None:
        """Take columns from the source."""
        if not batch.num_rows:
            return
        self._contact()
        if self.bad:
            self._look_for_returned(batch)
        batch = self._deadband.passing(self._held.after_loss(batch, self._now_ns()))
        if batch.num_rows:
            self._newest_ns = max(self._newest_ns, int(batch.column("time_ns").to_numpy().max()))
            self.now.samples += batch.num_rows
            self._marked = False
            self._buffer.put(self.now.name, batch)

    def up(self, *, address: str, security: str) -> None:
        """The device answers and its tags are being read."""
        self._contact()
        self.connected.set()
        before = (self.now.state, self.now.address, self.now.security)
        self.now.state, self.now.cause, self.now.next_try_ns = "up", "", None
        self.now.address, self.now.security = address, security
        if before != ("up", address, security):
            self._changed(at_once=True)

    def fault(self, tag: int, status: int, why: str) -> None:
        """One tag cannot be read, and why; a Good status takes it back."""
        if st.is_good(status):
            if self.now.faults.pop(tag, None) or self.bad.pop(tag, None):
                self.bad.pop(tag, None)
                self._changed(at_once=False)
            return
        said = self.bad[tag] = TagFault(self._tags[tag].name, status, why)
        if self.now.faults.get(tag) != said:
            self.now.faults[tag] = said
            self._put_no_value([tag], self._now_ns(), status)
            self._changed(at_once=False)

    def lose(self, status: int, at_ns: int | None = None) -> None:
        """Mark every tag at one moment, once for each loss."""
        if not self._marked:
            self._marked = True
            self._put_no_value(range(len(self._tags)), self._now_ns() if at_ns is None else at_ns, status)
            self._deadband.forget()

    def _look_for_returned(self, batch: pa.RecordBatch) -> None:
        """A tag that was bad over a lost connection comes back with its first good sample."""
        good = batch.column("status").to_numpy() < st.BAD
        returned = (set(self.bad) - set(self.now.faults)) & set(batch.column("tag").to_numpy()[good].tolist())
        for tag in returned:
            del self.bad[tag]
        if returned:
            self._changed(at_once=False)

    def _contact(self) -> None:
        self.heard = time.monotonic()
        self.answered = True
        self.now.last_contact_ns = time.time_ns()

    def _now_ns(self) -> int:
        """Now, or just behind the newest sample where the device's clock is a little ahead of ours."""
        now = time.time_ns()
        return max(now, self._newest_ns + 1) if self._newest_ns - now < _AHEAD_NS else now

    def _put_no_value(self, tags: Sequence[int], at_ns: int, status: int) -> None:
        self._held.lose(tags, at_ns)
        for kind in dict.fromkeys(self._tags[tag].kind for tag in tags):
            of_kind = [tag for tag in tags if self._tags[tag].kind is kind]
            self._buffer.put(self.now.name, no_value(kind, of_kind, at_ns, status))


def tag_infos(sources: Sequence[SourceSection]) -> dict[str, list[TagInfo]]:
    """What the buffer's dictionaries say of each source's tags; a tag's number is its place there."""
    return {
        source.name: [
            TagInfo(name=f"{source.name}/{tag.name}", kind=tag.kind, unit=tag.unit, time_of=source.time_of)
            for tag in tags_of(source)
        ]
        for source in sources
    }


def tags_of(source: SourceSection) -> Sequence[Tag]:
    """The tags of a source; each protocol's class has them as `tags`, of its own kind."""
    tags: Sequence[Tag] = getattr(source, "tags", ())
    return tags
