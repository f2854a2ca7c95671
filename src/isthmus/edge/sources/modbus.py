"""Modbus/TCP: meters, drives, controllers, and anything behind a gateway.

    [[source]]
    kind = "modbus"
    name = "press-1"
    host = "10.20.0.11"

    [[source.tags]]
    name = "power"
    table = "input"
    address = 12
    type = "f32"
    unit = "kW"

**Addresses count from 0**, as they travel on the wire. Manuals often count from 1 and put the table
in front: 40001 is `table = "holding"`, `address = 0`; 30013 is `"input"`, 12; 10001 is `"discrete"`, 0;
and 00001 is `"coil"`, 0. Take the first digit for the table, and one from the rest.

**Order.** `order` says in which order the bytes 0A 0B 0C 0D of one number stand on the wire: ABCD (the
standard's), CDAB (low word first), BADC (bytes swapped), DCBA (both). Eight bytes follow the same rule.

**What is sent.** Functions 1 to 4 and 43/14 only; this program has no Modbus function that writes.
Neighbouring tags are read together. A refused address is found by halving, named, left out, and tried
again once a minute. A unit behind a gateway that stays silent costs its own tags and nothing else.

**Time** is the reply's arrival at the edge, since Modbus has none. A float that is not a number has
status "no data"; a u64 above the range of i64 has status "out of range".
"""

from __future__ import annotations

import asyncio
import fnmatch
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

import msgspec
import pyarrow as pa
from msgspec import Meta

from isthmus.edge.modbus_client import blocks, codec, identity
from isthmus.edge.modbus_client.blocks import Point, Poll
from isthmus.edge.modbus_client.codec import Table
from isthmus.edge.modbus_client.connection import Connection, connect
from isthmus.edge.modbus_client.image import TYPE_PATTERN, Field, Order, registers
from isthmus.edge.modbus_client.reading import Reading, Units
from isthmus.edge.source import Identity, Limits, Port, Seconds, Sink, SourceSection, Tag, TagFound
from isthmus.model import status as st
from isthmus.model.samples import TimeOf, ValueKind

_log = logging.getLogger(__name__)

Unit = Annotated[int, Meta(ge=0, le=255)]


class ModbusTag(Tag, frozen=True, kw_only=True):
    """One register, run of registers, or bit."""

    table: Annotated[Table, Meta(description="holding, input, coil or discrete")] = Table.HOLDING
    address: Annotated[int, Meta(ge=0, le=65535, description="0-based, as on the wire: 40001 is holding 0")]
    type: Annotated[
        str,
        Meta(
            pattern=TYPE_PATTERN,
            description="u16 i16 u32 i32 u64 i64 f32 f64, bool (not zero), 'bit 3' (0 is the lowest), 'str 20' "
            "(letters); none means u16, and bool in coils and discrete inputs",
        ),
    ] = ""
    order: Annotated[Order, Meta(description="bytes on the wire: ABCD, CDAB, BADC or DCBA")] = "ABCD"
    scale: Annotated[float, Meta(description="value = read * scale + offset; f64 tags only")] = 1.0
    offset: Annotated[float, Meta(description="value = read * scale + offset; f64 tags only")] = 0.0
    unit_id: Annotated[Unit | None, Meta(description="unit behind a gateway; none means the source's")] = None
    poll_s: Annotated[Seconds | None, Meta(description="own period, s; none means the source's")] = None

    def __post_init__(self) -> None:
        self._check_type()
        if (self.scale, self.offset) != (1.0, 0.0) and self.kind is not ValueKind.F64:
            msg = f"{self.name}: scale and offset make a float; write kind = 'f64' or leave them out"
            raise ValueError(msg)
        if self.scale == 0:
            msg = f"{self.name}: scale = 0 makes every value the same; write the factor of the manual"
            raise ValueError(msg)
        if self.address + self.width > 65536:  # noqa: PLR2004  the address space of every table
            msg = f"{self.name}: {self.width} registers from {self.address} on end behind 65535"
            raise ValueError(msg)

    def _check_type(self) -> None:
        type_ = self.wire_type
        if self.table.of_bits and type_ != "bool":
            msg = f"{self.name}: a {self.table} is one bit, so its type is bool and not {type_}"
            raise ValueError(msg)
        if not _suits(self.kind, type_):
            good = " or ".join(f"'{kind}'" for kind in ValueKind if _suits(kind, type_))
            msg = f"{self.name}: a {type_} cannot become kind = '{self.kind}'; write kind = {good}"
            raise ValueError(msg)

    @property
    def wire_type(self) -> str:
        """The type, with the table's own where none is written."""
        return self.type or ("bool" if self.table.of_bits else "u16")

    @property
    def width(self) -> int:
        """How many addresses it fills."""
        return 1 if self.table.of_bits else registers(self.wire_type)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What will be asked: one poll per period, and how each tag's value is made."""

    polls: tuple[Poll, ...]
    fields: tuple[Field, ...]
    units: tuple[int, ...]


