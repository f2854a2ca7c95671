"""Reads a plan's tags for as long as the link lasts: by subscription, or in turns where a server has none."""

from __future__ import annotations

import asyncio
import contextlib
import math
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from isthmus.edge.opcua_client.decode import Asked, Decoder
from isthmus.edge.opcua_client.limits import Known
from isthmus.edge.opcua_client.link import Link, away, first_to_end
from isthmus.edge.opcua_client.nodes import batches, resolve
from isthmus.edge.source import Sink
from isthmus.model.samples import ValueKind, no_value
from isthmus.model.status import BAD_NODE_ID_UNKNOWN, BAD_OUT_OF_RANGE, GOOD

_OUTSTANDING: Final = 3
"""Publish requests that wait at the server. With one, a long way (120 ms) allows eight messages a second."""
_LIFETIME_S: Final = 60
LOOK_AGAIN_S: float = 60
"""How often nodes that were not there are looked for again."""
_DATA_CHANGE, _STATUS_CHANGE = b"\x01\x00\x2b\x03", b"\x01\x00\x34\x03"
"""The type ids 811 and 820 as they begin an extension object (Part 6, 5.2.2.9)."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One tag as it will be asked for."""

    tag: int
    node: str
    kind: ValueKind
    index: int | None = None
    sampling_ms: float = 0
    queue: int = 1
    deadband: float = 0.0
    """Held back by the server; 0 where that is not asked for."""
    interval_ns: float = 0.0
    """Of a waveform: the time between two of its readings."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What will be asked of a server, in the order of the tags."""

    items: tuple[Item, ...]
    publishing_ms: float
    poll_s: float
    per_request: int
    most_items: int


