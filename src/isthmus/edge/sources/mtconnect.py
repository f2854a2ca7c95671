"""MTConnect: CNC machines and whatever else stands behind an MTConnect agent.

    [[source]]
    kind = "mtconnect"
    name = "lathe-2"
    url = "http://10.20.0.31:5000"

    [[source.tags]]
    name = "execution"
    item = "Device/Controller/Path/EXECUTION"
    kind = "str"

**What a tag names.** `item` is a data item's id, else its name, else its path from the device down as
`isthmus init --from` finds it: `Device[OKUMA]/Axes/Rotary[C]/ROTARY_VELOCITY.ACTUAL`. Names in brackets and
the subtype may be left out while the path stays the only one of its kind.

**Values.** Samples are f64, events str unless the tag says i64 or f64, both exact. A three-space sample
(`25.2 0 3.9`) is read as str, or as f64 with `part = 0`, 1 or 2 for x, y or z. Data sets and tables are
str, as JSON of what the agent sent; time series are str. A condition is str: everything active, worst
first, `FAULT:401 Oil pressure low; WARNING:120 Filter`, or NORMAL; `condition = "level"` keeps only
FAULT, WARNING or NORMAL, and `"code"` only the native codes, "" when there is none.

**Status.** UNAVAILABLE is "no data" without a value. When the agent's buffer has run over, or the agent
started anew, every tag says "no data" for the lost stretch and then what holds now.

**After a lost connection** it first fetches what the agent kept in the meantime, if that is the same
life of the same agent, so that nothing is missing. Each value that stands is said once more at the
time of the new connection, so that a value that never changed is not lost with it.
"""

from __future__ import annotations

import fnmatch
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
import pyarrow as pa
from msgspec import Meta

from isthmus.edge.mtconnect_client import devices
from isthmus.edge.mtconnect_client.devices import Directory, Probe
from isthmus.edge.mtconnect_client.line import Line, connect
from isthmus.edge.mtconnect_client.streams import Active, Chunk, Form, Reader, Streams
from isthmus.edge.mtconnect_client.xml import AgentError, NotMtconnect
from isthmus.edge.source import Identity, Limits, Seconds, Sink, SourceSection, Tag, TagFound
from isthmus.model import status as st
from isthmus.model.errors import DeviceAway, DeviceRefuses
from isthmus.model.samples import ValueKind, no_value

_log = logging.getLogger(__name__)


class MtconnectTag(Tag, frozen=True, kw_only=True):
    """One data item of an agent."""

    item: Annotated[str, Meta(min_length=1, description="the data item's id, name, or path from the device down")]
    part: Annotated[int | None, Meta(description="of a three-space sample: 0, 1 or 2 for x, y or z")] = None
    condition: Annotated[Form, Meta(description="of a condition: all, level or code")] = "all"

    def __post_init__(self) -> None:
        if self.kind is ValueKind.BOOL:
            msg = f"{self.name}: MTConnect has words and numbers and no bool; write kind = 'str'"
            raise ValueError(msg)
        if self.part is not None and self.part < 0:
            msg = f"{self.name}: part = {self.part} names no part; the first is 0"
            raise ValueError(msg)