class Modbus(SourceSection, frozen=True, kw_only=True, tag="modbus", dict=True):
    """One Modbus/TCP device, or a gateway with several units behind it."""

    time_of: ClassVar[TimeOf] = "arrival"
    schemes: ClassVar[tuple[str, ...]] = ("modbus",)
    has_directory: ClassVar[bool] = False

    host: Annotated[str, Meta(min_length=1, description="name or address of the device or gateway")]
    port: Annotated[Port, Meta(description="502 unless the manual says otherwise")] = 502
    unit_id: Annotated[Unit, Meta(description="unit asked where a tag names none; many devices take 1 or 255")] = 1
    poll_s: Annotated[Seconds, Meta(description="how often every tag is read, s, unless it has its own period")] = 1.0
    timeout_s: Annotated[Seconds, Meta(description="longest wait for a connection or one answer, s")] = 2.0
    gap: Annotated[int, Meta(ge=0, le=124, description="most unused registers read along to save a request")] = 16
    per_request: Annotated[int, Meta(ge=1, le=125, description="most registers the device gives at once")] = 125
    in_flight: Annotated[
        int, Meta(ge=1, le=16, description="questions open at a time; above 1 only where the device allows it")
    ] = 1
    echoes: Annotated[
        bool, Meta(description="false for a gateway that does not repeat the transaction number in its answers")
    ] = True
    retry_bad_s: Annotated[Seconds, Meta(description="how often a refused address is tried again, s")] = 60.0
    retry_silent_s: Annotated[Seconds, Meta(description="longest rest of a silent unit behind a gateway, s")] = 10.0
    tags: Annotated[tuple[ModbusTag, ...], Meta(description="what is read")] = ()

    def __post_init__(self) -> None:
        if not self.echoes and self.in_flight > 1:
            msg = f"{self.name}: without transaction numbers answers cannot be told apart; write in_flight = 1"
            raise ValueError(msg)

    @classmethod
    def from_url(cls, url: str) -> dict[str, Any]:
        """Host and port of modbus://10.20.0.11:502, and the unit where a path names one: modbus://10.20.0.11/7."""
        parts = urlsplit(url)
        unit = parts.path.strip("/")
        if not parts.hostname or (unit and not unit.isdecimal()):
            msg = f"{url} names no device; write modbus://10.20.0.11:502, or modbus://10.20.0.11/7 for unit 7"
            raise ValueError(msg)
        port = {"port": parts.port} if parts.port else {}
        return {"host": parts.hostname, **port, **({"unit_id": int(unit)} if unit else {})}

    async def identify(self) -> Identity:
        """Who the device says it is, by function 43/14; "" where it does not know that function."""
        first = next(iter(self.tags), ModbusTag(name="first", address=0))
        plain = codec.read(self.unit_id, first.table, first.address, first.width)
        if self._open:
            told = await identity.ask(self._open[0], self.unit_id, plain)
        else:
            async with self._connect() as connection:
                told = await identity.ask(connection, self.unit_id, plain)
        more = {"url": told.get(identity.URL), "application": told.get(identity.APPLICATION), "unit": str(self.unit_id)}
        return Identity(
            address=self._address,
            protocol="Modbus/TCP",
            maker=told.get(identity.MAKER, ""),
            model=told.get(identity.MODEL) or told.get(identity.PRODUCT) or told.get(identity.CODE, ""),
            firmware=told.get(identity.FIRMWARE, ""),
            security="none",
            more={name: text for name, text in more.items() if text},
        )

    async def browse(self, pattern: str) -> AsyncIterator[TagFound]:
        """The declared tags that the device gives. Modbus has no directory, and guessing addresses is no reading."""
        wanted = [tag for tag in self.tags if fnmatch.fnmatchcase(tag.name, pattern)]
        plan = self.plan(wanted, Limits())
        async with self._connect() as connection:
            found: set[int] = set()
            for reading in self._readings(plan, connection, _Unheard()):
                for batch in await reading.once():
                    good = st.good_mask(batch.column("status").to_numpy())
                    found.update(batch.column("tag").to_numpy()[good].tolist())
        for tag in (wanted[number] for number in sorted(found)):
            address = {key: value for key, value in msgspec.to_builtins(tag).items() if key in _ADDRESS_FIELDS}
            yield TagFound(path=tag.name, address=address, kind=tag.kind, unit=tag.unit)

    def plan(self, tags: Sequence[ModbusTag], limits: Limits) -> Plan:
        """Tags into blocks, for each period, table and unit."""
        by_period: dict[float, list[Point]] = defaultdict(list)
        for number, tag in enumerate(tags):
            unit = self.unit_id if tag.unit_id is None else tag.unit_id
            by_period[tag.poll_s or self.poll_s].append(Point(unit, tag.table, tag.address, tag.width, number))
        most = min(self.per_request, limits.per_request or self.per_request)
        return Plan(
            polls=tuple(
                Poll(
                    period_s=period_s,
                    blocks=blocks.merge(points, gap=self.gap, per_request=most),
                    gap=self.gap,
                    per_request=most,
                    retry_bad_s=self.retry_bad_s,
                )
                for period_s, points in sorted(by_period.items())
            ),
            fields=tuple(_field(number, tag) for number, tag in enumerate(tags)),
            units=tuple(sorted({point.unit for points in by_period.values() for point in points})),
        )

    async def run(self, plan: Plan, sink: Sink) -> None:
        """Poll until cancelled. Raises DeviceAway when the connection is lost or no unit answers."""
        async with self._connect() as connection:
            self._open.append(connection)
            try:
                async with asyncio.TaskGroup() as polls:
                    polls.create_task(connection.lost())
                    up = asyncio.Event()
                    for poll, reading in zip(plan.polls, self._readings(plan, connection, sink), strict=True):
                        polls.create_task(self._keep_polling(poll, reading, sink, up))
            except BaseExceptionGroup as group:
                raise _first(group) from None
            finally:
                self._open.remove(connection)

    @cached_property
    def _open(self) -> list[Connection]:
        """The connection that `run` holds, none while it does not run; no value depends on it."""
        return []

    async def _keep_polling(self, poll: Poll, reading: Reading, sink: Sink, up: asyncio.Event) -> None:
        clock = asyncio.get_running_loop().time
        due, slow = clock(), False
        while True:
            batches = await reading.once()
            if not up.is_set():
                up.set()
                sink.up(address=self._address, security="none")
            for batch in batches:
                sink.emit(batch)
            due += poll.period_s
            if due < clock() and not slow:
                slow = True
                took_s = clock() - due + poll.period_s
                _log.warning(
                    "%s: one reading takes %.2g s, longer than poll_s = %g; read as often as it can be",
                    self.name,
                    took_s,
                    poll.period_s,
                )
            due = max(due, clock())
            await asyncio.sleep(due - clock())

    def _readings(self, plan: Plan, connection: Connection, sink: Sink) -> list[Reading]:
        units = Units(plan.units, first_rest_s=self.timeout_s, most_rest_s=self.retry_silent_s)
        return [Reading(poll, plan.fields, connection, units, sink) for poll in plan.polls]

    def _connect(self) -> AbstractAsyncContextManager[Connection]:
        return connect(self.host, self.port, timeout_s=self.timeout_s, in_flight=self.in_flight, echoes=self.echoes)

    @property
    def _address(self) -> str:
        return f"{self.host}:{self.port}"


_ADDRESS_FIELDS = frozenset(ModbusTag.__struct_fields__) - frozenset(Tag.__struct_fields__)


class _Unheard:
    """A sink for a single look, whose result is taken elsewhere."""

    def emit(self, batch: pa.RecordBatch) -> None: ...

    def up(self, *, address: str, security: str) -> None: ...

    def fault(self, tag: int, status: int, why: str) -> None: ...


def _suits(kind: ValueKind, type_: str) -> bool:
    """Whether a type of the wire can become a value kind without a lie."""
    return {
        ValueKind.F64: type_[0] in "uif",
        ValueKind.I64: type_[0] in "ui" or type_.startswith("bit"),
        ValueKind.BOOL: type_.startswith("b"),
        ValueKind.STR: type_.startswith("str"),
        ValueKind.WAVEFORM: False,
    }[kind]


def _field(number: int, tag: ModbusTag) -> Field:
    return Field(number, tag.kind, tag.wire_type, tag.order, tag.table.of_bits, tag.scale, tag.offset)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one failure that ended a group of tasks."""
    cause = group.exceptions[0]
    return _first(cause) if isinstance(cause, BaseExceptionGroup) else cause