class Reading:
    """The tags of one plan on one link."""

    def __init__(self, link: Link, plan: Plan, known: Known, sink: Sink) -> None:
        self._link, self._plan, self._known, self._sink = link, plan, known, sink
        self._decoder = Decoder(
            [Asked(item.kind, item.index is not None, item.interval_ns) for item in plan.items], sink.fault
        )
        self._streams: dict[int, _Stream] = {}
        self._acknowledge: list[Any] = []
        self._turn = asyncio.Lock()
        self._there: list[tuple[Item, Any]] = []
        self._missing: list[tuple[Item, int, str]] = []

    def is_of(self, plan: Plan) -> bool:
        """Whether it reads this plan by subscription, and may go on in a session that was cut off."""
        return self._plan == plan and not plan.poll_s

    async def begin(self, nodes: Sequence[Any]) -> None:
        """Ask for the items; `nodes` holds a node id or the reason why there is none, for each of them."""
        good: list[tuple[Item, Any]] = []
        for item, node in zip(self._plan.items, nodes, strict=True):
            if isinstance(node, str):
                self._lacks(item, BAD_NODE_ID_UNKNOWN, node)
            else:
                good.append((item, node))
        most = min(filter(None, (self._known.items, self._plan.most_items)), default=len(good))
        for item, _ in good[most:]:
            self._lacks(item, BAD_OUT_OF_RANGE, f"the server takes no more than {most} items; leave out some tags")
        await self._add(good[:most])

    async def _add(self, there: Sequence[tuple[Item, Any]]) -> None:
        self._there += there
        if self._plan.poll_s:
            return
        for group in list(batches(there, self._known.per_subscription)) or [[]]:
            stream = await self._subscribe()
            for batch in batches(group, self._known.per_call):
                await self._monitor(stream, batch, filters=self._known.filters)

    async def resume(self, link: Link, sink: Sink) -> None:
        """Go on in the session that was cut off: ask again for what may have been lost on the way."""
        from asyncua import ua  # noqa: PLC0415  heavy; see the package

        self._link, self._sink, self._acknowledge = link, sink, []
        self._decoder.fault = sink.fault
        for item, status, why in self._missing:
            sink.fault(item.tag, status, why)
        for stream in self._streams.values():
            stream.heard()
            with contextlib.suppress(ua.uaerrors.BadMessageNotAvailable):
                while True:
                    await self._republish(stream, stream.after)
                    stream.sequence = stream.after

    async def refresh(self) -> None:
        """After a resumed session's queued changes, read every value once: the runner took all for lost."""
        begun = time.monotonic()
        while any(stream.heard_at < begun for stream in self._streams.values()):  # noqa: ASYNC110  twenty looks at most
            await asyncio.sleep(0.05)
        await self._read_once(self._requests())
        await asyncio.Event().wait()

    async def go_on(self) -> None:
        """Deliver until the link fails."""
        if self._plan.poll_s:
            await first_to_end(self._look_again(), self._poll())
        else:
            publishing = (self._publish() for _ in range(_OUTSTANDING))
            await first_to_end(self._look_again(), self._watch(), *publishing)

    async def _look_again(self) -> None:
        """Ask now and then for nodes that were not there: behind a gateway a controller may come later."""
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            waiting = [item for item, status, _ in self._missing if status == BAD_NODE_ID_UNKNOWN]
            if not waiting:
                continue
            nodes = await resolve(self._link, [item.node for item in waiting], self._known.per_browse)
            found = [(item, node) for item, node in zip(waiting, nodes, strict=True) if not isinstance(node, str)]
            if found:
                here = {item.tag for item, _ in found}
                self._missing = [one for one in self._missing if one[0].tag not in here]
                for tag in here:
                    self._sink.fault(tag, GOOD, "")
                await self._add(found)

    def _lacks(self, item: Item, status: int, why: str) -> None:
        self._missing.append((item, status, why))
        self._sink.fault(item.tag, status, why)
        self._sink.emit(no_value(item.kind, [item.tag], time.time_ns(), status))

    async def _subscribe(self) -> _Stream:
        from asyncua import ua  # noqa: PLC0415  heavy; see the package

        interval_s = self._plan.publishing_ms / 1000
        alive = max(1, math.floor(self._link.access.timeout_s / interval_s))
        request = ua.CreateSubscriptionRequest()
        request.Parameters = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=self._plan.publishing_ms,
            RequestedLifetimeCount=max(3 * alive, math.ceil(_LIFETIME_S / interval_s)),
            RequestedMaxKeepAliveCount=alive,
            MaxNotificationsPerPublish=0,
            PublishingEnabled=True,
            Priority=0,
        )
        raw = await self._link.ask(request)
        number, revised_ms, _, revised_alive = struct.unpack_from("<IdII", raw)
        deadline_s = revised_ms * revised_alive / 1000 + self._link.access.timeout_s
        stream = self._streams[number] = _Stream(number, deadline_s)
        return stream

    async def _monitor(self, stream: _Stream, batch: Sequence[tuple[Item, Any]], *, filters: bool) -> None:
        from asyncua import ua  # noqa: PLC0415  heavy; see the package

        parameters = ua.CreateMonitoredItemsParameters(
            SubscriptionId=stream.number,
            TimestampsToReturn=ua.TimestampsToReturn.Both,
            ItemsToCreate=[_asked_for(item, node, filters=filters) for item, node in batch],
        )
        again = []
        results = await self._link.session.create_monitored_items(parameters)
        for (item, node), result in zip(batch, results, strict=True):
            if result.StatusCode.is_good():
                continue
            name = result.StatusCode.name
            if filters and item.deadband and name in {"BadMonitoredItemFilterUnsupported", "BadFilterNotAllowed"}:
                again.append((item, node))
            else:
                self._lacks(item, result.StatusCode.value, f"the server says {name} to {item.node}")
        if again:
            await self._monitor(stream, again, filters=False)

    async def _watch(self) -> None:
        """Raise when a subscription has not spoken for longer than its keep-alive allows."""
        while True:
            await asyncio.sleep(0.1)
            if any(stream.late() for stream in self._streams.values()):
                await asyncio.sleep(0.05)  # what came while we were busy is taken first
                if any(stream.late() for stream in self._streams.values()):
                    raise TimeoutError

    async def _publish(self) -> None:
        from asyncua import ua  # noqa: PLC0415  heavy; see the package

        while True:
            request = ua.PublishRequest()
            request.Parameters.SubscriptionAcknowledgements, self._acknowledge = self._acknowledge, []
            try:
                raw = await self._link.ask(request, timeout_s=0)
            except ua.uaerrors.BadTooManyPublishRequests:
                return  # it wants fewer at a time; the other loops go on
            async with self._turn:
                await self._take(raw)

    async def _take(self, raw: bytes) -> None:
        """One PublishResponse (Part 4, 5.13.5), in the order of arrival."""
        from asyncua import ua  # noqa: PLC0415  heavy; see the package

        number, acknowledged = struct.unpack_from("<Ii", raw)
        at = 8 + 4 * max(acknowledged, 0) + 1
        sequence, _, count = struct.unpack_from("<Iqi", raw, at)
        stream = self._streams.get(number)
        if stream is None:
            raise away(self._link.access, f"sent changes of a subscription {number} that it was not asked for")
        stream.heard()
        for lost in stream.missing(sequence):
            try:
                await self._republish(stream, lost)
            except ua.uaerrors.BadMessageNotAvailable as error:
                raise away(self._link.access, "lost changes on the way and no longer has them") from error
        if count > 0:
            stream.sequence = sequence
            self._acknowledge.append(ua.SubscriptionAcknowledgement(SubscriptionId=number, SequenceNumber=sequence))
            self._notifications(raw, at + 16, count)

    async def _republish(self, stream: _Stream, sequence: int) -> None:
        """Ask again for a message that did not come. Raises BadMessageNotAvailable when the server has it no longer."""
        from asyncua import ua  # noqa: PLC0415  heavy; see the package

        request = ua.RepublishRequest()
        request.Parameters.SubscriptionId = stream.number
        request.Parameters.RetransmitSequenceNumber = sequence
        raw = await self._link.ask(request)
        given, _, count = struct.unpack_from("<Iqi", raw)
        if given != sequence:  # asyncua's server says Good and gives an empty message, numbered 0, for ever
            raise ua.uaerrors.BadMessageNotAvailable
        self._notifications(raw, 16, count)

    def _notifications(self, raw: bytes, at: int, count: int) -> None:
        now_ns = time.time_ns()
        for _ in range(count):
            sort, (size,) = raw[at : at + 4], struct.unpack_from("<i", raw, at + 5)
            at += 9
            if sort == _DATA_CHANGE:
                self._decoder.changes(raw, at, now_ns)
            elif sort == _STATUS_CHANGE:
                raise away(self._link.access, "ended the subscription")
            at += size
        for batch in self._decoder.batches():
            self._sink.emit(batch)

    async def _poll(self) -> None:
        """Read all tags in turns; a value that comes again with its old time and status is not handed on."""
        requests, fresh, due = self._requests(), _Fresh(len(self._plan.items)), time.monotonic()
        known = len(self._there)
        while True:
            if known != len(self._there):
                requests, known = self._requests(), len(self._there)
            await self._read_once(requests, fresh)
            due = max(due + self._plan.poll_s, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    def _requests(self) -> list[tuple[Any, list[int]]]:
        """The Reads of all tags, and which tags each is of."""
        from asyncua import ua  # noqa: PLC0415  heavy; see the package

        out = []
        for batch in batches(self._there, self._known.per_read):
            request = ua.ReadRequest()
            request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
            request.Parameters.NodesToRead = [_read_value(item, node) for item, node in batch]
            out.append((request, [item.tag for item, _ in batch]))
        return out

    async def _read_once(self, requests: Sequence[tuple[Any, list[int]]], fresh: _Fresh | None = None) -> None:
        for request, tags in requests:
            raw = await self._link.ask(request)
            self._decoder.results(raw, 0, tags, time.time_ns())
            for read in self._decoder.batches():
                for fault in fresh.faults(read) if fresh else ():
                    self._sink.fault(*fault)
                self._sink.emit(fresh.only(read) if fresh else read)


class _Stream:
    """One subscription: when it last spoke, and which message comes next."""

    def __init__(self, number: int, deadline_s: float) -> None:
        self.number, self.deadline_s = number, deadline_s
        self.sequence = 0
        self.heard()

    def heard(self) -> None:
        self.heard_at = time.monotonic()

    def late(self) -> bool:
        return time.monotonic() - self.heard_at > self.deadline_s

    @property
    def after(self) -> int:
        """The number of the next message. After 2**32 - 1 comes 1 (Part 4, 7.26)."""
        return self.sequence % (2**32 - 1) + 1

    def missing(self, sequence: int) -> range:
        """The numbers between the last message and this one."""
        return range(self.after, sequence) if self.sequence and self.after < sequence else range(0)


class _Fresh:
    """Which polled values are new: a server gives an unchanged value again with its old source time."""

    def __init__(self, tags: int) -> None:
        self._time = np.zeros(tags, np.int64)
        self._status = np.full(tags, GOOD, np.uint32)
        self._unknown: set[int] = set()

    def only(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        tag, time_ns, status = (batch.column(name).to_numpy() for name in ("tag", "time_ns", "status"))
        new = (self._time[tag] != time_ns) | (self._status[tag] != status)
        self._time[tag], self._status[tag] = time_ns, status
        return batch if new.all() else batch.filter(pa.array(new))

    def faults(self, batch: pa.RecordBatch) -> list[tuple[int, int, str]]:
        """Tags that the server says it does not have, or has again, since the last time."""
        out = []
        for tag, status in zip(batch.column("tag").to_numpy(), batch.column("status").to_numpy(), strict=True):
            why = _NOT_THERE.get(int(status), "")
            if bool(why) != (int(tag) in self._unknown):
                (self._unknown.add if why else self._unknown.discard)(int(tag))
                out.append((int(tag), int(status) if why else GOOD, why))
        return out


_NOT_THERE: Final[Mapping[int, str]] = {
    0x80330000: "the server says BadNodeIdInvalid; check the node",
    0x80340000: "the server says BadNodeIdUnknown; check the node",
    0x80350000: "the server says BadAttributeIdInvalid; the node is no variable",
    0x80360000: "the server says BadIndexRangeInvalid; check `index`",
    0x80370000: "the server says BadIndexRangeNoData; the array is shorter than `index`",
    0x803A0000: "the server says BadNotReadable; ask for the right to read the node",
    0x801F0000: "the server says BadUserAccessDenied; ask for the right to read the node",
}


def _read_value(item: Item, node: Any) -> Any:  # noqa: ANN401  asyncua has no types
    from asyncua import ua  # noqa: PLC0415  heavy; see the package

    value = ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value)
    if item.index is not None:
        value.IndexRange = str(item.index)
    return value


def _asked_for(item: Item, node: Any, *, filters: bool) -> Any:  # noqa: ANN401  asyncua has no types
    from asyncua import ua  # noqa: PLC0415  heavy; see the package

    parameters = ua.MonitoringParameters(
        ClientHandle=item.tag, SamplingInterval=item.sampling_ms, QueueSize=item.queue, DiscardOldest=True
    )
    if filters and item.deadband:
        parameters.Filter = ua.DataChangeFilter(
            Trigger=ua.DataChangeTrigger.StatusValue,
            DeadbandType=ua.DeadbandType.Absolute,
            DeadbandValue=item.deadband,
        )
    return ua.MonitoredItemCreateRequest(
        ItemToMonitor=_read_value(item, node),
        MonitoringMode=ua.MonitoringMode.Reporting,
        RequestedParameters=parameters,
    )