class Place(msgspec.Struct):
    """Where reading stopped, so that a new connection goes on there. 0 is nowhere."""

    instance: int = 0
    next_sequence: int = 0
    latest_ns: int = 0
    active: Active = {}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The tags, and the place, which the runs of this plan share and move on."""

    tags: tuple[MtconnectTag, ...]
    place: Place


class Mtconnect(SourceSection, frozen=True, kw_only=True, tag="mtconnect", dict=True):
    """One MTConnect agent, or one device of it."""

    schemes: ClassVar[tuple[str, ...]] = ("http", "https")

    url: Annotated[
        str, Meta(pattern=r"^https?://[^/\s]+(/\S*)?$", description="where the agent answers: http://10.20.0.31:5000")
    ]
    device: Annotated[str, Meta(description="name or uuid of one device; none means all of the agent")] = ""
    ca: Annotated[str, Meta(description="file with the authority of an https agent; none means the system's")] = ""
    interval_s: Annotated[float, Meta(ge=0, le=60, description="least time between two documents of news, s")] = 0.1
    heartbeat_s: Annotated[Seconds, Meta(description="the agent speaks at least this often, s")] = 2.0
    timeout_s: Annotated[Seconds, Meta(description="longest wait beyond that, and for one whole document, s")] = 5.0
    count: Annotated[int, Meta(ge=1, le=10_000, description="most observations in one document")] = 1000
    document_mb: Annotated[int, Meta(ge=1, le=1024, description="largest document that is taken, MB")] = 32
    tags: Annotated[tuple[MtconnectTag, ...], Meta(description="what is read")] = ()

    async def identify(self) -> Identity:
        """Who the agent and its first device say they are."""
        if self._lives:
            probe = self._lives[0]
        else:
            async with self._connect() as line:
                probe = await _probe(self, line)
        device = next(iter(probe.devices), devices.Device(name="", uuid=""))
        more = {
            "role": "machine" if device.name else "",
            "device": device.name,
            "uuid": device.uuid,
            "agent": probe.header.version,
            "sender": probe.header.sender,
            "instance": str(probe.header.instance),
            "devices": str(len(probe.devices)),
        }
        return Identity(
            address=self.url,
            protocol="MTConnect",
            maker=device.maker,
            model=device.model,
            serial=device.serial,
            security=_security(self),
            more={name: value for name, value in more.items() if value},
        )

    async def browse(self, pattern: str) -> AsyncIterator[TagFound]:
        """Every data item whose path matches; brackets in the pattern stand for themselves."""
        async with self._connect() as line:
            probe = await _probe(self, line)
        for path, item in Directory(probe.items).by_path.items():
            if fnmatch.fnmatchcase(path, pattern.replace("[", "[[]")):
                yield TagFound(
                    path=path,
                    address={"item": item.id},
                    kind=item.kind,
                    unit=devices.UNITS.get(item.units, ""),
                    description=" ".join(filter(None, (item.category.lower(), item.name, item.units))),
                )

    def plan(self, tags: Sequence[MtconnectTag], limits: Limits) -> Plan:  # noqa: ARG002  one stream carries all
        """One stream carries all tags; what their addresses mean, the agent's probe says in `run`."""
        return Plan(tags=tuple(tags), place=Place(active={}))

    async def run(self, plan: Plan, sink: Sink) -> None:
        """Stream until cancelled. Raises DeviceAway, or DeviceRefuses for an unknown device or certificate."""
        async with self._connect() as line:
            while True:
                try:
                    await _Life(self, plan, line, sink).live(self._lives)
                except NotMtconnect as error:
                    msg = f"{self.url} does not answer as an MTConnect agent: {error}"
                    raise DeviceAway(msg) from error
                except AgentError as error:
                    msg = f"{self.url} answers with an error: {error}"
                    raise DeviceAway(msg) from error
                finally:
                    self._lives.clear()

    @cached_property
    def _lives(self) -> list[Probe]:
        """What the agent that `run` reads said at the beginning; none while it does not run. No value depends on it."""
        return []

    def _connect(self) -> AbstractAsyncContextManager[Line]:
        if self.ca and not Path(self.ca).is_file():
            msg = f"{self.url}: there is no file {self.ca}; write the path of its authority's certificate in ca"
            raise DeviceRefuses(msg)
        return connect(self.url, ca=self.ca, timeout_s=self.timeout_s, most_bytes=self.document_mb * 1_000_000)


