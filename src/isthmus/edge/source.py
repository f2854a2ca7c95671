"""What a source is: one way to read one device. To add a protocol, copy `sources/modbus.py`.

A source is a frozen struct: its fields are its table in the plant file, its docstring the manual.
It has no verb that writes. It works until the device goes away and then says so; it never tries
again by itself, since only the runner does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, ClassVar, Protocol

import msgspec
import pyarrow as pa
from msgspec import Meta

from isthmus.model.plant import Name, Section
from isthmus.model.records.edge import Nameplate
from isthmus.model.samples import TimeOf, ValueKind

Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(gt=0)]


class Tag(Section, frozen=True, kw_only=True):
    """One signal of a source. Each protocol's own tag adds its address."""

    name: Annotated[Name, Meta(description="unique within the source; the whole name is source/tag")]
    kind: Annotated[ValueKind, Meta(description="f64, i64, bool or str; waveform where the source can")] = ValueKind.F64
    unit: Annotated[str, Meta(description="the unit that the device speaks: kW, °C, mm/s")] = ""
    deadband: Annotated[float, Meta(ge=0, description="smallest change worth a sample; 0 keeps every change")] = 0.0
    heartbeat_s: Annotated[float, Meta(gt=0, description="with a deadband: a sample at least this often")] = 60.0


class SourceSection(Section, frozen=True, kw_only=True, tag_field="kind", tag=True):
    """`[[source]]`: what every source has, whatever it speaks. A protocol's own class adds the rest."""

    time_of: ClassVar[TimeOf] = "source"
    """Whose clock stamps the samples."""
    schemes: ClassVar[tuple[str, ...]] = ()
    """How a URL begins that `isthmus init --from` turns into such a source."""
    has_waveforms: ClassVar[bool] = False
    """True where a tag may be of kind waveform: an array is one burst."""
    has_directory: ClassVar[bool] = True
    """False where the protocol cannot say which signals a device has."""

    name: Annotated[
        str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]*$", description="unique in the plant; pages and tags use it")
    ]
    zone: Annotated[str, Meta(description="name of the [[zone]] its device stands in; never a safety zone")] = "control"
    edge: Annotated[
        str, Meta(description="the enrolled edge that reads it, and alone may speak for it; one edge needs no name")
    ] = ""
    serves: Annotated[str, Meta(description="the objective it serves, for the programme page")] = ""

    @classmethod
    def from_url(cls, url: str) -> dict[str, Any]:
        """The fields of the source that a URL of its schemes says. Raises ValueError in words."""
        return {"url": url}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the device takes, as far as it is known. 0 means unknown or unlimited."""

    per_request: int = 0
    in_flight: int = 1
    items: int = 0


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who a device says it is. Feeds the asset audit. "" where it does not say."""

    address: str
    protocol: str
    maker: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""
    security: str = ""
    more: dict[str, str] = {}
    parts: tuple[Nameplate, ...] = ()
    """What stands behind the device and has a nameplate of its own: the machines of one server."""


class TagFound(msgspec.Struct, frozen=True, kw_only=True):
    """One signal found by browsing, ready to be written into the plant file."""

    path: str
    """By browse names from the device's root, joined with `/`."""
    address: dict[str, Any]
    """The protocol's own fields of its tag, as they stand in the plant file."""
    kind: ValueKind | None
    unit: str = ""
    description: str = ""


class Sink(Protocol):
    """Where a source puts what it reads. All three return at once and never raise."""

    def emit(self, batch: pa.RecordBatch) -> None:
        """Take columns of model.samples; `tag` is the position in the tags given to `plan`."""
        ...

    def up(self, *, address: str, security: str) -> None:
        """The device answers and its tags are being read."""
        ...

    def fault(self, tag: int, status: int, why: str) -> None:
        """One tag cannot be read, and why; the others go on. Status Good takes it back."""
        ...


class Source(Protocol):
    """One device by one protocol. Every implementation passes tests/conformance/test_source.py."""

    @property
    def name(self) -> str:
        """Unique in the plant."""
        ...

    async def identify(self) -> Identity:
        """Ask who the device is, by reading only; over the connection of `run` while that stands, else over an own one.

        Raises DeviceAway, and DeviceRefuses when a person must act.
        """
        ...

    def browse(self, pattern: str) -> AsyncIterator[TagFound]:
        """Signals whose path matches a glob, `*` for all. Raises DeviceAway."""
        ...

    def plan(self, tags: Sequence[Any], limits: Limits) -> Any:  # noqa: ANN401  each protocol has its own plan
        """What will be asked, and how it is packed. Pure: no I/O, the same for the same input."""
        ...

    async def run(self, plan: Any, sink: Sink) -> None:  # noqa: ANN401  each protocol has its own plan
        """Connect once and emit until cancelled. Every wait has a deadline.

        Raises DeviceAway when the device cannot be reached or stops answering, DeviceRefuses when a
        person must act. Leaves no connection behind, however it ends.
        """
        ...