class _Life:
    """Reading one life of an agent, from its probe to its end or to a gap in its sequence."""

    def __init__(self, source: Mtconnect, plan: Plan, line: Line, sink: Sink) -> None:
        self._source = source
        self._place = plan.place
        self._tags = plan.tags
        self._line = line
        self._sink = sink
        self._told: set[int] = set()
        self._streams = Streams({}, {})

    async def live(self, lives: list[Probe]) -> None:
        """Returns when the agent started anew or ran over; the next life begins with its probe, put into `lives`."""
        probe = await _probe(self._source, self._line)
        lives.append(probe)
        place = self._place
        known = place.instance == probe.header.instance and place.next_sequence > 0
        if place.instance not in (0, probe.header.instance):
            self._gap(f"started anew (instance {probe.header.instance} after {place.instance})")
        place.instance = probe.header.instance
        self._streams = Streams(self._readers(probe), place.active)
        current = await self._get("current")
        told = Streams({}, {}).read(current).header
        if told.instance != place.instance:
            msg = f"{self._source.url} started anew while it was asked"
            raise DeviceAway(msg)
        whole = known and await self._catch_up(told.next_sequence)
        self._take(self._streams.read_current(current, time.time_ns(), known=whole))
        place.next_sequence = told.next_sequence
        await self._follow()

    async def _catch_up(self, until: int) -> bool:
        """What happened between the last connection and the current document; False where some is lost."""
        place, source = self._place, self._source
        if until < place.next_sequence:
            self._gap("counts from an earlier sequence number again")
            return False
        while place.next_sequence < until:
            count = min(source.count, until - place.next_sequence)
            try:
                document = await self._get("sample", **{"from": place.next_sequence, "count": count})
                chunk = self._streams.read(document)
            except AgentError as error:
                if error.code != "OUT_OF_RANGE":
                    raise
                self._gap(f"no longer has the {until - place.next_sequence} observations since the last contact")
                return False
            self._take(chunk)
            if chunk.header.next_sequence <= place.next_sequence:
                return False
            place.next_sequence = chunk.header.next_sequence
        return True

    async def _follow(self) -> None:
        place, source = self._place, self._source
        query: dict[str, int | str] = {
            "from": place.next_sequence,
            "interval": round(source.interval_s * 1000),
            "heartbeat": max(1, round(source.heartbeat_s * 1000)),
            "count": source.count,
        }
        silent_s = source.heartbeat_s + source.interval_s + source.timeout_s
        self._sink.up(address=source.url, security=_security(source))
        async with aclosing(self._line.stream(_request(source, "sample"), silent_s=silent_s, **query)) as documents:
            async for document in documents:
                try:
                    chunk = self._streams.read(document)
                except AgentError as error:
                    if error.code != "OUT_OF_RANGE":
                        raise
                    await self._ran_over()
                    return
                if chunk.header.instance != place.instance:
                    return
                self._take(chunk)
                place.next_sequence = chunk.header.next_sequence
        msg = f"{source.url} ended the stream"
        raise DeviceAway(msg)

    async def _ran_over(self) -> None:
        now = Streams({}, {}).read(await self._get("current")).header
        lost = max(0, now.first_sequence - self._place.next_sequence)
        self._gap(f"ran over: {lost} observations or more left its buffer before they could be read")
        self._place.next_sequence = 0

    async def _get(self, verb: str, **query: int | str) -> bytes:
        return await self._line.get(_request(self._source, verb), **query)

    def _take(self, chunk: Chunk) -> None:
        for batch in chunk.batches:
            self._sink.emit(batch)
            if self._told:
                self._take_back(batch)
        self._place.latest_ns = max(self._place.latest_ns, self._streams.latest_ns)
        for tag, why in chunk.mismatched.items():
            if tag not in self._told:
                self._told.add(tag)
                self._sink.fault(tag, st.BAD_TYPE_MISMATCH, f"{self._tags[tag].item}: {why}")

    def _take_back(self, batch: pa.RecordBatch) -> None:
        """A tag whose last value is of its kind again has no fault."""
        last = dict(zip(batch.column("tag").to_pylist(), batch.column("status").to_pylist(), strict=True))
        for tag in [tag for tag in self._told if last.get(tag, st.BAD_TYPE_MISMATCH) != st.BAD_TYPE_MISMATCH]:
            self._told.remove(tag)
            self._sink.fault(tag, st.GOOD, "")

    def _gap(self, what: str) -> None:
        """Say "no data" for every tag, from just behind the last that was read."""
        from_ns = self._place.latest_ns + 1
        _log.warning("%s: %s %s; values in between are lost", self._source.name, self._source.url, what)
        if not self._place.latest_ns:
            return
        by_kind: dict[ValueKind, list[int]] = defaultdict(list)
        for number, tag in enumerate(self._tags):
            by_kind[tag.kind].append(number)
        for kind, numbers in by_kind.items():
            self._sink.emit(no_value(kind, numbers, from_ns, st.BAD_NO_DATA))

    def _readers(self, probe: Probe) -> dict[str, list[Reader]]:
        """Which tags read which data item; a tag that means none is named and costs nothing else."""
        out: dict[str, list[Reader]] = defaultdict(list)
        directory = Directory(probe.items)
        for number, tag in enumerate(self._tags):
            try:
                item = directory.find(tag.item)
            except LookupError as error:
                self._sink.fault(number, st.BAD_NODE_ID_UNKNOWN, str(error.args[0]))
                self._sink.emit(no_value(tag.kind, [number], time.time_ns(), st.BAD_NODE_ID_UNKNOWN))
                continue
            out[item.id].append(Reader(number, tag.kind, tag.part, tag.condition))
        return out


async def _probe(source: Mtconnect, line: Line) -> Probe:
    try:
        return devices.read(await line.get(_request(source, "probe")))
    except AgentError as error:
        if error.code == "NO_DEVICE":
            msg = f"{source.url} has no device {source.device}; write the name or uuid of one that it has"
            raise DeviceRefuses(msg) from error
        msg = f"{source.url} answers with an error: {error}"
        raise DeviceAway(msg) from error
    except NotMtconnect as error:
        msg = f"{source.url} does not answer as an MTConnect agent: {error}; check the url"
        raise DeviceAway(msg) from error


def _request(source: Mtconnect, verb: str) -> str:
    return f"{source.device}/{verb}" if source.device else verb


def _security(source: Mtconnect) -> str:
    return "TLS" if source.url.startswith("https:") else "none"
